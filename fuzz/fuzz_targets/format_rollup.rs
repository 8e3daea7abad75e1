//! Any bytes through `lacre_format::exercise::rollup`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lacre_format::exercise::rollup(bytes));
