#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tcpinfo_fuzz::structure::check::<
    tcpinfo::native::apple::AppleTcpInfo,
>(data));
