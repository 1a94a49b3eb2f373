//! What the kernel tells of one TCP connection of this host, whoever owns it.
//!
//! `cargo run -p sockdiag --example lookup -- LOCAL REMOTE [COOKIE]`, with addresses as `ss -tn` shows
//! them and the cookie in decimal, or behind `0x` the digits that `ss -te` shows. Without arguments a
//! connection of the program's own.
//!
//! Exits with 0 if there is the connection, 1 if there is none, 2 if the arguments are wrong, 3 if the
//! kernel could not be asked.

use std::{
    fmt::{Debug, Display},
    net::{SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
};

use sockdiag::{Entry, Interfaces, Lookup, SockDiag};

const USAGE: &str =
    "usage: lookup [LOCAL REMOTE [COOKIE]], such as 10.0.0.1:443 10.0.0.7:51534 0x1e93";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Keeps the connection open until it was looked up.
    let mut own = None;
    let lookup = if arguments.is_empty() { demonstration(&mut own) } else { parse(&arguments) };
    let lookup = match lookup {
        Ok(lookup) => lookup,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut diag = match SockDiag::open() {
        Ok(diag) => diag,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(3);
        }
    };
    match diag.lookup(&lookup) {
        Ok(Some(entry)) => {
            print(&entry);
            ExitCode::SUCCESS
        }
        Ok(None) => {
            eprintln!("{lookup}: there is no such connection in this network namespace");
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if error.kind() == sockdiag::ErrorKind::BadQuestion { 2 } else { 3 })
        }
    }
}

fn parse(arguments: &[String]) -> Result<Lookup, String> {
    let address = |text: &String| {
        text.parse::<SocketAddr>().map_err(|_| format!("{text:?} is not an address and a port"))
    };
    match arguments {
        [local, remote] => Ok(Lookup::new(address(local)?, address(remote)?)),
        [local, remote, cookie] => {
            let number = match cookie.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => cookie.parse(),
            };
            let number = number.map_err(|error| format!("{cookie:?} is not a cookie: {error}"))?;
            Ok(Lookup::new(address(local)?, address(remote)?).cookie(number))
        }
        others => Err(format!("two addresses are needed, not {} arguments", others.len())),
    }
}

/// A connection from here to here.
fn demonstration(own: &mut Option<(TcpListener, TcpStream)>) -> Result<Lookup, String> {
    let connect = || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let lookup = Lookup::new(stream.local_addr()?, stream.peer_addr()?);
        Ok((lookup, (listener, stream)))
    };
    let connected: std::io::Result<_> = connect();
    let (lookup, sockets) = connected.map_err(|os| format!("cannot connect to myself: {os}"))?;
    *own = Some(sockets);
    Ok(lookup)
}

fn print(entry: &Entry<'_>) {
    let line = |name: &str, value: &dyn Display| println!("{name:24} {value}");
    line("state", &entry.state());
    line("local", &entry.local_end(&Interfaces::of_thread()));
    line("remote", &entry.remote_end());
    line("cookie", &format_args!("{:#x}", entry.cookie()));
    let fact = |name: &str, value: Option<&dyn Debug>| {
        if let Some(value) = value {
            println!("{name:24} {value:?}");
        }
    };
    fact("interface", entry.interface().as_ref().map(|one| one as _));
    fact("user", entry.uid().as_ref().map(|one| one as _));
    fact("inode", entry.inode().as_ref().map(|one| one as _));
    fact("timer", entry.timer().as_ref().map(|one| one as _));
    let queues = entry.queues();
    fact("unread bytes", queues.unread_bytes.as_ref().map(|one| one as _));
    fact("queued bytes", queues.queued_bytes.as_ref().map(|one| one as _));
    fact("memory", entry.memory().as_ref().map(|one| one as _));
    fact("congestion", entry.congestion().as_ref().map(|one| one as _));
    fact("shut down", entry.shutdown().as_ref().map(|one| one as _));
    fact("type of service", entry.tos().as_ref().map(|one| one as _));
    fact("traffic class", entry.traffic_class().as_ref().map(|one| one as _));
    fact("class", entry.class_id().as_ref().map(|one| one as _));
    fact("mark", entry.mark().as_ref().map(|one| one as _));
    fact("cgroup", entry.cgroup_id().as_ref().map(|one| one as _));
    fact("options", entry.options().as_ref().map(|one| one as _));
    fact("upper layer protocol", entry.ulp().as_ref().map(|one| one as _));
    for unknown in entry.unknown_attributes() {
        println!("{:24} {:02x?}", format!("attribute {}", unknown.number), unknown.payload);
    }
    let Some(info) = entry.tcp_info() else {
        println!("the kernel keeps no facts of a connection in this state");
        return;
    };
    for (name, value) in info.facts() {
        if let Some(value) = value {
            println!("{name:24} {value}");
        }
    }
}
