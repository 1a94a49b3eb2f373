//! `conniver list`: every socket that is meant, in the form that is asked for.

use std::process::ExitCode;

use crate::{cli::ListArgs, error::Error};

pub(crate) fn run(_arguments: &ListArgs) -> Result<ExitCode, Error> {
    sockdiag::SockDiag::open()?;
    Err(Error::failure("listing is still to come"))
}
