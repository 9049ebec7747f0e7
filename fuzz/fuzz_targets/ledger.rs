//! Drives `slipstream_properties::ledger`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipstream_properties::ledger(input));
