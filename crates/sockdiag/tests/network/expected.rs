//! What `ss` must print of a socket, said by what is told of it here: every word, and no other.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use sockdiag::{Attribute, Entry, Interfaces, Md5Key, SocketOptions, Timer, TimerKind};
use tcpinfo::{
    Congestion, CongestionInfo, Reading, State, TcpOption,
    fields::Value,
    native::{Bytes, linux::LinuxTcpInfo, mptcp::MptcpInfo},
};

use super::shown::{Shown, ShownTimer, is_cgroup, number};

/// A word of `ss` after the addresses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word {
    /// This text.
    Is(String),
    /// One text or the other, as the version has it.
    Either(String, String),
    /// A number that goes on while nothing happens, as `ss` counts it.
    Ticks(f64),
    /// The same of a timer.
    Timer(Timer),
    /// The directory of a cgroup that has this number.
    Cgroup(u64),
    /// Nothing that means anything, for which `ss` may show what the kernel's structure has there.
    Unset,
}

/// What came of a comparison.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Both are the same, in words of these names.
    Same(Vec<&'static str>),
    /// Something happened meanwhile, so that there is nothing to compare.
    Moved,
}

/// Compares what `ss` printed between two looks at the same socket, between which so much time went by,
/// at least and at most.
///
/// # Panics
///
/// A word is missing, is another, or should not be there.
pub(crate) fn compare(
    before: &Entry<'_>,
    shown: &Shown,
    after: &Entry<'_>,
    passed: (Duration, Duration),
) -> Verdict {
    let (least, most) = (words(before), words(after));
    if before.rqueue() != after.rqueue()
        || before.wqueue() != after.wqueue()
        || before.state() != after.state()
        || !is_still(&least, &most, passed)
    {
        return Verdict::Moved;
    }
    let what = || format!("{shown:#?}\n{before:?}\n{least:#?}");
    assert_eq!(shown.state, state_of(before), "{}", what());
    assert_eq!(shown.recv_q, before.rqueue().to_string(), "{}", what());
    assert_eq!(shown.send_q, before.wqueue().to_string(), "{}", what());
    assert_eq!(shown.local, before.local_end(&INTERFACES).to_string(), "{}", what());
    assert_eq!(shown.remote, before.remote_end().to_string(), "{}", what());
    assert_eq!(shown.cookie, before.cookie());
    for name in shown.facts.keys() {
        let is_told = least.contains_key(name.as_str()) || name == "users";
        assert!(is_told, "{name} is not told: {}", what());
    }
    let mut same = Vec::new();
    for (name, word) in &least {
        let told = shown.facts.get(*name).map(String::as_str);
        let is_same = match (word, told, most.get(name)) {
            // What later versions of ss show.
            (Word::Is(_), None, _) if is_later(name) => continue,
            // All ones stand for no sample.
            (Word::Is(text), Some(told), _) if *name == "bbr" => {
                told.replace("mrtt:4.29497e+06", "mrtt:0") == *text
            }
            (Word::Is(text), told, _) => told == Some(text),
            (Word::Either(one, other), Some(told), _) => told == one || told == other,
            // Zero is not shown; what is rounded there is told exactly here.
            (Word::Ticks(one), told, Some(Word::Ticks(other))) => {
                let told = told.map_or(0.0, number);
                one - 1.0 < told && told < other + 1.0
            }
            (Word::Timer(one), Some(text), Some(Word::Timer(other))) => is_timer(text, one, other),
            (Word::Cgroup(id), Some(path), _) => is_cgroup(path, *id),
            (Word::Unset, None, _) => continue,
            (Word::Unset, Some(_), _) if shown.is_left_over(name) => continue,
            _ => false,
        };
        assert!(is_same, "{name} is {told:?} and not {word:?}: {}", what());
        same.push(*name);
    }
    Verdict::Same(same)
}

/// Whether nothing happened between two looks at the same socket, as far as one can see.
pub(crate) fn is_quiet(before: &Entry<'_>, after: &Entry<'_>) -> bool {
    let head = |entry: &Entry<'_>| (entry.state(), entry.rqueue(), entry.wqueue(), entry.inode());
    let timer = |entry: &Entry<'_>| entry.timer().map(|timer| (timer.kind, timer.count));
    let others = |one: &Attribute<'_>| one.number != INFO;
    let is_info_quiet = match (before.native_tcp_info(), after.native_tcp_info()) {
        (Some(before), Some(after)) => before
            .fields()
            .zip(after.fields())
            .all(|((field, reading), (_, later))| reading == later || is_age(field.name)),
        (before, after) => before.is_none() && after.is_none(),
    };
    head(before) == head(after)
        && timer(before) == timer(after)
        && before.attributes().filter(others).eq(after.attributes().filter(others))
        && is_info_quiet
}

/// `INET_DIAG_INFO`.
const INFO: u16 = 2;

fn is_still(
    least: &BTreeMap<&str, Word>,
    most: &BTreeMap<&str, Word>,
    passed: (Duration, Duration),
) -> bool {
    // The kernel counts in ticks.
    const TICK: Duration = Duration::from_millis(10);
    let is_still = |(name, word): (&&str, &Word)| match (word, most.get(name)) {
        (Word::Ticks(one), Some(Word::Ticks(other))) => one <= other,
        (Word::Timer(one), Some(Word::Timer(other))) => {
            // One that was set again may show no other sign of it.
            let run = one.expires.checked_sub(other.expires);
            let is_same = run.is_some_and(|run| passed.0 <= run + TICK && run <= passed.1 + TICK);
            (one.kind, one.count) == (other.kind, other.count) && is_same
        }
        (word, other) => Some(word) == other,
    };
    least.len() == most.len() && least.iter().all(is_still)
}

/// Whether the field of the kernel goes on while nothing happens.
pub(crate) fn is_age(name: &str) -> bool {
    let ages = [
        "last_data_sent",
        "last_ack_sent",
        "last_data_recv",
        "last_ack_recv",
        "busy_time",
        "rwnd_limited",
        "sndbuf_limited",
        "total_rto_time",
    ];
    ages.contains(&name.strip_prefix("tcpi_").unwrap_or(name))
}

/// Whether the text is of the timer, which runs down from the first to the second.
fn is_timer(text: &str, before: &Timer, after: &Timer) -> bool {
    let shown = ShownTimer::new(text);
    let kind = match before.kind {
        TimerKind::Retransmit => "on",
        TimerKind::Keepalive => "keepalive",
        TimerKind::TimeWait => "timewait",
        TimerKind::ZeroWindowProbe => "persist",
        _ => "unknown",
    };
    let is_between = shown.least <= before.expires && after.expires < shown.least + shown.cut;
    (shown.kind, shown.count) == (kind, before.count.into()) && is_between
}

/// The name that `ss` has for the state.
pub(crate) fn state_of(entry: &Entry<'_>) -> &'static str {
    match entry.state() {
        State::Established => "ESTAB",
        State::SynSent => "SYN-SENT",
        State::SynRecv => "SYN-RECV",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::TimeWait => "TIME-WAIT",
        State::Close => "UNCONN",
        State::CloseWait => "CLOSE-WAIT",
        State::LastAck => "LAST-ACK",
        State::Listen => "LISTEN",
        State::Closing => "CLOSING",
        other => panic!("ss has no name for {other}"),
    }
}

/// Only loopback is in a network of one's own, and has its number and name in all of them.
static INTERFACES: Interfaces = Interfaces::of_thread();

/// Every word after the addresses, by its name.
fn words(entry: &Entry<'_>) -> BTreeMap<&'static str, Word> {
    let mut words = Words::default();
    words.put_socket(entry);
    if let Some(info) = entry.native_tcp_info() {
        let fields = info.fields().map(|(field, reading)| (field.name, reading)).collect();
        words.put_options(&info);
        words.put_facts(&info, &fields);
        words.put_rates(entry, &info);
        words.put_number("app_limited", fields["delivery_rate_app_limited"]);
    }
    if let Some(info) = entry.mptcp_info() {
        words.put_multipath(&info);
    }
    // Of those, only the name of the congestion control is told.
    if let Some(congestion) = entry.congestion() {
        words.put_congestion(&congestion.to_kept());
    }
    words.put_attributes(entry);
    words.0
}

/// Every field of the kernel's structure by its name.
type Fields = HashMap<&'static str, Reading<Value>>;

#[derive(Default)]
struct Words(BTreeMap<&'static str, Word>);

/// Names of `ss` and of the kernel for what is shown unless it is zero; times in milliseconds.
const PLAIN: &[(&str, &str)] = &[
    ("backoff", "backoff"),
    ("ato", "ato"),
    ("mss", "snd_mss"),
    ("pmtu", "pmtu"),
    ("rcvmss", "rcv_mss"),
    ("advmss", "advmss"),
    ("cwnd", "snd_cwnd"),
    ("bytes_sent", "bytes_sent"),
    ("bytes_retrans", "bytes_retrans"),
    ("bytes_acked", "bytes_acked"),
    ("bytes_received", "bytes_received"),
    ("segs_out", "segs_out"),
    ("segs_in", "segs_in"),
    ("data_segs_out", "data_segs_out"),
    ("data_segs_in", "data_segs_in"),
    ("delivered", "delivered"),
    ("delivered_ce", "delivered_ce"),
    ("lost", "lost"),
    ("sacked", "sacked"),
    ("dsack_dups", "dsack_dups"),
    ("fackets", "fackets"),
    ("reord_seen", "reord_seen"),
    ("rcv_rtt", "rcv_rtt"),
    ("rcv_space", "rcv_space"),
    ("rcv_ssthresh", "rcv_ssthresh"),
    ("notsent", "notsent_bytes"),
    ("minrtt", "min_rtt"),
    ("rcv_ooopack", "rcv_ooopack"),
    ("snd_wnd", "snd_wnd"),
    ("rcv_wnd", "rcv_wnd"),
    ("rehash", "rehash"),
];

/// What the version this was written beside (6.1) does not show yet.
fn is_later(name: &str) -> bool {
    ["rcv_wnd", "rehash", "retransmits", "subflows_total"].contains(&name)
}

impl Words {
    fn put(&mut self, name: &'static str, text: impl Into<String>) {
        self.0.insert(name, Word::Is(text.into()));
    }

    /// A number that is not shown if it is zero.
    fn put_number(&mut self, name: &'static str, reading: Reading<Value>) {
        match reading {
            Reading::Absent => {}
            Reading::Unset => drop(self.0.insert(name, Word::Unset)),
            Reading::Value(Value::Bool(is_set)) => {
                if is_set {
                    self.put(name, "");
                }
            }
            Reading::Value(Value::Unsigned(number)) => {
                if number != 0 {
                    self.put(name, number.to_string());
                }
            }
            Reading::Value(Value::Duration(time)) => {
                if !time.is_zero() {
                    self.put(name, millis(time));
                }
            }
            Reading::Value(other) => panic!("{name} is {other:?}"),
        }
    }

    /// What every socket has, full or small.
    fn put_socket(&mut self, entry: &Entry<'_>) {
        if let Some(timer) = entry.timer() {
            self.0.insert("timer", Word::Timer(timer));
        }
        if let Some(uid) = entry.uid().filter(|uid| *uid != 0) {
            self.put("uid", uid.to_string());
        }
        self.put("ino", entry.inode().unwrap_or(0).to_string());
        if let Some(mark) = entry.mark().filter(|mark| *mark != 0) {
            self.put("fwmark", format!("{mark:#x}"));
        }
        if let Some(id) = entry.cgroup_id() {
            self.0.insert("cgroup", Word::Cgroup(id));
        }
        if let Some(only) = entry.is_ipv6_only() {
            self.put("v6only", u8::from(only).to_string());
        }
        if let Some(shut) = entry.shutdown() {
            let left = if shut.receive { '-' } else { '<' };
            let right = if shut.send { '-' } else { '>' };
            self.put("shutdown", format!("{left}-{right}"));
        }
    }

    fn put_options(&mut self, info: &LinuxTcpInfo<impl Bytes>) {
        for (name, option) in [
            ("ts", TcpOption::Timestamps),
            ("sack", TcpOption::Sack),
            ("ecn", TcpOption::Ecn),
            ("ecnseen", TcpOption::EcnSeen),
            ("fastopen", TcpOption::SynData),
        ] {
            let is_on = info.options().map(|options| options.get(option) == Some(true));
            self.put_number(name, is_on.map(Value::Bool));
        }
        match (info.snd_wscale(), info.rcv_wscale()) {
            (Reading::Value(theirs), Reading::Value(ours)) => {
                self.put("wscale", format!("{theirs},{ours}"));
            }
            _ => drop(self.0.insert("wscale", Word::Unset)),
        }
    }

    fn put_facts(&mut self, info: &LinuxTcpInfo<impl Bytes>, fields: &Fields) {
        for (name, field) in PLAIN {
            self.put_number(name, fields[field]);
        }
        // What waits to be accepted is in the same place.
        if let Reading::Value(waiting) = info.accept_queue() {
            self.put_number("unacked", Reading::Value(Value::Unsigned(waiting.into())));
        } else {
            self.put_number("unacked", fields["unacked"]);
        }
        // Three seconds were a default once, and are not shown.
        if info.rto().value() != Some(Duration::from_secs(3)) {
            self.put_number("rto", fields["rto"]);
        }
        match (info.rtt(), info.rttvar()) {
            (Reading::Value(rtt), Reading::Value(deviation)) => {
                self.put("rtt", format!("{}/{}", millis(rtt), millis(deviation)));
            }
            _ => drop(self.0.insert("rtt", Word::Unset)),
        }
        if info.snd_ssthresh().value().is_none_or(|threshold| threshold < 0xffff) {
            self.put_number("ssthresh", fields["snd_ssthresh"]);
        }
        let (now, all) = (info.retrans().value(), info.total_retrans().value());
        if now.unwrap_or(0) != 0 || all.unwrap_or(0) != 0 {
            self.put("retrans", format!("{}/{}", now.unwrap_or(0), all.unwrap_or(0)));
        }
        // The usual one is not shown; zero is.
        match info.reordering().value() {
            Some(3) => {}
            Some(segments) => self.put("reordering", segments.to_string()),
            None => drop(self.0.insert("reordering", Word::Unset)),
        }
        for (name, field, unit) in [
            ("lastsnd", "last_data_sent", 1e3),
            ("lastrcv", "last_data_recv", 1e3),
            ("lastack", "last_ack_recv", 1e3),
            ("busy", "busy_time", 1e3),
            ("rwnd_limited", "rwnd_limited", 1e3),
            ("sndbuf_limited", "sndbuf_limited", 1e3),
        ] {
            let word = match fields[field] {
                Reading::Absent => continue,
                Reading::Value(Value::Duration(time)) => Word::Ticks(time.as_secs_f64() * unit),
                _ => Word::Unset,
            };
            self.0.insert(name, word);
        }
    }

    fn put_rates(&mut self, entry: &Entry<'_>, info: &LinuxTcpInfo<impl Bytes>) {
        let bits = |bytes: u64| format!("{:.0}bps", bytes as f64 * 8.0);
        match info.pacing_rate() {
            Reading::Value(0) | Reading::Absent => {}
            Reading::Unset => drop(self.0.insert("pacing_rate", Word::Unset)),
            Reading::Value(rate) => {
                let most = info.max_pacing_rate().value().filter(|most| *most != 0);
                let most = most.map(|most| format!("/{}", bits(most))).unwrap_or_default();
                self.put("pacing_rate", bits(rate) + &most);
            }
        }
        match info.delivery_rate() {
            Reading::Value(rate) => self.put("delivery_rate", bits(rate)),
            _ => drop(self.0.insert("delivery_rate", Word::Unset)),
        }
        // What the window and the round-trip time come to; vegas has a time of its own.
        let own = match entry.congestion().and_then(|congestion| congestion.info) {
            Some(CongestionInfo::Vegas(vegas)) if vegas.enabled => vegas.rtt,
            _ => None,
        };
        let rtt = own.or(info.rtt().value());
        let window = info.snd_cwnd().value().zip(info.snd_mss().value());
        match window.zip(rtt) {
            Some(((segments, bytes), rtt)) if segments != 0 && bytes != 0 => {
                let micros = rtt.as_micros() as f64;
                let rate = f64::from(segments) * f64::from(bytes) * 8e6 / micros;
                self.put("send", format!("{rate:.0}bps"));
            }
            _ => drop(self.0.insert("send", Word::Unset)),
        }
    }

    fn put_congestion(&mut self, congestion: &Congestion) {
        self.put("congestion", congestion.name.as_str());
        match congestion.info {
            Some(CongestionInfo::Bbr(bbr)) => {
                let bandwidth = bbr.bandwidth.unwrap_or(0) as f64 * 8.0;
                let rtt = bbr.min_rtt.map_or("0".to_owned(), millis);
                let gain = |name: &str, gain: Option<f64>| {
                    gain.map(|gain| format!(",{name}:{}", six_digits(gain))).unwrap_or_default()
                };
                let gains =
                    gain("pacing_gain", bbr.pacing_gain) + &gain("cwnd_gain", bbr.cwnd_gain);
                self.put("bbr", format!("(bw:{bandwidth:.0}bps,mrtt:{rtt}{gains})"));
            }
            Some(CongestionInfo::Dctcp(dctcp)) if dctcp.enabled => {
                let text = format!(
                    "(ce_state:{},alpha:{:.0},ab_ecn:{},ab_tot:{})",
                    dctcp.ce_state,
                    dctcp.alpha * 1024.0,
                    dctcp.acked_ecn_bytes,
                    dctcp.acked_bytes
                );
                self.put("dctcp", text);
            }
            Some(CongestionInfo::Dctcp(_)) => self.put("dctcp", "fallback_mode"),
            _ => {}
        }
    }

    fn put_attributes(&mut self, entry: &Entry<'_>) {
        for (name, number) in [
            ("tos", entry.tos().map(u32::from)),
            ("tclass", entry.traffic_class().map(u32::from)),
            ("class_id", entry.class_id()),
        ] {
            match number {
                None => {}
                // C has no prefix for it.
                Some(0) => self.put(name, "0"),
                Some(number) => self.put(name, format!("{number:#x}")),
            }
        }
        if let Some(options) = entry.options() {
            self.put("inet-sockopt", format!("({})", names(&options)));
        }
        if let Some(memory) = entry.memory() {
            let numbers = [
                ("r", memory.rx_alloc_bytes),
                ("rb", memory.rx_buffer_bytes),
                ("t", memory.tx_alloc_bytes),
                ("tb", memory.tx_buffer_bytes),
                ("f", memory.forward_alloc_bytes),
                ("w", memory.tx_queued_bytes),
                ("o", memory.option_bytes),
                ("bl", memory.backlog_bytes),
                ("d", memory.dropped_packets),
            ];
            let listed: Vec<_> = numbers
                .iter()
                .filter_map(|(name, number)| Some(format!("{name}{}", (*number)?)))
                .collect();
            self.put("skmem", format!("({})", listed.join(",")));
        }
        let network = |one: &Md5Key<'_>| format!("{}/{}=", one.addr, one.prefix_len);
        let networks: Vec<_> = entry.md5_keys().map(|one| network(&one)).collect();
        if !networks.is_empty() {
            let signed = |one: Md5Key<'_>| network(&one) + &String::from_utf8_lossy(one.key);
            let keys: Vec<_> = entry.md5_keys().map(signed).collect();
            // `ss` 6.1 writes the keys elsewhere.
            let word = Word::Either(networks.join(","), keys.join(","));
            self.0.insert("md5keys", word);
        }
        let Some(ulp) = entry.ulp() else { return };
        self.put("ulp", ulp.name());
        let Some(path) = ulp.mptcp() else { return };
        if let Some(flags) = path.flags {
            let letters = "MmJjBbecv".chars().enumerate();
            let set: String =
                letters.filter(|(bit, _)| flags & 1 << bit != 0).map(|(_, c)| c).collect();
            self.put("flags", set);
        }
        let token = |token: Option<u32>, id: Option<u8>| {
            format!("{:04x}(id:{})", token.unwrap_or(0), id.unwrap_or(0))
        };
        if path.local_token.is_some() {
            let remote = token(path.remote_token, path.remote_id);
            self.put("token", format!("{remote}/{}", token(path.local_token, path.local_id)));
        }
        for (name, number) in [
            ("seq", path.map_sequence),
            ("sfseq", path.map_subflow_sequence.map(u64::from)),
            ("ssnoff", path.subflow_offset.map(u64::from)),
            ("maplen", path.map_data_len.map(u64::from)),
        ] {
            if let Some(number) = number {
                self.put(name, format!("{number:x}"));
            }
        }
    }

    /// A connection of Multipath TCP as a whole.
    fn put_multipath(&mut self, info: &MptcpInfo) {
        for name in [
            "subflows",
            "add_addr_signal",
            "add_addr_accepted",
            "subflows_max",
            "add_addr_signal_max",
            "add_addr_accepted_max",
            "local_addr_used",
            "local_addr_max",
            "csum_enabled",
        ] {
            self.put_number(name, info.field(name).unwrap());
        }
        for (name, is_set) in
            [("fallback", info.is_fallback()), ("remote_key", info.has_remote_key())]
        {
            if is_set == Some(true) {
                self.put(name, "");
            }
        }
        for name in ["token", "write_seq", "snd_una", "rcv_nxt"] {
            match info.field(name).unwrap() {
                Reading::Value(Value::Unsigned(number)) if number != 0 => {
                    self.put(name, format!("{number:x}"));
                }
                _ => {}
            }
        }
    }
}

fn names(options: &SocketOptions) -> String {
    [
        ("recverr", options.recverr),
        ("is_icsk", options.is_icsk),
        ("freebind", options.freebind),
        ("hdrincl", options.hdrincl),
        ("mc_loop", options.mc_loop),
        ("transparent", options.transparent),
        ("mc_all", options.mc_all),
        ("nodefrag", options.nodefrag),
        ("bind_addr_no_port", options.bind_address_no_port),
        ("recverr_rfc4884", options.recverr_rfc4884),
        ("defer_connect", options.defer_connect),
    ]
    .into_iter()
    .filter(|(_, is_set)| *is_set)
    .map(|(name, _)| format!(" {name}"))
    .collect()
}

fn millis(time: Duration) -> String {
    six_digits(time.as_micros() as f64 / 1e3)
}

/// As C's `%g` has it: six digits, and no zeros at the end of a fraction.
fn six_digits(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{number:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap();
        return without_zeros(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(digits), exponent.abs())
}
