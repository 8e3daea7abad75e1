//! Any bytes through `lacre_format::exercise::frame_body`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lacre_format::exercise::frame_body(bytes));
