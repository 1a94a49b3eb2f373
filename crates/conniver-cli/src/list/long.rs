//! Everything that is known of each socket, field by field, with the names that columns have.

use sockdiag::Entry;
use tcpinfo::{CongestionInfo, Reading, State};

use crate::{
    cgroup,
    column::{
        Row, Unit, Value, each_info_field, each_memory_field, each_option, of_reading, of_ulp,
        send_rate,
    },
    interface,
    text::{Put as _, PutText as _},
};

/// How it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Long {
    /// Lines are broken here.
    pub(crate) width: Option<usize>,
}

const INDENT: &str = "    ";

impl Long {
    /// A line for the connection, and one for each group of facts.
    pub(crate) fn put(&self, row: &Row<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        put_socket(row, out);
        if let Some(holders) = row.known_holders() {
            line(out);
            out.put("process:");
            holders.put_with_descriptors(out);
        }
        if let Some(info) = &row.info {
            line(out);
            let first = out.len();
            // Hardly anything means something of what waits for connections, and that there is a queue
            // of them nothing of a connection.
            let is_listening = row.entry.state() == State::Listen;
            let has_meaning = |name: &str| !is_listening && !name.starts_with("accept_queue");
            macro_rules! put {
                ($($name:ident $heading:literal,)*) => {$(
                    match info.$name() {
                        Reading::Absent => {}
                        Reading::Unset if !has_meaning(stringify!($name)) => {}
                        Reading::Unset => out.put(concat!(" ", stringify!($name), ":-")),
                        value => {
                            out.put(concat!(" ", stringify!($name), ":"));
                            of_reading(value).put_exact(out);
                        }
                    }
                )*};
            }
            each_info_field!(put);
            // Each has a space in front, of which the line has enough.
            if out.get(first) == Some(&b' ') {
                out.remove(first);
            }
            if let Some(rate) = send_rate(info) {
                out.put(" send_rate:");
                Value::Number(rate).put_short(out, Unit::BytesPerSecond);
            }
            if !info.unknown_tail().is_empty() {
                out.put(" unknown_tail:");
                out.put_bytes(info.unknown_tail());
            }
        }
        put_congestion(&row.entry, out);
        put_buffers(&row.entry, out);
        put_ulp(row, out);
        if row.entry.md5_keys().next().is_some() {
            line(out);
            out.put("md5_keys:");
            Value::Signed(row.entry).put_exact(out);
        }
        for unknown in row.entry.unknown_attributes() {
            line(out);
            out.put("attribute_");
            out.put_number(u64::from(unknown.number));
            out.push(b':');
            out.put_bytes(unknown.payload);
        }
        out.push(b'\n');
        if let Some(width) = self.width {
            wrap(out, start, width);
        }
    }
}

fn line(out: &mut Vec<u8>) {
    out.push(b'\n');
    out.put(INDENT);
}

/// What is told of every socket, on the first line.
fn put_socket(row: &Row<'_>, out: &mut Vec<u8>) {
    let entry = &row.entry;
    Value::State(entry.state()).put_exact(out);
    out.push(b' ');
    out.put_end(&entry.local_end(interface::names()));
    out.push(b' ');
    out.put_end(&entry.remote_end());
    let queues = entry.queues();
    number(out, " recv_q:", queues.accept_queue.or(queues.unread_bytes));
    number(out, " send_q:", queues.accept_queue_limit.or(queues.queued_bytes));
    if let Some(timer) = entry.timer() {
        out.put(" timer:");
        Value::Timer(timer).put_exact(out);
    }
    number(out, " uid:", entry.uid());
    number(out, " inode:", entry.inode());
    out.put(" cookie:");
    out.put_hex(entry.cookie());
    number(out, " interface:", entry.interface());
    if let Some(mark) = entry.mark() {
        out.put(" mark:");
        out.put_hex(u64::from(mark));
    }
    if let Some(id) = entry.cgroup_id() {
        number(out, " cgroup_id:", Some(id));
        cgroup::with_path(id, |path| {
            out.put(" cgroup:");
            out.put_escaped(path);
        });
    }
    if let Some(shutdown) = entry.shutdown() {
        out.put(match (shutdown.receive, shutdown.send) {
            (false, false) => " shutdown:no",
            (true, false) => " shutdown:receive",
            (false, true) => " shutdown:send",
            (true, true) => " shutdown:both",
        });
    }
    if let Some(only) = entry.is_ipv6_only() {
        out.put(if only { " ipv6_only:yes" } else { " ipv6_only:no" });
    }
}

fn put_congestion(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let Some(congestion) = entry.congestion() else { return };
    line(out);
    out.put("congestion:");
    out.put_escaped(congestion.name.as_str());
    let float = |out: &mut Vec<u8>, name: &str, value: Option<f64>| {
        out.put(name);
        value.map_or(Value::Absent, Value::Float).put_exact(out);
    };
    let time = |out: &mut Vec<u8>, name: &str, value: Option<_>| {
        out.put(name);
        Value::from(value).put_exact(out);
    };
    match congestion.info {
        None => {}
        Some(CongestionInfo::Bbr(bbr)) => {
            out.put(" bbr_bandwidth:");
            Value::from(bbr.bandwidth).put_exact(out);
            time(out, " bbr_min_rtt:", bbr.min_rtt);
            float(out, " bbr_pacing_gain:", bbr.pacing_gain);
            float(out, " bbr_cwnd_gain:", bbr.cwnd_gain);
            if !bbr.tail.is_empty() {
                out.put(" bbr_tail:");
                out.put_bytes(bbr.tail);
            }
        }
        Some(CongestionInfo::Dctcp(dctcp)) => {
            out.put(if dctcp.enabled { " dctcp_enabled:yes" } else { " dctcp_enabled:no" });
            number(out, " dctcp_ce_state:", Some(dctcp.ce_state));
            float(out, " dctcp_alpha:", Some(dctcp.alpha));
            number(out, " dctcp_acked_ecn_bytes:", Some(dctcp.acked_ecn_bytes));
            number(out, " dctcp_acked_bytes:", Some(dctcp.acked_bytes));
        }
        Some(CongestionInfo::Vegas(vegas)) => {
            out.put(if vegas.enabled { " vegas_enabled:yes" } else { " vegas_enabled:no" });
            number(out, " vegas_rtt_samples:", Some(vegas.rtt_samples));
            time(out, " vegas_rtt:", vegas.rtt);
            time(out, " vegas_min_rtt:", vegas.min_rtt);
        }
        Some(CongestionInfo::Other(info)) => {
            out.put(" congestion_bytes:");
            out.put_bytes(info);
        }
        Some(_) => {}
    }
}

/// Memory, type of service and options.
fn put_buffers(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    line(out);
    let first = out.len();
    if let Some(memory) = entry.memory() {
        // As ss shows it, for those who know it by heart.
        out.put(" skmem:(");
        let begin = out.len();
        macro_rules! put {
            ($($field:ident $letters:literal $name:literal $heading:literal $unit:ident $help:literal,)*) => {$(
                if let Some(number) = memory.$field {
                    if out.len() > begin {
                        out.push(b',');
                    }
                    out.put($letters);
                    out.put_number(u64::from(number));
                }
            )*};
        }
        each_memory_field!(put);
        out.push(b')');
    }
    number(out, " tos:", entry.tos());
    number(out, " traffic_class:", entry.traffic_class());
    number(out, " class_id:", entry.class_id());
    if let Some(options) = entry.options() {
        out.put(" set:");
        let begin = out.len();
        macro_rules! put {
            ($($name:ident $help:literal,)*) => {$(
                if options.$name {
                    out.put(if out.len() > begin { "+" } else { "" });
                    out.put(stringify!($name));
                }
            )*};
        }
        each_option!(put);
        if out.len() == begin {
            out.put("none");
        }
    }
    if out.len() == first {
        out.truncate(start);
    } else {
        out.remove(first);
    }
}

fn put_ulp(row: &Row<'_>, out: &mut Vec<u8>) {
    let Some(ulp) = row.entry.ulp() else { return };
    line(out);
    out.put("ulp:");
    out.put_escaped(ulp.name());
    for column in of_ulp() {
        let value = (column.value)(row);
        if !matches!(value, Value::Absent) {
            out.push(b' ');
            out.put(column.name);
            out.push(b':');
            value.put_exact(out);
        }
    }
}

fn number(out: &mut Vec<u8>, name: &str, number: Option<impl Into<u64>>) {
    if let Some(number) = number {
        out.put(name);
        out.put_number(number.into());
    }
}

/// Breaks what was written since `start` into lines of this width, at spaces.
fn wrap(out: &mut Vec<u8>, start: usize, width: usize) {
    let text = out.split_off(start);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let indent = line.iter().take_while(|byte| **byte == b' ').count();
        let mut column = 0;
        for (place, word) in line.split(|byte| *byte == b' ').enumerate().skip(indent) {
            let len = word.iter().filter(|byte| **byte & 0xc0 != 0x80 && **byte != b'\n').count();
            if place == indent {
                (0..indent).for_each(|_| out.push(b' '));
                column = indent;
            } else if column + 1 + len > width {
                out.push(b'\n');
                out.put(INDENT);
                // What goes on is a little further in than what begins.
                out.put("  ");
                column = INDENT.len() + 2;
            } else {
                out.push(b' ');
                column += 1;
            }
            out.extend_from_slice(word);
            column += len;
        }
    }
}
