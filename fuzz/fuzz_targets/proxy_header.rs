//! Drives `slipstream_properties::proxy_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::proxy_header(input));
