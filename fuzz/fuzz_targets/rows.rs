//! Drives `slipstream_properties::rows`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::rows(input));
