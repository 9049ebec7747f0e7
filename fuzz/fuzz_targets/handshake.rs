//! Drives `slipstream_properties::handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::handshake(input));
