use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{SelectArgs, select::WHENCE};

/// The part of the help.
const SHOWN: &str = "What is shown";

/// The arguments of `list`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    select: SelectArgs,

    /// Of a file that --save wrote, or "ss -D"; "-" for the standard input
    #[arg(help_heading = WHENCE, long, value_name = "FILE", conflicts_with = "netns")]
    from: Option<PathBuf>,

    /// Show the programs that hold each socket
    #[arg(help_heading = SHOWN, short, long)]
    pub(crate) process: bool,

    /// Show everything, each field by its name: the same as --format long
    #[arg(help_heading = SHOWN, short = 'i', long, conflicts_with = "format")]
    pub(crate) info: bool,

    /// Count instead of listing
    #[arg(help_heading = SHOWN, short, long, conflicts_with_all = ["process", "info", "columns", "sort", "limit", "no_header"])]
    pub(crate) summary: bool,

    /// The columns of the table, or of csv; "help" lists them
    ///
    /// A "+" in front adds to those that are shown anyway. Those that are named are all shown, also where
    /// the terminal breaks their lines; before that, names of programs are cut, with "…". What does not
    /// go to a terminal is never cut.
    #[arg(help_heading = SHOWN, short, long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,

    /// Order by a column; with "-" in front the largest first
    #[arg(help_heading = SHOWN, long, value_name = "[-]COLUMN", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,

    /// Show this many at most
    #[arg(help_heading = SHOWN, long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,

    /// In which form
    #[arg(help_heading = SHOWN, long, value_enum)]
    format: Option<Format>,

    /// Leave the line with the names of columns out
    #[arg(help_heading = SHOWN, short = 'H', long)]
    pub(crate) no_header: bool,

    /// When to use colours
    #[arg(help_heading = SHOWN, long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(crate) color: Color,

    /// Write what the kernel told to this file, for --from, instead of showing it
    ///
    /// Of all sockets, unless some are chosen; "-" for the standard output. "ss" reads it, too, from the
    /// file that TCPDIAG_FILE names.
    #[arg(
        help_heading = SHOWN, long, value_name = "FILE",
        conflicts_with_all = ["process", "info", "summary", "columns", "sort", "limit", "format", "no_header"],
    )]
    pub(crate) save: Option<PathBuf>,
}

impl ListArgs {
    /// Which sockets, and whence.
    pub(crate) fn select(&self) -> SelectArgs {
        SelectArgs { from: self.from.clone(), ..self.select.clone() }
    }

    /// How the filter begins.
    pub(super) fn first_word(&self) -> Option<&str> {
        self.select.filter.first().map(String::as_str)
    }

    pub(crate) fn format(&self) -> Format {
        if self.info { Format::Long } else { self.format.unwrap_or(Format::Table) }
    }
}

/// How sockets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line each, in columns
    Table,
    /// Everything, each field by its name
    Long,
    /// One array of objects; conniver schema connections describes it, and schema summary sums
    Json,
    /// One object a line; conniver schema list describes it
    Jsonl,
    /// Comma-separated values
    Csv,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}
