#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mimi_fuzz_bodies::mimi_content(bytes));
