//! The command line.

mod generate;
mod life;
mod list;
mod lookup;
mod schema;
mod select;
mod serve;
mod time;
mod watch;

use std::io::{self, Write as _};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{error::Error, output};
pub(crate) use generate::Generated;
pub(crate) use life::{LifeArgs, LifeFormat, Summary};
pub(crate) use list::{Color, Format, ListArgs};
pub(crate) use lookup::LookupArgs;
pub(crate) use schema::{SchemaArgs, Written};
pub(crate) use select::{EndArgs, Family, FamilyArgs, Network, Ports, SelectArgs};
pub(crate) use serve::{By, LabelRule, ServeArgs};
pub(crate) use watch::WatchArgs;

/// Shows every TCP connection of this machine with all that the kernel knows of it.
///
/// Without a command it lists them.
#[derive(Debug, Parser)]
#[command(
    name = "conniver",
    version,
    max_term_width = 80,
    args_override_self = true,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) list: ListArgs,

    /// Print what lets a shell complete these options, or the manual page, and end
    #[arg(help_heading = None, long, value_enum, value_name = "WHAT", exclusive = true)]
    pub(crate) generate: Option<Generated>,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List connections, or listeners with -l; the same as without a command
    List(Box<ListArgs>),
    /// Tell of each connection as it ends: how long, how much, why
    Life(Box<LifeArgs>),
    /// Tell everything of one connection, found by its two addresses
    Lookup(LookupArgs),
    /// Explain every field that the kernel may tell of a connection, or print a JSON Schema
    Schema(SchemaArgs),
    /// Serve metrics of all connections to Prometheus, and the connections as JSON
    Serve(ServeArgs),
    /// Show connections as they are now, again and again
    Watch(Box<WatchArgs>),
}

impl Cli {
    /// Reads the arguments of this process; on a usage error it ends here. Nothing if they ask for help,
    /// or for the version, which was printed.
    pub(crate) fn from_process() -> Result<Option<Self>, Error> {
        let read = definition().try_get_matches();
        match read.and_then(|matches| Self::from_arg_matches(&matches)) {
            Ok(cli) => cli.without_late_command().map(Some),
            Err(error) if error.use_stderr() => error.exit(),
            Err(text) => {
                let printed = text.print().and_then(|()| io::stdout().flush());
                printed.map(|()| None).map_err(|error| output::failed(&error))
            }
        }
    }

    /// What comes behind an option of the list is a filter, and no filter begins with a command's name.
    fn without_late_command(self) -> Result<Self, Error> {
        match self.list.first_word() {
            Some(first) if self.command.is_none() && Command::has_subcommand(first) => {
                Err(Error::usage(format!(
                    "{first} is a command, which comes before its options: conniver {first} ..."
                )))
            }
            _ => Ok(self),
        }
    }
}

/// The command line with all that its help says.
pub(crate) fn definition() -> clap::Command {
    Cli::command().after_long_help(EXAMPLES)
}

const EXAMPLES: &str = "\
Examples:
  conniver
          connections of this machine, as wide as the terminal
  conniver -p --sort -rtt --limit 20
          the twenty slowest and the programs that hold them
  conniver -i dst 10.0.0.0/8 and dport = :443
          everything the kernel knows of some, chosen in the language of ss
  conniver -s
          how many there are, by state, family and congestion control
  conniver --format jsonl --process | jq 'select(.info.retransmits > 0)'
          one object a connection, for programs
  conniver --save before.dump; conniver --from before.dump -i
          kept, and looked at later or on another machine
  conniver watch -p dport = :443
          the same live, with rates; ? there tells the keys
  conniver lookup 10.0.0.1:443 10.0.0.7:51534
          one connection, without a look at the others

Exit codes:
    0  done; also if nothing was found, except by lookup
    1  something failed, or lookup found nothing
    2  the command line makes no sense
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_lists() {
        let cli = Cli::try_parse_from(["conniver", "-4", "dport", "=", ":443"]).unwrap();
        assert!(cli.command.is_none() && cli.list.select().filter.len() == 3);
        let cli = Cli::try_parse_from(["conniver", "list", "-4"]).unwrap();
        assert!(matches!(cli.command, Some(Command::List(_))));
    }
}
