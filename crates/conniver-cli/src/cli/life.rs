use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{EndArgs, Family, FamilyArgs, SelectArgs, time::time};

/// The parts of the help.
const WHICH: &str = "Which connections";
const WHENCE: &str = "Where they come from";
const SHOWN: &str = "What is shown";
const END: &str = "When it ends";

/// The arguments of `life`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LifeArgs {
    /// A filter in the language of ss, such as: dport = :443 and retrans > 0
    ///
    /// It is asked of the last facts of a connection. Of owner, queues and state nothing is told any
    /// more, and a condition on what is not told never holds. Marks cannot be asked for.
    #[arg(value_name = "FILTER", num_args = 0..)]
    filter: Vec<String>,

    #[command(flatten, next_help_heading = WHICH)]
    family: FamilyArgs,

    #[command(flatten, next_help_heading = WHICH)]
    ends: EndArgs,

    /// Held by this process when it was last seen
    ///
    /// A connection that begins and ends between two looks is not shown: nobody knows whose it was.
    #[arg(help_heading = WHICH, long, value_name = "PID")]
    pub(crate) pid: Option<u32>,

    /// Made by this user, a name or a number, by what was last seen of it
    #[arg(help_heading = WHICH, long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Also what never became a connection: listeners, attempts that failed
    #[arg(help_heading = WHICH, short, long)]
    pub(crate) all: bool,

    /// Of another network namespace: a name of "ip netns", a path, or a process by its number
    #[arg(help_heading = WHENCE, short = 'N', long, value_name = "NAME")]
    pub(crate) netns: Option<String>,

    /// How often to look who holds the connections that are open; 0 for once only
    ///
    /// A connection that begins and ends between two looks has no process. Less often, if a look
    /// takes more than a tenth of that time.
    #[arg(help_heading = WHENCE, long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) refresh: Duration,

    /// The columns of the table, or of csv; "help" lists them
    ///
    /// A "+" in front adds to those that are shown anyway.
    #[arg(help_heading = SHOWN, short, long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,

    /// In which form
    #[arg(help_heading = SHOWN, long, value_enum, default_value_t = LifeFormat::Table)]
    pub(crate) format: LifeFormat,

    /// Leave the line with the names of columns out
    #[arg(help_heading = SHOWN, short = 'H', long)]
    pub(crate) no_header: bool,

    /// Say at the end how many there were, how much they carried and why they ended
    #[arg(
        help_heading = SHOWN, short, long, value_enum, value_name = "HOW",
        num_args = 0..=1, require_equals = true, default_missing_value = "after",
    )]
    pub(crate) summary: Option<Summary>,

    /// End after so many connections
    #[arg(help_heading = END, short = 'n', long, value_name = "NUMBER")]
    pub(crate) count: Option<u64>,

    /// End after this time, such as 90s or 10min
    #[arg(help_heading = END, short, long, value_name = "TIME", value_parser = time)]
    pub(crate) duration: Option<Duration>,
}

impl LifeArgs {
    /// What they say of addresses and facts, as `list` has it.
    pub(crate) fn select(&self) -> SelectArgs {
        let mut filter = self.filter.clone();
        if let Some(family) = self.family.chosen() {
            if !filter.is_empty() {
                filter.insert(0, "(".to_owned());
                filter.push(")".to_owned());
            }
            let name = match family {
                Family::Ipv4 => "inet",
                Family::Ipv6 => "inet6",
            };
            filter.extend(["family".to_owned(), name.to_owned()]);
        }
        SelectArgs { filter, ends: self.ends, netns: self.netns.clone(), ..SelectArgs::default() }
    }
}

/// How connections are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LifeFormat {
    /// A line each, in columns
    Table,
    /// One object a line; conniver schema life describes it
    Jsonl,
    /// Comma-separated values
    Csv,
}

/// Where the sums stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Summary {
    /// After the connections
    After,
    /// Instead of the connections
    Only,
}
