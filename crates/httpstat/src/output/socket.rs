//! The socket underneath, when it was opened and right before it closed.

use std::fmt::Write as _;

use conniver::Warning;
use tcpinfo::{
    Reading, TcpInfo, Warning as Kernel,
    fields::{Field, Unit, Value},
};

use super::{
    View,
    pretty::{ABSENT, DOT, flow},
    style::{BAD, FAINT, STRONG, paint},
};
use crate::{escape, hop::Hop, units};

/// The panel about the connection, empty if there was none.
pub(super) fn panel(hop: &Hop, view: &View) -> String {
    let Some(report) = hop.socket.as_ref().and_then(|socket| socket.report()) else {
        return String::new();
    };
    let (opened, closed) = (report.opened_info(), report.closed_info());
    let mut text = match (&opened, &closed) {
        (None, None) => {
            let why = "This system tells nothing about its sockets.";
            format!("{}\n{}\n", paint(STRONG, "Socket"), paint(FAINT, why))
        }
        _ => {
            let cell = |info: &Option<TcpInfo>, fact: Fact| info.as_ref().and_then(fact);
            let rows = FACTS.map(|(label, fact)| (label, cell(&opened, fact), cell(&closed, fact)));
            table("Socket", rows, view)
        }
    };
    let moved = [
        ("sent", units::bytes(report.tx_bytes)),
        ("received", units::bytes(report.rx_bytes)),
        ("open for", units::time(report.duration())),
    ];
    text.push_str(&flow(moved, DOT, view));
    for warning in report.warnings() {
        let _ = writeln!(text, "{}", paint(BAD, format_args!("! {}", describe(&warning))));
    }
    if view.verbose {
        text.push_str(&kernel_fields(opened.as_ref(), closed.as_ref(), view));
    }
    text
}

type Fact = fn(&TcpInfo) -> Option<String>;

const FACTS: [(&str, Fact); 9] = [
    ("Round-trip time", |info| info.rtt().map(units::time)),
    ("  variance", |info| info.rtt_var().map(units::time)),
    ("  minimum", |info| info.min_rtt().map(units::time)),
    ("Congestion control", |info| info.congestion().map(|name| escape::text(name.as_str()))),
    ("Congestion window", |info| segments(info.tx_cwnd_segs(), info.tx_cwnd())),
    ("Segment size", |info| info.tx_mss().map(|mss| units::bytes(mss.into()))),
    ("Retransmitted", |info| segments(info.retransmitted_segs(), info.retransmitted_bytes())),
    ("Retransmit timeout", |info| info.rto().map(units::time)),
    ("Delivery rate", |info| info.delivery_rate().map(|rate| units::rate(rate as f64))),
];

fn segments(segs: Option<u64>, bytes: Option<u64>) -> Option<String> {
    let parts = [segs.map(|segs| format!("{} segs", units::count(segs))), bytes.map(units::bytes)];
    let known: Vec<_> = parts.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(" · "))
}

/// Every field of the operating system's own structure, under the name it has there.
fn kernel_fields(opened: Option<&TcpInfo>, closed: Option<&TcpInfo>, view: &View) -> String {
    let readings = |info: Option<&TcpInfo>| {
        info.map(|info| info.native().fields().collect::<Vec<_>>()).unwrap_or_default()
    };
    let (opened, closed) = (readings(opened), readings(closed));
    let fields = if opened.is_empty() { &closed } else { &opened };
    if fields.is_empty() {
        return String::new();
    }
    let cell = |readings: &[(&Field, Reading<Value>)], field: &Field| {
        let (_, reading) = readings.iter().find(|(other, _)| other.name == field.name)?;
        match reading {
            Reading::Absent => None,
            Reading::Unset => Some("unset".to_owned()),
            Reading::Value(value) => Some(with_unit(value, field.unit)),
        }
    };
    let rows =
        fields.iter().map(|(field, _)| (field.name, cell(&opened, field), cell(&closed, field)));
    format!("\n{}", table("Kernel fields", rows, view))
}

fn with_unit(value: &Value, unit: Unit) -> String {
    match (value, unit) {
        (Value::Duration(time), _) => units::time(*time),
        (Value::Unsigned(number), Unit::None | Unit::Count) => units::count(*number),
        (Value::Unsigned(number), unit) => format!("{} {unit}", units::count(*number)),
        (value, _) => escape::text(&value.to_string()),
    }
}

fn several(count: impl Into<u64>, one: &str, more: &str) -> String {
    let count = count.into();
    format!("{} {}", units::count(count), if count == 1 { one } else { more })
}

/// The warning as a sentence.
fn describe(warning: &Warning) -> String {
    let Warning::Kernel(warning) = warning else { return warning.to_string() };
    match warning {
        Kernel::RetransmittedBytes(bytes) => format!("{} were retransmitted", units::bytes(*bytes)),
        Kernel::RetransmittedSegs(segs) => {
            format!("{} retransmitted", several(*segs, "segment was", "segments were"))
        }
        Kernel::Timeouts(count) => {
            several(*count, "retransmission timeout", "retransmission timeouts")
        }
        Kernel::Backoff(count) => {
            let times = several(*count, "time", "times");
            format!("the retransmission timeout was doubled {times}: nobody answers")
        }
        Kernel::UnansweredProbes(count) => {
            several(*count, "probe was not answered", "probes in a row were not answered")
        }
        Kernel::SpuriousRetransmits(count) => {
            format!("{} needless", several(*count, "retransmission was", "retransmissions were"))
        }
        Kernel::OutOfOrderPackets(packets) => {
            format!("{} arrived out of order", several(*packets, "packet", "packets"))
        }
        Kernel::PeerWindowLimited(time) => {
            format!("sending stood still {} for the server's receive window", units::time(*time))
        }
        Kernel::SendBufferLimited(time) => {
            format!("sending stood still {} for our own send buffer", units::time(*time))
        }
        Kernel::CongestionMarkedSegs(segs) => {
            format!("{} bore a congestion mark", several(*segs, "segment", "segments"))
        }
        other => other.to_string(),
    }
}

/// Facts at both ends of the connection's life; where that is too wide, at its close.
pub(super) fn table<'a>(
    title: &str,
    rows: impl IntoIterator<Item = (&'a str, Option<String>, Option<String>)>,
    view: &View,
) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let longest = rows.iter().map(|(label, ..)| label.len()).max().unwrap_or_default();
    let label_width = longest.min(MAX_LABEL_WIDTH);
    let column = (view.width.saturating_sub(label_width + 2) / 2).clamp(1, MAX_COLUMN_WIDTH) - 1;
    let line = |label: &str, opened: &str, closed: &str| match column + 1 >= MIN_COLUMN_WIDTH {
        true => format!("{label}  {opened:column$} {closed}\n"),
        false => format!("{label}  {closed}\n"),
    };
    let heading = line(&format!("{title:label_width$}"), "at open", "at close");
    let mut text = paint(STRONG, heading.trim_end()) + "\n";
    for (label, opened, closed) in rows {
        let label = paint(FAINT, format_args!("{label:label_width$}"));
        let [opened, closed] = [&opened, &closed].map(|cell| cell.as_deref().unwrap_or(ABSENT));
        text.push_str(&line(&label, opened, closed));
    }
    text
}

/// One field of Linux has a longer name; its row alone is pushed to the right.
const MAX_LABEL_WIDTH: usize = 20;
const MAX_COLUMN_WIDTH: usize = 29;
const MIN_COLUMN_WIDTH: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_told_as_many() {
        let told = |warning| describe(&Warning::Kernel(warning));
        assert_eq!(told(Kernel::RetransmittedSegs(1)), "1 segment was retransmitted");
        assert_eq!(told(Kernel::RetransmittedSegs(1_234)), "1,234 segments were retransmitted");
        assert_eq!(told(Kernel::SpuriousRetransmits(1)), "1 retransmission was needless");
    }
}
