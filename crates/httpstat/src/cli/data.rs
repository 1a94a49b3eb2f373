//! The request body's options, whose order among each other counts.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

use super::REQUEST;
use crate::payload::Data;

/// What `--data` and its relatives give, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct DataArgs {
    pub(crate) parts: Vec<Data>,
}

const DATA: &str = "data";
const RAW: &str = "data_raw";
const JSON: &str = "json";

impl Args for DataArgs {
    fn augment_args(command: Command) -> Command {
        let argument = |id: &'static str, help: &'static str| {
            Arg::new(id)
                .help_heading(REQUEST)
                .value_name("DATA")
                .help(help)
                .action(ArgAction::Append)
                .value_parser(value_parser!(String))
                .allow_hyphen_values(true)
        };
        command
            .arg(
                argument(
                    DATA,
                    "Send DATA as the request body, or the content of a file with @FILE",
                )
                .short('d')
                .long("data")
                .visible_alias("data-binary")
                .long_help(
                    "Send DATA as the request body, or the content of a file with @FILE\n\n\
                         May be given more than once; the parts are joined with \"&\". Files are \
                         sent byte for byte, \"@-\" is the standard input. Unless given with -H, \
                         the content type is application/x-www-form-urlencoded.",
                ),
            )
            .arg(argument(RAW, "The same, where \"@\" has no meaning").long("data-raw"))
            .arg(
                argument(JSON, "Send JSON, or the content of a file with @FILE")
                    .long("json")
                    .long_help(
                        "Send JSON, or the content of a file with @FILE\n\nContent-Type and Accept \
                         become application/json. May be given more than once; nothing is put \
                         between the parts, and nothing is checked.",
                    ),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DataArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let kinds = [(DATA, Data::Form as fn(_) -> _), (RAW, Data::Raw), (JSON, Data::Json)];
        let mut parts = Vec::new();
        for (id, kind) in kinds {
            let values = matches.get_many::<String>(id).into_iter().flatten();
            let places = matches.indices_of(id).into_iter().flatten();
            parts.extend(places.zip(values).map(|(place, value)| (place, kind(value.clone()))));
        }
        parts.sort_by_key(|(place, _)| *place);
        Ok(Self { parts: parts.into_iter().map(|(_, part)| part).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
