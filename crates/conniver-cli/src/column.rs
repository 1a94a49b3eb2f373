//! The one catalogue of what can be shown of a socket: by the table, as comma-separated values, to
//! sort by.

mod catalogue;
mod ulp;
mod value;

use std::fmt::Write as _;

use sockdiag::{Entry, Tell};
use tcpinfo::native::{Lent, linux::LinuxTcpInfo};

pub(crate) use catalogue::{
    all, each_info_field, each_memory_field, each_option, send_rate, usual,
};
pub(crate) use ulp::columns as of_ulp;
pub(crate) use value::{Key, Value, of_reading};

use crate::{error::Error, process::Holders};

/// One thing that can be shown of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// How it is asked for.
    pub(crate) name: &'static str,
    /// What stands above it.
    pub(crate) heading: &'static str,
    pub(crate) help: &'static str,
    pub(crate) unit: Unit,
    /// What the kernel has to be asked for.
    pub(crate) tell: Tell,
    /// Whether the processes have to be looked through.
    pub(crate) needs_holders: bool,
    pub(crate) value: for<'a> fn(&Row<'a>) -> Value<'a>,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// It is none: text, which stands to the left.
    Text,
    /// A number of something, or of nothing in particular.
    Count,
    Bytes,
    BytesPerSecond,
    Time,
    /// A part of a whole.
    Share,
    /// A factor.
    Factor,
}

impl Unit {
    /// In the list of columns.
    fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Count => "",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes/s",
            Self::Time => "time",
            Self::Share => "share",
            Self::Factor => "factor",
        }
    }
}

/// A socket, taken apart as far as is needed for all columns of a line.
pub(crate) struct Row<'a> {
    pub(crate) entry: Entry<'a>,
    pub(crate) info: Option<LinuxTcpInfo<Lent<'a>>>,
    pub(crate) holders: Option<Holders<'a>>,
}

impl<'a> Row<'a> {
    #[inline]
    pub(crate) fn new(entry: Entry<'a>, holders: Option<Holders<'a>>) -> Self {
        Self { entry, info: entry.native_tcp_info(), holders }
    }

    /// Whoever holds the socket, if anybody is known to.
    #[inline]
    pub(crate) fn known_holders(&self) -> Option<Holders<'a>> {
        self.holders.filter(|holders| !holders.is_empty())
    }
}

/// What these names stand for, or the usual if there are none; a name with a "+" in front, and those
/// after it, come after the usual.
pub(crate) fn named<T>(
    names: &[String],
    usual: impl Iterator<Item = T>,
    all: impl Iterator<Item = T> + Clone,
    find: impl Fn(&str) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let is_added = |name: &String| name.trim_start().starts_with('+');
    let mut columns = match names.first().is_none_or(is_added) {
        true => usual.collect(),
        false => Vec::new(),
    };
    for name in names {
        let name = name.trim();
        match name.strip_prefix('+').unwrap_or(name) {
            "all" => columns.extend(all.clone()),
            bare => columns.push(find(bare)?),
        }
    }
    Ok(columns)
}

/// The column of this name.
pub(crate) fn find(name: &str) -> Result<&'static Column, Error> {
    let wanted = plain(name);
    if let Some(column) = all().iter().find(|column| column.name == wanted) {
        return Ok(column);
    }
    // What stands above a column is a name, too, if it is of one only.
    let mut headed = all().iter().filter(|column| plain(column.heading) == wanted);
    if let (Some(column), None) = (headed.next(), headed.next()) {
        return Ok(column);
    }
    let close: Vec<_> = all()
        .iter()
        .map(|column| column.name)
        .filter(|known| wanted.len() > 2 && known.contains(&wanted))
        .take(4)
        .collect();
    let advice = match &*close {
        [] => "--columns help lists all".to_owned(),
        close => format!("there are {}; --columns help lists all", close.join(", ")),
    };
    Err(Error::usage(format!("there is no column {name:?}; {advice}")))
}

/// A name or a heading as names are compared, however somebody writes it.
pub(crate) fn plain(text: &str) -> String {
    text.to_ascii_lowercase().replace(['-', '.'], "_")
}

/// Every column with its unit and meaning.
pub(crate) fn help() -> String {
    let width = all().iter().map(|column| column.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Column { name, unit, help, .. } in all() {
        let _ = writeln!(text, "{name:width$}  {:8}  {help}", unit.name());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_of_the_kernel_has_a_column() {
        let columns: BTreeSet<_> = all().iter().map(|column| column.name).collect();
        for field in tcpinfo::native::linux::schema() {
            assert!(columns.contains(field.name), "{} has no column", field.name);
        }
    }

    #[test]
    fn names_are_distinct_and_found() {
        let mut names = BTreeSet::new();
        for column in all() {
            assert!(names.insert(column.name), "{} is there twice", column.name);
            assert_eq!(find(column.name).unwrap().name, column.name);
            assert!(!column.help.is_empty() && !column.heading.is_empty());
        }
        assert_eq!(find("RECV-Q").unwrap().name, "recv_q");
        assert_eq!(find("CWND").unwrap().name, "snd_cwnd");
        let complaint = find("cwin").unwrap_err().to_string();
        assert!(complaint.contains("\"cwin\""), "{complaint}");
    }

    #[test]
    fn a_plus_adds_to_what_is_shown_anyway() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let columns = named(&names, usual(), all().iter(), find).unwrap();
            columns.iter().map(|column| column.name).collect::<Vec<_>>()
        };
        let usual = names(&[]);
        assert!(usual.len() > 5, "{usual:?}");
        assert_eq!(names(&["rtt", " local"]), ["rtt", "local"]);
        let with = |added: &[&'static str]| [&usual[..], added].concat();
        assert_eq!(names(&["+cookie", "inode"]), with(&["cookie", "inode"]));
        assert_eq!(names(&[" +cookie", "+inode", "rtt"]), with(&["cookie", "inode", "rtt"]));
        assert_eq!(names(&["cookie", "+inode"]), ["cookie", "inode"], "after what is there");
        assert_eq!(names(&["all"]).len(), all().len());
        assert_eq!(names(&["rtt", "+all"]).len(), 1 + all().len());
    }
}
