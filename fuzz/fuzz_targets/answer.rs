//! Drives `slipstream_properties::answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::answer(input));
