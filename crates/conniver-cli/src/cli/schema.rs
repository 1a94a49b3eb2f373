use clap::{Args, ValueEnum};

/// The arguments of `schema`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SchemaArgs {
    /// Print the JSON Schema of what this command writes instead
    #[arg(value_enum, value_name = "COMMAND", conflicts_with_all = ["all", "json"])]
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
    /// Of a socket, as list, lookup and serve write it
    List,
    /// Of each line that life writes with --format jsonl
    Life,
}
