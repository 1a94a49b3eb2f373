//! Dials an address and prints everything known about the socket as JSON.
//!
//! `cargo run -p tcpinfo --features serde --example dial -- 192.0.2.1:443`

use std::{env, net::TcpStream, process::ExitCode};

use serde_json::{Value, json};
use tcpinfo::{
    Congestion, Error, Mptcp, Queues, SocketMemory, TcpInfo, cookie, is_mptcp,
    native::apple_socket::AppleSocketInfo, ulp,
};

fn main() -> ExitCode {
    let Some(address) = env::args().nth(1).filter(|address| !address.starts_with('-')) else {
        eprintln!("usage: dial HOST:PORT");
        return ExitCode::from(2);
    };
    let stream = match TcpStream::connect(&address) {
        Ok(stream) => stream,
        Err(error) => {
            eprintln!("dial: cannot connect to {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let everything = json!({
        "localAddr": stream.local_addr().ok(),
        "remoteAddr": stream.peer_addr().ok(),
        "info": answer(TcpInfo::read(&stream)),
        "congestion": answer(Congestion::read(&stream)),
        "queues": answer(Queues::read(&stream)),
        "memory": answer(SocketMemory::read(&stream)),
        "cookie": answer(cookie(&stream)),
        "upperLayerProtocol": answer(ulp(&stream)),
        "isMPTCP": answer(is_mptcp(&stream)),
        "mptcp": answer(Mptcp::read(&stream)),
        "appleSocket": answer(AppleSocketInfo::read(&stream)),
    });
    println!("{everything:#}");
    ExitCode::SUCCESS
}

/// One refused question does not hide the other answers.
fn answer(result: Result<impl serde::Serialize, Error>) -> Value {
    match result {
        Ok(facts) => json!(facts),
        Err(error) => json!({ "error": error.to_string() }),
    }
}
