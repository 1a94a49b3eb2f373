//! An echo over loopback whose two ends print their reports as JSON.
//!
//! `cargo run -p conniver --features serde --example echo`

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use conniver::{Options, Report, Role};

fn main() -> io::Result<()> {
    let options = Options::new().category("echo").observer(|report: &Report| {
        println!("{}", serde_json::to_string_pretty(report).expect("a report is plain data"));
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;

    let server = options.clone().role(Role::Server);
    let server = thread::spawn(move || {
        let mut conn = server.wrap(listener.accept()?.0);
        let mut bytes = Vec::new();
        conn.read_to_end(&mut bytes)?;
        conn.write_all(&bytes)
    });

    let mut conn = options.role(Role::Client).wrap(TcpStream::connect(address)?);
    conn.write_all(b"what did the kernel know?")?;
    conn.shutdown(Shutdown::Write)?;
    conn.read_to_end(&mut Vec::new())?;
    drop(conn);
    server.join().expect("the server does not panic")
}
