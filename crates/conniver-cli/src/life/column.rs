//! The columns: those of a connection that has ended, and before them all of `list`.

use std::time::Duration;

use super::{ended::Ended, facts::Age};
use crate::{
    column::{self, Column, Unit, Value},
    error::Error,
    text::Put as _,
};

/// One thing that can be shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    Own(&'static Own),
    OfSocket(Column),
}

/// What only an end has.
#[derive(Debug)]
pub(super) struct Own {
    name: &'static str,
    heading: &'static str,
    help: &'static str,
    unit: Unit,
    value: for<'a> fn(&Ended<'a>) -> Value<'a>,
}

const fn own(
    name: &'static str,
    heading: &'static str,
    help: &'static str,
    unit: Unit,
    value: for<'a> fn(&Ended<'a>) -> Value<'a>,
) -> Own {
    Own { name, heading, help, unit, value }
}

static OWN: &[Own] = &[
    own(
        "ended",
        "ENDED",
        "When the end was told: the time of day, UTC; in csv since 1970",
        Unit::Time,
        |end| Value::Time(end.at),
    ),
    own(
        "lived",
        "LIVED",
        "How long since the handshake, with \"≥\" if it is at least so long",
        Unit::Time,
        |end| match end.age {
            Some(Age::Exact(time) | Age::AtLeast(time)) => Value::Time(time),
            None => Value::Absent,
        },
    ),
    own(
        "lived_exact",
        "EXACT",
        "Whether that is so to the kernel's tick, rather than at least",
        Unit::Text,
        |end| match end.age {
            Some(age) => Value::Flag(matches!(age, Age::Exact(_))),
            None => Value::Absent,
        },
    ),
    own("process", "PROCESS", "Programs that held it when it was last seen", Unit::Text, |end| {
        end.holding.map_or(Value::Absent, |holding| Value::Text(&holding.text))
    }),
    own("pid", "PID", "Process that held it; the first, if several did", Unit::Count, |end| {
        end.holding.and_then(|holding| holding.pids.first().copied()).into()
    }),
    own("command", "COMMAND", "Name of that process", Unit::Text, |end| {
        end.holding.map_or(Value::Absent, |holding| Value::Text(&holding.command))
    }),
    own("reason", "REASON", "Why it ended, as far as the last facts tell", Unit::Text, |end| {
        Value::Word(end.reason.as_str())
    }),
    own("tx_bytes", "TX", "Payload sent, each byte once", Unit::Bytes, |end| end.tx_bytes().into()),
    own(
        "rx_bytes",
        "RX",
        "Payload received in order; one more if this end closed first and the peer's FIN was waited for",
        Unit::Bytes,
        |end| end.rx_bytes().into(),
    ),
];

/// What is shown if nobody says otherwise, in this order; and which goes first for want of space.
const USUAL: &[(&str, u8)] = &[
    ("ended", 4),
    ("lived", 1),
    ("process", 3),
    ("local", 0),
    ("remote", 0),
    ("tx_bytes", 2),
    ("rx_bytes", 2),
    ("rtt", 5),
    ("min_rtt", 7),
    ("total_retrans", 6),
    ("retrans_share", 8),
    ("reason", 1),
];

/// For a program also whether the time is exact.
const USUAL_OF_CSV: &[&str] = &[
    "ended",
    "lived",
    "lived_exact",
    "process",
    "local",
    "remote",
    "tx_bytes",
    "rx_bytes",
    "rtt",
    "min_rtt",
    "total_retrans",
    "retrans_share",
    "reason",
    "cookie",
];

impl Shown {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Own(own) => own.name,
            Self::OfSocket(column) => column.name,
        }
    }

    pub(super) fn heading(&self) -> &'static str {
        match self {
            Self::Own(own) => own.heading,
            Self::OfSocket(column) => column.heading,
        }
    }

    pub(super) fn unit(&self) -> Unit {
        match self {
            Self::Own(own) => own.unit,
            Self::OfSocket(column) => column.unit,
        }
    }

    pub(super) fn value<'a>(&self, end: &Ended<'a>) -> Value<'a> {
        match self {
            Self::Own(own) => (own.value)(end),
            Self::OfSocket(column) => (column.value)(&end.row),
        }
    }

    /// For a person.
    pub(super) fn put_short(&self, end: &Ended<'_>, out: &mut Vec<u8>) {
        match self.name() {
            "ended" => put_time_of_day(end.at, out),
            "lived" => {
                if let Some(Age::AtLeast(_)) = end.age {
                    out.put("≥");
                }
                self.value(end).put_short(out, self.unit());
            }
            _ => self.value(end).put_short(out, self.unit()),
        }
    }

    /// How wide it is at first; wider cells make it wider.
    pub(super) fn width(&self) -> usize {
        let cells = match self.name() {
            "ended" => 12,
            "lived" => 7,
            "process" => 12,
            "local" | "remote" => 19,
            "reason" => 11,
            _ if self.unit() == Unit::Text => 0,
            _ => 6,
        };
        cells.max(self.heading().chars().count())
    }
}

/// As 15:04:05.123, in UTC.
fn put_time_of_day(since_1970: Duration, out: &mut Vec<u8>) {
    let seconds = since_1970.as_secs() % 86_400;
    for (position, part) in
        [seconds / 3_600, seconds / 60 % 60, seconds % 60].into_iter().enumerate()
    {
        if position > 0 {
            out.push(b':');
        }
        out.push(b'0' + (part / 10) as u8);
        out.push(b'0' + (part % 10) as u8);
    }
    out.push(b'.');
    let millis = since_1970.subsec_millis();
    out.extend([millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8));
}

/// The columns of these names, or the usual ones.
pub(super) fn named(names: &[String], is_csv: bool) -> Result<Vec<Shown>, Error> {
    let usual: Vec<_> = match is_csv {
        true => USUAL_OF_CSV.to_vec(),
        false => USUAL.iter().map(|(name, _)| *name).collect(),
    };
    let usual = usual.into_iter().filter_map(|name| find(name).ok());
    let of_socket = column::all().iter().filter(|column| !is_own(column.name));
    let all = OWN.iter().map(Shown::Own).chain(of_socket.copied().map(Shown::OfSocket));
    column::named(names, usual, all, find)
}

fn is_own(name: &str) -> bool {
    OWN.iter().any(|own| own.name == name)
}

fn find(name: &str) -> Result<Shown, Error> {
    let wanted = column::plain(name);
    match OWN.iter().find(|own| own.name == wanted || column::plain(own.heading) == wanted) {
        Some(own) => Ok(Shown::Own(own)),
        None => column::find(name).map(|column| Shown::OfSocket(*column)),
    }
}

/// As many of the usual columns as fit, the least wanted left out first.
pub(super) fn fit(mut columns: Vec<Shown>, width: usize) -> Vec<Shown> {
    let rank = |shown: &Shown| {
        USUAL.iter().find(|(name, _)| *name == shown.name()).map_or(0, |(_, rank)| *rank)
    };
    while total(columns.iter().map(Shown::width)) > width && columns.len() > 2 {
        let least = (0..columns.len()).max_by_key(|place| rank(&columns[*place]));
        columns.remove(least.unwrap_or(0));
    }
    columns
}

/// How wide a line of such columns is.
pub(super) fn total(widths: impl Iterator<Item = usize>) -> usize {
    widths.map(|width| width + 2).sum::<usize>().saturating_sub(2)
}

/// Every column with its meaning.
pub(super) fn help() -> String {
    let width = column::all().iter().map(|column| column.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Own { name, help, .. } in OWN {
        text.push_str(&format!("{name:width$}            {help}\n"));
    }
    text.push_str("\nand of the last facts:\n\n");
    for line in column::help().lines() {
        if !line.split_whitespace().next().is_some_and(is_own) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_columns_are_known_and_fit_a_terminal() {
        assert_eq!(named(&[], true).unwrap().len(), USUAL_OF_CSV.len());
        let all = named(&[], false).unwrap();
        let shown = |width| {
            let columns = fit(all.clone(), width);
            assert!(total(columns.iter().map(Shown::width)) <= width || columns.len() == 2);
            columns.iter().map(Shown::name).collect::<Vec<_>>()
        };
        assert_eq!(shown(500).len(), USUAL.len());
        assert_eq!(shown(80), ["lived", "local", "remote", "tx_bytes", "rx_bytes", "reason"]);
        assert_eq!(shown(1), ["local", "remote"]);
    }

    #[test]
    fn columns_of_both_kinds_are_found() {
        let names = |text: &str| {
            let names: Vec<String> = text.split(',').map(str::to_owned).collect();
            named(&names, false).map(|columns| columns.iter().map(Shown::name).collect::<Vec<_>>())
        };
        assert_eq!(names("REASON,snd_cwnd").unwrap(), ["reason", "snd_cwnd"]);
        assert_eq!(names("+cookie").unwrap().len(), USUAL.len() + 1);
        assert!(names("nope").unwrap_err().to_string().contains("\"nope\""));
        assert!(names("all").unwrap().len() > 100);
    }

    #[test]
    fn the_time_of_day_is_utc() {
        let mut out = Vec::new();
        put_time_of_day(Duration::from_millis(86_400_000 * 3 + 3_723_045), &mut out);
        assert_eq!(out, b"01:02:03.045");
    }
}
