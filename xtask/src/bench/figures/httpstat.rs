//! What the program `httpstat` costs beside curl.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use crate::bench::{
    cost::{Cost, Trouble},
    timing::Rounds,
};

const REQUESTS: usize = 41;

pub(super) fn loopback() -> Result<Cost, Trouble> {
    let curl = curl()?;
    let httpstat = built_httpstat()?;
    let url = format!("http://{}/", serve()?);
    let mut rounds = Rounds::default();
    for _ in 0..REQUESTS {
        let floor = run(Command::new(&curl).args(["-s", "-o", "/dev/null", &url]))?;
        let subject = run(Command::new(&httpstat).args(["--format", "jsonl", &url]))?;
        rounds.add(floor, subject);
    }
    let timing = rounds.timing();
    Ok(Cost { value: timing.subject, floor: timing.floor, allocs: None })
}

pub(super) fn size() -> Result<Cost, Trouble> {
    let curl = curl()?;
    let httpstat = built_httpstat()?;
    Ok(Cost {
        value: fs::metadata(httpstat)?.len() as f64,
        floor: fs::metadata(curl)?.len() as f64,
        allocs: None,
    })
}

fn curl() -> Result<PathBuf, Trouble> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("curl"))
        .find(|path| path.is_file())
        .ok_or(Trouble::Skipped("no curl"))
}

/// Builds the release binary, which cargo puts beside the one that is running.
fn built_httpstat() -> Result<PathBuf, Trouble> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "conniver-httpstat"])
        .stdout(Stdio::null())
        .status()?;
    if !built.success() {
        return Err(Trouble::Failed("httpstat does not build".to_owned()));
    }
    let path = env::current_exe()?.with_file_name("httpstat");
    if path.is_file() { Ok(path) } else { Err(Trouble::Failed(format!("no {}", path.display()))) }
}

/// Nanoseconds from start to exit.
fn run(command: &mut Command) -> Result<f64, Trouble> {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let elapsed = start.elapsed();
    if !status.success() {
        let program = command.get_program().to_string_lossy();
        return Err(Trouble::Failed(format!("{program} gave {status}")));
    }
    Ok(elapsed.as_nanos() as f64)
}

/// Answers every request with two bytes, until the program ends.
fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away is noticed by its exit code.
            let _ = answer(stream);
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    for line in BufReader::new(&stream).lines() {
        if line?.is_empty() {
            break;
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}
