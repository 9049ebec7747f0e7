//! Drives `slipstream_properties::pem`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::pem(input));
