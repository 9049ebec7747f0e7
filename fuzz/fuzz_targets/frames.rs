//! Drives `slipstream_properties::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::frames(input));
