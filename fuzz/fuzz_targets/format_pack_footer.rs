//! Any bytes through `lacre_format::exercise::pack_footer`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lacre_format::exercise::pack_footer(bytes));
