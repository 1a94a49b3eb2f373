//! What other programs make of the command line's definition.

use std::io;

use clap::ValueEnum;
use clap_complete::Shell;

use super::definition;

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
    pub(crate) fn text(self) -> io::Result<Vec<u8>> {
        let shell = match self {
            Self::Bash => Shell::Bash,
            Self::Elvish => Shell::Elvish,
            Self::Fish => Shell::Fish,
            Self::Powershell => Shell::PowerShell,
            Self::Zsh => Shell::Zsh,
            Self::Man => {
                let mut page = Vec::new();
                clap_mangen::Man::new(definition()).render(&mut page)?;
                return Ok(page);
            }
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut definition(), "httpstat", &mut script);
        Ok(script)
    }
}
