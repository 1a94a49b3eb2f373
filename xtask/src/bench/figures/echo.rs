//! What wrapping both ends of a connection does to an exchange over loopback.
//!
//! The same two sockets are used bare and wrapped in turn, because two pairs of sockets differ by
//! more than the wrapper costs.

use std::{
    io::{self, Read, Write},
    time::Instant,
};

use conniver::Options;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    runtime::{self, Runtime},
};

use crate::bench::{
    cost::{Cost, Trouble},
    counting_allocator::allocations_in,
    sockets::loopback_pair,
    timing::{ROUNDS, Rounds},
};

const MESSAGE_BYTES: usize = 1024;

/// Echoes of a round.
const ECHOES: u32 = 50;

/// In one thread, which is each end in turn: nothing waits, and the scheduler has no part in it.
pub(super) fn blocking() -> Result<Cost, Trouble> {
    let (mut client, mut server) = loopback_pair()?;
    let options = Options::new();
    let mut rounds = Rounds::default();
    let mut allocations = 0;
    for _ in 0..ROUNDS {
        let floor = blocking_round(&mut client, &mut server)?;

        let (mut client_conn, mut server_conn) = (options.wrap(client), options.wrap(server));
        let (subject, more) = allocations_in(|| blocking_round(&mut client_conn, &mut server_conn));
        (client, _) = client_conn.into_inner();
        (server, _) = server_conn.into_inner();

        rounds.add(floor, subject?);
        allocations += more;
    }
    Ok(Cost::timed(rounds.timing(), each(allocations)))
}

/// Nanoseconds an echo.
fn blocking_round<S: Read + Write>(client: &mut S, server: &mut S) -> io::Result<f64> {
    let mut message = [0; MESSAGE_BYTES];
    let start = Instant::now();
    for _ in 0..ECHOES {
        client.write_all(&message)?;
        server.read_exact(&mut message)?;
        server.write_all(&message)?;
        client.read_exact(&mut message)?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(ECHOES))
}

/// Between two futures of one thread, each of which waits for the other.
pub(super) fn asynchronous() -> Result<Cost, Trouble> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let _context = runtime.enter();
    let (client, server) = loopback_pair()?;
    client.set_nonblocking(true)?;
    server.set_nonblocking(true)?;
    let mut client = TcpStream::from_std(client)?;
    let mut server = TcpStream::from_std(server)?;

    let options = Options::new();
    let mut rounds = Rounds::default();
    let mut allocations = 0;
    for _ in 0..ROUNDS {
        let floor = asynchronous_round(&runtime, &mut client, &mut server)?;

        let (mut client_conn, mut server_conn) = (options.wrap(client), options.wrap(server));
        let (subject, more) =
            allocations_in(|| asynchronous_round(&runtime, &mut client_conn, &mut server_conn));
        (client, _) = client_conn.into_inner();
        (server, _) = server_conn.into_inner();

        rounds.add(floor, subject?);
        allocations += more;
    }
    Ok(Cost::timed(rounds.timing(), each(allocations)))
}

/// Nanoseconds an echo.
fn asynchronous_round<S>(runtime: &Runtime, client: &mut S, server: &mut S) -> io::Result<f64>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let asking = async {
        let mut message = [0; MESSAGE_BYTES];
        for _ in 0..ECHOES {
            client.write_all(&message).await?;
            client.read_exact(&mut message).await?;
        }
        io::Result::Ok(())
    };
    let answering = async {
        let mut message = [0; MESSAGE_BYTES];
        for _ in 0..ECHOES {
            server.read_exact(&mut message).await?;
            server.write_all(&message).await?;
        }
        io::Result::Ok(())
    };
    let start = Instant::now();
    runtime.block_on(async { tokio::try_join!(asking, answering) })?;
    Ok(start.elapsed().as_nanos() as f64 / f64::from(ECHOES))
}

fn each(allocations: u64) -> f64 {
    allocations as f64 / (ROUNDS as f64 * f64::from(ECHOES))
}
