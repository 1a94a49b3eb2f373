//! Sends a file, or what it is given on the standard input, and says whether all of it arrived.
//!
//!     cargo run -p conniver --features sockdiag --example last_word ADDRESS [FILE]
//!
//! Try it with `nc -l 7007 > /dev/null`, and with one that is stopped before it has read all. A close
//! alone says nothing: the program is done when the last bytes have only just been handed to the kernel.

use std::{
    env,
    fs::File,
    io,
    net::TcpStream,
    process::ExitCode,
    time::{Duration, Instant},
};

use conniver::{Fate, LastWords, Options, Report, Role};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, files @ ..] = &*arguments else {
        eprintln!("usage: last_word ADDRESS [FILE]");
        return Ok(ExitCode::from(2));
    };
    let mut words = LastWords::open()?;

    let options =
        Options::new().role(Role::Client).observer(|report: &Report| println!("closed: {report}"));
    let stream = TcpStream::connect(address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot connect to {address:?}: {error}"))
    })?;
    let mut conn = options.wrap(stream);
    let expected = words.expect(&conn.handle())?;
    match files {
        [] => io::copy(&mut io::stdin().lock(), &mut conn)?,
        [file, ..] => io::copy(&mut File::open(file)?, &mut conn)?,
    };
    drop(conn);

    let closed = Instant::now();
    match words.wait(expected, Duration::from_secs(30))? {
        Some(Fate::Ended(word)) => {
            println!("{:.1?} later: {word}", closed.elapsed());
            Ok(ExitCode::from(u8::from(word.delivered() != Some(true))))
        }
        Some(_) => {
            println!("the kernel told more than was taken, perhaps this, too");
            Ok(ExitCode::FAILURE)
        }
        None => {
            println!("after 30 s the peer has not acknowledged everything");
            Ok(ExitCode::FAILURE)
        }
    }
}
