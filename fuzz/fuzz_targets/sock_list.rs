#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tcpinfo_fuzz::sock_list::check(data));
