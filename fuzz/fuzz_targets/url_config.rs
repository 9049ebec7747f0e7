//! Drives `slipstream_properties::url_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::url_config(input));
