use std::net::SocketAddr;

use clap::Args;

/// The arguments of `lookup`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LookupArgs {
    /// Address and port of this machine's end
    pub(crate) local: SocketAddr,

    /// Address and port of the other end
    pub(crate) remote: SocketAddr,

    /// Only if it is the socket with this cookie, in hexadecimal as ss and this program show it
    #[arg(long, value_name = "COOKIE", value_parser = cookie)]
    pub(crate) cookie: Option<u64>,

    /// Also if it is bound to the network interface of this number
    #[arg(long, value_name = "INDEX")]
    pub(crate) interface: Option<u32>,

    /// Show the programs that hold it
    #[arg(short, long)]
    pub(crate) process: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

fn cookie(text: &str) -> Result<u64, &'static str> {
    u64::from_str_radix(text, 16).map_err(|_| "not a number in hexadecimal")
}
