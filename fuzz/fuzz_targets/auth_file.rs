//! Drives `slipstream_properties::auth_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::auth_file(input));
