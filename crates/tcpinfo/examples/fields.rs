//! Lists every field of the kernel's structure with what it says of one live connection.
//!
//! `cargo run -p tcpinfo --example fields` looks at a connection of its own, over loopback;
//! `cargo run -p tcpinfo --example fields -- 192.0.2.1:443` at one to the given address.
//!
//! `absent` is a field that this kernel does not have; `unset` is one that it has, but has not
//! measured or does not use on this connection. Neither is a zero.

use std::{
    env, fmt, fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
};

use tcpinfo::{
    Reading,
    fields::{Field, Unit},
    native::Native,
    read_native,
};

fn main() -> ExitCode {
    let connection = match env::args().nth(1) {
        None => Connection::over_loopback()
            .map_err(|error| format!("cannot open a connection over loopback: {error}")),
        Some(address) if address.starts_with('-') => {
            eprintln!("usage: fields [HOST:PORT]");
            return ExitCode::from(2);
        }
        Some(address) => Connection::to(&address)
            .map_err(|error| format!("cannot connect to {address}: {error}")),
    };
    let listed = connection.and_then(|Connection { stream, _peer }| {
        let native = read_native(&stream).map_err(|error| error.to_string())?;
        list(&native).map_err(|error| format!("cannot write the list: {error}"))
    });
    match listed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fields: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// The other end, which stays open while the socket is asked.
    _peer: Option<TcpStream>,
}

impl Connection {
    /// A request and a longer answer have been exchanged, so that most fields have a value.
    fn over_loopback() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut stream = TcpStream::connect(listener.local_addr()?)?;
        let (mut peer, _) = listener.accept()?;
        stream.write_all(&[b'?'; 100])?;
        peer.read_exact(&mut [0; 100])?;
        peer.write_all(&[b'!'; 10_000])?;
        stream.read_exact(&mut [0; 10_000])?;
        Ok(Self { stream, _peer: Some(peer) })
    }

    /// Nothing is sent: the other end did not ask for it.
    fn to(address: &str) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(address)?, _peer: None })
    }
}

fn list(native: &Native) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{} bytes from {}", native.as_bytes().len(), system())?;
    writeln!(out)?;
    write_row(&mut out, "field", "offset", "kernel unit", "since", "reading")?;

    let (mut values, mut unset, mut absent) = (0, 0, 0);
    for (field, reading) in native.fields() {
        let reading = match reading {
            Reading::Absent => {
                absent += 1;
                "absent".to_owned()
            }
            Reading::Unset => {
                unset += 1;
                "unset".to_owned()
            }
            Reading::Value(value) => {
                values += 1;
                value.to_string()
            }
        };
        write_row(&mut out, field.name, place(field), unit(field), field.since, reading)?;
    }

    writeln!(out)?;
    writeln!(out, "{values} with a value, {unset} unset, {absent} absent")?;
    match native.unknown_tail() {
        [] => Ok(()),
        tail => writeln!(out, "{} bytes more, which this version does not know", tail.len()),
    }
}

fn write_row(
    out: &mut impl Write,
    name: &str,
    place: impl fmt::Display,
    unit: impl fmt::Display,
    since: &str,
    reading: impl fmt::Display,
) -> io::Result<()> {
    writeln!(out, "{name:<25} {place:>8}  {unit:<12} {since:<7} {reading}")
}

/// The offset, and for a part of a word its bits.
fn place(field: &Field) -> String {
    match field.bits {
        None => field.offset.to_string(),
        Some(bits) if bits.len == 1 => format!("{}:{}", field.offset, bits.shift),
        Some(bits) => {
            format!("{}:{}-{}", field.offset, bits.shift, bits.shift + bits.len - 1)
        }
    }
}

/// The unit of the kernel's number; times in the last column say their own.
fn unit(field: &Field) -> String {
    match field.unit {
        Unit::None => "-".to_owned(),
        unit => unit.to_string(),
    }
}

fn system() -> String {
    let (name, architecture) = (env::consts::OS, env::consts::ARCH);
    match fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(release) => format!("{name} {} on {architecture}", release.trim_end()),
        Err(_) => format!("{name} on {architecture}"),
    }
}
