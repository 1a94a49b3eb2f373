//! Asks for one page over plain HTTP and prints what became of the connection, as JSON.
//!
//!     cargo run -p conniver --features serde --example get [HOST[:PORT]]

use std::{
    env,
    error::Error,
    io::{Read, Write},
    process::ExitCode,
    time::Duration,
};

use conniver::Options;

fn main() -> ExitCode {
    match get() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("get: {error}");
            ExitCode::FAILURE
        }
    }
}

fn get() -> Result<(), Box<dyn Error>> {
    let host = env::args().nth(1).unwrap_or_else(|| "example.org".to_owned());
    let target = if host.contains(':') { host.clone() } else { format!("{host}:80") };
    let connector = Options::new().connector().timeout(Duration::from_secs(5));

    let mut conn = connector.connect(target)?;
    write!(conn, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    conn.read_to_end(&mut answer)?;
    let status = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    eprintln!("{}", status.escape_ascii());

    let (_, report) = conn.into_inner();
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
