//! `cargo xtask population`: many connections in a network of their own, and a program beside them.
//!
//! The network is empty but for the population, so that what lists sockets can be timed and compared
//! there; nothing of the host's is touched, and everything ends with the program.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
};

use socket2::{Domain, Socket, Type};

mod system;

/// Says to a program that is run beside a population how many sockets that has.
pub(crate) const VARIABLE: &str = "XTASK_POPULATION";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Established sockets, both ends of each connection counted
    #[arg(long, default_value_t = 100_000)]
    sockets: usize,

    /// Processes that they are spread over; more if one may not hold its share
    #[arg(long, default_value_t = 12)]
    processes: usize,

    /// The program to run beside them
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// A process of the population; only the population starts it.
#[derive(clap::Args)]
pub(crate) struct HoldArgs {
    connections: usize,
    number: u8,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match beside(args) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("population: {why}");
            ExitCode::FAILURE
        }
    }
}

fn beside(args: &Args) -> Result<ExitCode, String> {
    let [program, arguments @ ..] = &*args.command else { return Err("no program".to_owned()) };
    system::leave_host()?;
    let population = Population::new(args.sockets, args.processes)?;
    let mut command = Command::new(program);
    command.args(arguments).env(VARIABLE, population.sockets.to_string());
    let status = command.status().map_err(|error| format!("{program}: {error}"))?;
    drop(population);
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// Connections over loopback that other processes hold, in the network of this one.
struct Population {
    sockets: usize,
    /// They live as long as they are not told that this is over.
    holders: Vec<(Child, ChildStdin)>,
}

impl Population {
    fn new(sockets: usize, processes: usize) -> Result<Self, String> {
        // Both ends are in the same process, which has descriptors of its own besides.
        let most = system::raise_descriptors().saturating_sub(64) / 2;
        if most == 0 {
            return Err("the limit of open files leaves room for no connection".to_owned());
        }
        let connections = sockets.div_ceil(2);
        let processes = processes.max(connections.div_ceil(most)).max(1);
        let mut population = Self { sockets: 0, holders: Vec::new() };
        for number in 0..processes {
            let share = connections * (number + 1) / processes - connections * number / processes;
            let number = u8::try_from(number).map_err(|_| "there can be 256 processes at most")?;
            population.holders.push(start(share, number)?);
        }
        for (child, _) in &mut population.holders {
            let mut line = String::new();
            let output = child.stdout.as_mut().ok_or("a process without output")?;
            BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
            let made: usize = line.trim().parse().map_err(|_| "a process could not connect")?;
            population.sockets += 2 * made;
        }
        Ok(population)
    }
}

impl Drop for Population {
    fn drop(&mut self) {
        for (mut child, input) in self.holders.drain(..) {
            drop(input);
            let _ = child.wait();
        }
    }
}

fn start(connections: usize, number: u8) -> Result<(Child, ChildStdin), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own);
    command.args(["population-hold", &connections.to_string(), &number.to_string()]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("a process of it: {error}"))?;
    let input = child.stdin.take().ok_or("a process without input")?;
    Ok((child, input))
}

/// Makes the connections, says how many, and holds them until there is no more input.
pub(crate) fn hold(args: &HoldArgs) -> ExitCode {
    system::raise_descriptors();
    let held = connect(args.connections, args.number).and_then(|held| {
        println!("{}", held.len());
        io::stdout().flush()?;
        io::stdin().read_to_end(&mut Vec::new())?;
        Ok(held)
    });
    match held {
        // Whose sockets the kernel closes faster than we do one by one.
        Ok(held) => {
            std::mem::forget(held);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("population: {error}");
            ExitCode::FAILURE
        }
    }
}

fn connect(connections: usize, number: u8) -> io::Result<Vec<(TcpStream, TcpStream)>> {
    // Addresses of this process alone, so that there are ports for all of them.
    let listener = TcpListener::bind((Ipv4Addr::new(127, 1, number, 1), 0))?;
    let there = listener.local_addr()?;
    (0..connections)
        .map(|place| {
            let host = Ipv4Addr::new(127, 2, number, (place % 8) as u8 + 1);
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            // What is reset at the end leaves nothing behind.
            socket.set_linger(Some(std::time::Duration::ZERO))?;
            socket.bind(&SocketAddr::from((host, 0)).into())?;
            socket.connect(&there.into())?;
            let (server, _) = listener.accept()?;
            Ok((socket.into(), server))
        })
        .collect()
}
