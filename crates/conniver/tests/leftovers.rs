//! What a connection leaves behind. The only test of its process, so that nobody else opens
//! descriptors or starts threads while it counts them.

#![cfg(target_os = "linux")]

use std::net::{TcpListener, TcpStream};

use conniver::{Options, report_channel};

#[test]
fn nothing_is_left_behind_neither_threads_nor_descriptors() {
    let entries = |directory: &str| std::fs::read_dir(directory).unwrap().count();
    let count = || (entries("/proc/self/fd"), entries("/proc/self/task"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (observer, reports) = report_channel(64);
    let options = Options::new().observer(observer);
    let before = count();
    let mut handles = Vec::new();
    for _ in 0..10 {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let conn = options.wrap(stream);
        handles.push((conn.handle(), conn.snapshot()));
        listener.accept().unwrap();
        let during = count();
        assert_eq!(during, (before.0 + 1, before.1), "one descriptor and no thread");
    }
    assert_eq!(count(), before);
    assert_eq!(reports.try_iter().count(), 10);
}
