//! `conniver lookup`: one connection, found by its addresses.

use std::process::ExitCode;

use sockdiag::{Lookup, SockDiag};

use crate::{cli::LookupArgs, error::Error, output, run::complain};

pub(crate) fn run(arguments: &LookupArgs) -> Result<ExitCode, Error> {
    let mut lookup = Lookup::new(arguments.local, arguments.remote);
    if let Some(cookie) = arguments.cookie {
        lookup = lookup.cookie(cookie);
    }
    if let Some(index) = arguments.interface {
        lookup = lookup.interface(index);
    }
    let mut diag = SockDiag::open()?;
    let Some(entry) = diag.lookup(&lookup)? else {
        complain(&format!("{lookup}: there is no such connection in this network namespace"));
        return Ok(ExitCode::FAILURE);
    };
    output::print(&format!("{entry:?}\n"))?;
    Ok(ExitCode::SUCCESS)
}
