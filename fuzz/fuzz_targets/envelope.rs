//! Drives `slipstream_properties::envelope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::envelope(input));
