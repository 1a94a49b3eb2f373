//! What other programs make of the command line's definition.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::ValueEnum;
use clap_complete::Shell;

use super::definition;
use crate::{error::Error, output};

/// Something made from the definition of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generated {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
    /// The manual page, in roff.
    Man,
}

impl Generated {
    pub(crate) fn print(self) -> Result<ExitCode, Error> {
        let mut stdout = io::stdout().lock();
        let written =
            self.text().and_then(|text| stdout.write_all(&text)).and_then(|()| stdout.flush());
        written.map(|()| ExitCode::SUCCESS).map_err(|error| output::failed(&error))
    }

    fn text(self) -> io::Result<Vec<u8>> {
        let shell = match self {
            Self::Bash => Shell::Bash,
            Self::Elvish => Shell::Elvish,
            Self::Fish => Shell::Fish,
            Self::Powershell => Shell::PowerShell,
            Self::Zsh => Shell::Zsh,
            Self::Man => return manual(),
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut definition(), "conniver", &mut script);
        Ok(script)
    }
}

/// One page for the command and each of its subcommands, one after the other.
fn manual() -> io::Result<Vec<u8>> {
    let mut definition = definition();
    definition.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(definition.clone()).render(&mut page)?;
    for subcommand in definition.get_subcommands().filter(|one| one.get_name() != "help") {
        let man = clap_mangen::Man::new(subcommand.clone());
        let name = subcommand.get_name().to_uppercase();
        writeln!(page, ".SH COMMAND {name}")?;
        man.render_description_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    Ok(page)
}
