//! Any bytes through `lacre_format::exercise::rebuilt_reach`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lacre_format::exercise::rebuilt_reach(bytes));
