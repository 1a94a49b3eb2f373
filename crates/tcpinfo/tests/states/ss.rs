//! What `ss` shows of the same socket: it decodes what netlink sends, with code we did not write.

use std::{collections::BTreeMap, process::Command, time::Duration};

use tcpinfo::{Queues, Reading, State, cookie, fields::Value, native::linux::LinuxTcpInfo};

use super::{
    proc, raw,
    readings::{TICKS, beside, linux},
    scenes::{Make, Scene},
};

pub(crate) fn is_there() -> bool {
    cfg!(target_os = "linux")
        && Command::new("ss").arg("-V").output().is_ok_and(|output| output.status.success())
}

/// What `ss` calls a field, and our name; numbers, and times in milliseconds.
const NAMES: &[(&str, &str)] = &[
    ("rto", "rto"),
    ("ato", "ato"),
    ("mss", "snd_mss"),
    ("rcvmss", "rcv_mss"),
    ("advmss", "advmss"),
    ("pmtu", "pmtu"),
    ("cwnd", "snd_cwnd"),
    ("ssthresh", "snd_ssthresh"),
    ("backoff", "backoff"),
    ("unacked", "unacked"),
    ("lost", "lost"),
    ("sacked", "sacked"),
    ("bytes_sent", "bytes_sent"),
    ("bytes_retrans", "bytes_retrans"),
    ("bytes_acked", "bytes_acked"),
    ("bytes_received", "bytes_received"),
    ("segs_out", "segs_out"),
    ("segs_in", "segs_in"),
    ("data_segs_out", "data_segs_out"),
    ("data_segs_in", "data_segs_in"),
    ("delivered", "delivered"),
    ("notsent", "notsent_bytes"),
    ("minrtt", "min_rtt"),
    ("rcv_rtt", "rcv_rtt"),
    ("rcv_space", "rcv_space"),
    ("rcv_ssthresh", "rcv_ssthresh"),
    ("snd_wnd", "snd_wnd"),
    ("rcv_wnd", "rcv_wnd"),
    ("reordering", "reordering"),
    ("rcv_ooopack", "rcv_ooopack"),
    ("dsack_dups", "dsack_dups"),
    ("reord_seen", "reord_seen"),
    ("rehash", "rehash"),
];

/// `ss` leaves these out where they are zero.
const LEFT_OUT_IF_ZERO: &[&str] =
    &["ato", "backoff", "unacked", "lost", "sacked", "bytes_retrans", "notsent", "rcv_ooopack"];

const AGES: &[(&str, &str)] =
    &[("lastsnd", "last_data_sent"), ("lastrcv", "last_data_recv"), ("lastack", "last_ack_recv")];

const LIMITED: &[(&str, &str)] = &[
    ("busy", "busy_time"),
    ("rwnd_limited", "rwnd_limited"),
    ("sndbuf_limited", "sndbuf_limited"),
];

pub(crate) fn check(make: Make) {
    let scene = make();
    let (info, shown) = beside(&scene, || Shown::of(&scene));
    let later = linux(&scene);
    let Some(shown) = shown else {
        // Without a port, or over.
        assert_eq!(scene.state, State::Close);
        return;
    };
    assert_eq!(shown.state, name(scene.state));
    assert_eq!(shown.pairs.get("sk"), Some(&format!("{:x}", cookie(&scene).unwrap())));
    if scene.state == State::Listen {
        assert_eq!(info.accept_queue().value(), Some(shown.rx_queue));
        assert_eq!(info.accept_queue_limit().value(), Some(shown.tx_queue));
        return;
    }
    if scene.state != State::SynSent && scene.state != State::SynRecv && scene.state != State::Close
    {
        let ours = Queues::read(&scene).unwrap();
        assert_eq!(ours.queued_bytes, Some(shown.tx_queue.into()));
        let fin = u64::from(scene.moved.fin_arrived);
        assert_eq!(ours.unread_bytes.map(|unread| unread + fin), Some(shown.rx_queue.into()));
    }
    let ours = |name: &str| match info.field(name) {
        Some(Reading::Value(Value::Unsigned(number))) => Some(number as f64),
        Some(Reading::Value(Value::Duration(time))) => Some(time.as_secs_f64() * 1e3),
        _ => None,
    };
    for (theirs, name) in NAMES {
        match (shown.number(theirs), ours(name)) {
            (Some(theirs), Some(ours)) => {
                // Six digits are shown.
                assert!((ours - theirs).abs() <= theirs.abs() * 1e-5, "{name}: {ours}, {shown:?}");
            }
            (None, Some(ours)) if LEFT_OUT_IF_ZERO.contains(theirs) => {
                assert!(ours == 0.0, "{name}: {ours}, {shown:?}");
            }
            (Some(theirs), None) if !without_connection(&scene, &info) => {
                assert!(theirs == 0.0, "{name} has no value, {shown:?}");
            }
            _ => {}
        }
    }
    let going = |names: &[(&str, &str)], whole: Duration| {
        for (theirs, name) in names {
            // Theirs was read between ours.
            let at_most = |info: &LinuxTcpInfo| match info.field(name) {
                Some(Reading::Value(Value::Duration(time))) => Some(time),
                _ => None,
            };
            if let (Some(theirs), Some(before), Some(after)) =
                (shown.number(theirs), at_most(&info), at_most(&later))
            {
                let theirs = Duration::from_secs_f64(theirs / 1e3);
                assert!(
                    before <= theirs + whole && theirs <= after + whole,
                    "{name}: {before:?}, {theirs:?}, {after:?}"
                );
            }
        }
    };
    // An age begins anew with what it counts from, which is a segment that other fields would show.
    going(AGES, TICKS);
    going(LIMITED, Duration::from_millis(1));
}

/// Then `ss` shows defaults and what is left of the connection before.
fn without_connection(scene: &Scene, info: &LinuxTcpInfo) -> bool {
    scene.state == State::Close && info.rtt().value().is_none()
}

fn name(state: State) -> &'static str {
    match state {
        State::Established => "ESTAB",
        State::SynSent => "SYN-SENT",
        State::SynRecv => "SYN-RECV",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::Close => "UNCONN",
        State::CloseWait => "CLOSE-WAIT",
        State::LastAck => "LAST-ACK",
        State::Listen => "LISTEN",
        State::Closing => "CLOSING",
        other => panic!("{other} cannot be read from a descriptor"),
    }
}

#[derive(Debug)]
struct Shown {
    state: String,
    rx_queue: u32,
    tx_queue: u32,
    pairs: BTreeMap<String, String>,
}

impl Shown {
    fn of(scene: &Scene) -> Option<Self> {
        let (local, remote) = raw::addresses(&scene.subject);
        let port = local.filter(|local| local.port() != 0)?.port();
        let mut filter = format!("sport = :{port}");
        if let Some(remote) = remote {
            filter += &format!(" and dport = :{}", remote.port());
        }
        let flags = if scene.state == State::Listen { "-tlineOH" } else { "-taineOH" };
        let output = Command::new("ss").args([flags, &filter]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // Another socket may have the same port: what a listener took, or what is in TIME_WAIT.
        let inode = format!("ino:{}", proc::inode(&scene.subject));
        let line = text.lines().find(|line| line.split_whitespace().any(|word| word == inode))?;
        let mut words = line.split_whitespace();
        let state = words.next()?.to_owned();
        let mut queue = || words.next()?.parse().ok();
        let (rx_queue, tx_queue) = (queue()?, queue()?);
        let pairs = words
            .filter_map(|word| word.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(Self { state, rx_queue, tx_queue, pairs })
    }

    /// The number at the beginning of what is shown, such as `204`, `4ms(1.2%)` and `0/1`.
    fn number(&self, name: &str) -> Option<f64> {
        let text = self.pairs.get(name)?;
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        text[..end].parse().ok()
    }
}
