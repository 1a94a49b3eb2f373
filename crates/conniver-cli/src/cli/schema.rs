use clap::{Args, ValueEnum};

/// The arguments of `schema`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SchemaArgs {
    /// Print a JSON Schema instead
    #[arg(value_enum, value_name = "WHAT", conflicts_with_all = ["all", "json"])]
    pub(crate) of: Option<Written>,

    /// Of every system, not only of this one
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Written {
    /// Of a socket, as list writes it with --format jsonl and lookup with --json
    List,
    /// Of the array that list writes with --format json, and serve at /api/connections
    Connections,
    /// Of what list writes with --summary and --format json or jsonl
    Summary,
    /// Of each line that life writes with --format jsonl
    Life,
}
