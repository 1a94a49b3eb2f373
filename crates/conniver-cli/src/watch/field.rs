//! What can be a column here: what is told of a socket, and what follows from two looks at it.

use std::{cmp::Ordering, time::Duration};

use super::connection::{Change, Connection};
use crate::{
    column::{self, Column, Key, Row, Unit, Value},
    error::Error,
    process::Processes,
    text::Put as _,
};

/// What can be a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    /// What every list has.
    Told(&'static Column),
    /// What follows from two looks.
    Course(&'static Course),
}

/// What follows from two looks.
#[derive(Debug)]
pub(crate) struct Course {
    name: &'static str,
    heading: &'static str,
    help: &'static str,
    unit: &'static str,
    value: fn(&Change) -> Option<Amount>,
}

/// How much something has changed.
#[derive(Clone, Copy, Debug)]
enum Amount {
    BytesPerSecond(f64),
    PerSecond(f64),
    Count(u64),
    Share(f64),
    Micros(i64),
    Steps(i64),
}

/// What a connection's cell is made of.
pub(crate) struct Cells<'a> {
    connection: &'a Connection,
    row: Row<'a>,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(connection: &'a Connection, processes: Option<&'a Processes>) -> Self {
        let entry = connection.entry();
        let holders = processes.map(|processes| processes.holders(entry.inode()));
        Self { connection, row: Row::new(entry, holders) }
    }
}

impl Field {
    /// The field of this name.
    pub(crate) fn find(name: &str) -> Result<Self, Error> {
        let wanted = name.to_ascii_lowercase().replace('-', "_");
        let course = COURSES
            .iter()
            .find(|course| course.name == wanted || course.heading.eq_ignore_ascii_case(name));
        match course {
            Some(course) => Ok(Self::Course(course)),
            None => column::find(name).map(Self::Told),
        }
    }

    /// Every field, what follows from two looks first.
    pub(crate) fn all() -> impl Iterator<Item = Self> + Clone {
        COURSES.iter().map(Self::Course).chain(column::all().iter().map(Self::Told))
    }

    /// What is shown if nobody says otherwise, the most wanted first.
    pub(crate) fn usual(has_holders: bool) -> impl Iterator<Item = Self> {
        let told = column::usual().map(Self::Told);
        let (ends, others): (Vec<_>, Vec<_>) =
            told.partition(|field| ["state", "local", "remote"].contains(&field.name()));
        let courses = ["tx_rate", "rx_rate"];
        let courses = courses.into_iter().filter_map(|name| Self::find(name).ok());
        let later = ["retrans_rate", "rtt_change"];
        let later: Vec<_> = later.into_iter().filter_map(|name| Self::find(name).ok()).collect();
        let others = others.into_iter().filter(move |field| has_holders || !field.needs_holders());
        let mut fields: Vec<_> = ends.into_iter().chain(courses).chain(others).collect();
        let place = fields.iter().position(|field| field.name() == "total_retrans");
        let place = place.map_or(fields.len(), |place| place + 1);
        fields.splice(place..place, later);
        fields.into_iter()
    }

    /// The fields of these names, each once.
    pub(crate) fn named(names: &[String], has_holders: bool) -> Result<Vec<Self>, Error> {
        let usual = Self::usual(has_holders);
        let mut fields: Vec<Self> = Vec::new();
        for field in column::named(names, usual, Self::all(), Self::find)? {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        if has_holders && !fields.iter().any(Self::needs_holders) {
            fields.push(Self::find("process")?);
        }
        Ok(fields)
    }

    /// Every field with its meaning, for a person.
    pub(crate) fn help() -> String {
        let width = Self::all().map(|field| field.name().len()).max().unwrap_or_default();
        let line = |course: &Course| {
            let Course { name, unit, help, .. } = course;
            format!("{name:width$}  {unit:8}  {help}\n")
        };
        COURSES.iter().map(line).collect::<String>() + &column::help()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Told(column) => column.name,
            Self::Course(course) => course.name,
        }
    }

    pub(crate) fn heading(&self) -> &'static str {
        match self {
            Self::Told(column) => column.heading,
            Self::Course(course) => course.heading,
        }
    }

    pub(crate) fn meaning(&self) -> &'static str {
        match self {
            Self::Told(column) => column.help,
            Self::Course(course) => course.help,
        }
    }

    /// What its number counts, unless the number says so itself.
    pub(crate) fn unit(&self) -> &'static str {
        let column = match self {
            Self::Told(column) => column,
            Self::Course(course) => return course.unit,
        };
        match column.unit {
            Unit::Text | Unit::Time => "",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "bytes/s",
            Unit::Share => "share",
            Unit::Factor => "factor",
            Unit::Count => {
                use tcpinfo::fields::Unit::{Connections, Packets, Segments, Sequence};
                let field =
                    tcpinfo::native::linux::schema().find(|field| field.name == column.name);
                match field.map(|field| field.unit) {
                    Some(Segments) => "segments",
                    Some(Packets) => "packets",
                    Some(Connections) => "connections",
                    Some(Sequence) => "sequence",
                    _ => "",
                }
            }
        }
    }

    pub(crate) fn needs_holders(&self) -> bool {
        matches!(self, Self::Told(column) if column.needs_holders)
    }

    /// Whether it stands to the left of its column.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Told(Column { unit: Unit::Text, .. }))
    }

    /// Whether one wants to see the largest first.
    pub(crate) fn begins_with_largest(&self) -> bool {
        !self.is_text()
    }

    /// For a person who compares many.
    pub(crate) fn put_short(&self, cells: &Cells<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Told(column) => (column.value)(&cells.row).put_short(out, column.unit),
            Self::Course(course) => match cells.connection.change().and_then(course.value) {
                Some(amount) => amount.put(out),
                None => out.push(b'-'),
            },
        }
    }

    /// With all its digits.
    pub(crate) fn put_exact(&self, cells: &Cells<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Told(column) => (column.value)(&cells.row).put_exact(out),
            Self::Course(course) => match cells.connection.change().and_then(course.value) {
                Some(amount) => amount.put_exact(out),
                None => out.push(b'-'),
            },
        }
    }

    /// What orders connections.
    pub(crate) fn key(&self, connection: &Connection, processes: Option<&Processes>) -> Key {
        match self {
            Self::Told(column) => {
                let processes = processes.filter(|_| column.needs_holders);
                (column.value)(&Cells::new(connection, processes).row).key()
            }
            Self::Course(course) => {
                let amount = connection.change().and_then(course.value);
                amount.map_or(Key::Absent, |amount| Key::Number(amount.key()))
            }
        }
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Amount {
    fn put(self, out: &mut Vec<u8>) {
        match self {
            // The heading says that it is a second's.
            Self::BytesPerSecond(rate) => out.put_size(rate.round() as u64),
            Self::PerSecond(rate) if rate < 100.0 && rate.fract() != 0.0 => {
                out.put_decimal((rate * 10.0).round() as u64, 1);
            }
            Self::PerSecond(rate) => out.put_number(rate.round() as u64),
            Self::Count(number) => out.put_number(number),
            Self::Share(share) => Value::Float(share).put_short(out, Unit::Share),
            Self::Micros(micros) => {
                put_sign(micros, out);
                out.put_time(Duration::from_micros(micros.unsigned_abs()));
            }
            Self::Steps(steps) => {
                put_sign(steps, out);
                out.put_number(steps.unsigned_abs());
            }
        }
    }

    /// With all its digits.
    fn put_exact(self, out: &mut Vec<u8>) {
        match self {
            Self::BytesPerSecond(rate) => out.put_number(rate.round() as u64),
            Self::Micros(micros) => {
                put_sign(micros, out);
                out.put_exact_time(Duration::from_micros(micros.unsigned_abs()));
            }
            other => other.put(out),
        }
    }

    fn key(self) -> u64 {
        match self {
            // Of numbers that are not negative the bits are in the same order.
            Self::BytesPerSecond(number) | Self::PerSecond(number) | Self::Share(number) => {
                number.to_bits()
            }
            Self::Count(number) => number,
            // The most negative becomes zero.
            Self::Micros(number) | Self::Steps(number) => (number as u64) ^ (1 << 63),
        }
    }
}

fn put_sign(number: i64, out: &mut Vec<u8>) {
    match number.cmp(&0) {
        Ordering::Less => out.push(b'-'),
        Ordering::Equal => {}
        Ordering::Greater => out.push(b'+'),
    }
}

static COURSES: [Course; 11] = [
    Course {
        name: "tx_rate",
        heading: "TX/S",
        help: "Bytes that the peer acknowledged, a second",
        unit: "bytes/s",
        value: |change| change.tx.map(Amount::BytesPerSecond),
    },
    Course {
        name: "rx_rate",
        heading: "RX/S",
        help: "Bytes received in order, a second",
        unit: "bytes/s",
        value: |change| change.rx.map(Amount::BytesPerSecond),
    },
    Course {
        name: "rate",
        heading: "RATE",
        help: "Bytes both ways, a second",
        unit: "bytes/s",
        value: |change| change.throughput().map(Amount::BytesPerSecond),
    },
    Course {
        name: "sent_rate",
        heading: "SENT/S",
        help: "Bytes sent, also again, a second",
        unit: "bytes/s",
        value: |change| change.sent.map(Amount::BytesPerSecond),
    },
    Course {
        name: "retrans_rate",
        heading: "RETR/S",
        help: "Segments sent again, a second",
        unit: "segments/s",
        value: |change| change.retrans.map(Amount::PerSecond),
    },
    Course {
        name: "retrans_new",
        heading: "RETR+",
        help: "Segments sent again since the last look",
        unit: "segments",
        value: |change| change.new_retrans.map(|number| Amount::Count(u64::from(number))),
    },
    Course {
        name: "retrans_new_share",
        heading: "RETR+%",
        help: "Share of the bytes sent since the last look that were sent again",
        unit: "",
        value: |change| {
            let (all, again) = (change.new_sent?, change.new_resent?);
            (all > 0).then(|| Amount::Share(again as f64 / all as f64))
        },
    },
    Course {
        name: "segs_out_rate",
        heading: "SEGS-OUT/S",
        help: "Segments sent, a second",
        unit: "segments/s",
        value: |change| change.segs_out.map(Amount::PerSecond),
    },
    Course {
        name: "segs_in_rate",
        heading: "SEGS-IN/S",
        help: "Segments received, a second",
        unit: "segments/s",
        value: |change| change.segs_in.map(Amount::PerSecond),
    },
    Course {
        name: "rtt_change",
        heading: "RTT+",
        help: "How much the round-trip time has grown since the last look",
        unit: "",
        value: |change| change.rtt_micros.map(Amount::Micros),
    },
    Course {
        name: "cwnd_change",
        heading: "CWND+",
        help: "How much the congestion window has grown since the last look",
        unit: "segments",
        value: |change| change.cwnd.map(Amount::Steps),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_headings_are_distinct() {
        let names: BTreeSet<_> = Field::all().map(|field| field.name()).collect();
        assert_eq!(names.len(), Field::all().count());
        for course in &COURSES {
            assert_eq!(Field::find(course.heading).unwrap().name(), course.name);
            let is_told = column::all().iter().any(|column| column.heading == course.heading);
            assert!(!is_told, "{}", course.heading);
        }
    }

    #[test]
    fn each_is_there_once() {
        let names = |text: &str, has_holders| {
            let names: Vec<_> = text.split_terminator(',').map(str::to_owned).collect();
            let fields = Field::named(&names, has_holders).unwrap();
            fields.iter().map(Field::name).collect::<Vec<_>>()
        };
        assert_eq!(names("rtt,tx_rate,RTT", false), ["rtt", "tx_rate"]);
        assert_eq!(names("rtt", true), ["rtt", "process"]);
        let usual = names("", false);
        assert_eq!(names("+rtt,local", false), usual, "they are among the usual");
        assert_eq!(names("+advmss", false), [&usual[..], &["advmss"]].concat());
        assert_eq!(names("advmss,all", false).len(), Field::all().count());
    }

    #[test]
    fn what_falls_is_less_than_what_stays_and_what_rises() {
        let keys = [-5, -1, 0, 1, 70].map(|number| Amount::Micros(number).key());
        assert!(keys.is_sorted());
    }
}
