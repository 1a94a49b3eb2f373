//! What `ss` prints of a socket, and where the same is in what the command writes.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use crate::shown::{Shown, ShownTimer, is_cgroup, number};

/// Numbers of `ss`: its name, the key in `info.sysInfo` and what a number of theirs is there, and the
/// name in the long form.
const NUMBERS: &[(&str, &str, f64, &str)] = &[
    ("backoff", "backoff", 1.0, "backoff"),
    ("rto", "rto", 1e6, "rto"),
    ("ato", "ato", 1e6, "ato"),
    ("mss", "txMSS", 1.0, "snd_mss"),
    ("rcvmss", "rxMSS", 1.0, "rcv_mss"),
    ("advmss", "advMSS", 1.0, "advmss"),
    ("pmtu", "pmtu", 1.0, "pmtu"),
    ("cwnd", "txCWindow", 1.0, "snd_cwnd"),
    ("ssthresh", "txSSThreshold", 1.0, "snd_ssthresh"),
    ("bytes_sent", "bytesSent", 1.0, "bytes_sent"),
    ("bytes_retrans", "bytesRetrans", 1.0, "bytes_retrans"),
    ("bytes_acked", "bytesAcked", 1.0, "bytes_acked"),
    ("bytes_received", "bytesReceived", 1.0, "bytes_received"),
    ("segs_out", "segsOut", 1.0, "segs_out"),
    ("segs_in", "segsIn", 1.0, "segs_in"),
    ("data_segs_out", "dataSegsOut", 1.0, "data_segs_out"),
    ("data_segs_in", "dataSegsIn", 1.0, "data_segs_in"),
    ("lastsnd", "lastTxAt", 1e6, "last_data_sent"),
    ("lastrcv", "lastRxAt", 1e6, "last_data_recv"),
    ("lastack", "lastRxAckAt", 1e6, "last_ack_recv"),
    ("delivered", "delivered", 1.0, "delivered"),
    ("delivered_ce", "deliveredCE", 1.0, "delivered_ce"),
    ("busy", "busyTime", 1e6, "busy_time"),
    ("rwnd_limited", "rxWindowLimited", 1e6, "rwnd_limited"),
    ("sndbuf_limited", "txBufferLimited", 1e6, "sndbuf_limited"),
    ("unacked", "unAcked", 1.0, "unacked"),
    ("sacked", "sacked", 1.0, "sacked"),
    ("lost", "lost", 1.0, "lost"),
    ("fackets", "fackets", 1.0, "fackets"),
    ("notsent", "notSentBytes", 1.0, "notsent_bytes"),
    ("minrtt", "minRTT", 1e6, "min_rtt"),
    ("rcv_rtt", "rxRTT", 1e6, "rcv_rtt"),
    ("rcv_space", "rxSpace", 1.0, "rcv_space"),
    ("rcv_ssthresh", "rxSSThreshold", 1.0, "rcv_ssthresh"),
    ("snd_wnd", "txWindow", 1.0, "snd_wnd"),
    ("rcv_wnd", "rxWindow", 1.0, "rcv_wnd"),
    ("reordering", "reordering", 1.0, "reordering"),
    ("reord_seen", "reordSeen", 1.0, "reord_seen"),
    ("dsack_dups", "dsackDups", 1.0, "dsack_dups"),
    ("rcv_ooopack", "rxOutOfOrder", 1.0, "rcv_ooopack"),
    ("rehash", "rehash", 1.0, "rehash"),
    ("delivery_rate", "deliveryRate", 0.125, "delivery_rate"),
];

/// Negotiated options: the name of `ss`, and the one in `info.sysInfo.options` and in the long form.
const OPTIONS: &[(&str, &str)] = &[
    ("ts", "Timestamps"),
    ("sack", "SACK"),
    ("ecn", "ECN"),
    ("ecnseen", "ECNSeen"),
    ("fastopen", "SYNData"),
];

/// All others, and their names in the long form.
const OTHERS: &[(&str, &str)] = &[
    ("ino", "inode"),
    ("uid", "uid"),
    ("fwmark", "mark"),
    ("cgroup", "cgroup_id"),
    ("v6only", "ipv6_only"),
    ("shutdown", "shutdown"),
    ("timer", "timer"),
    ("users", "process"),
    ("tos", "tos"),
    ("tclass", "traffic_class"),
    ("class_id", "class_id"),
    ("inet-sockopt", "set"),
    ("skmem", "skmem"),
    ("congestion", "congestion"),
    ("bbr", "bbr_bandwidth"),
    ("wscale", "snd_wscale"),
    ("rtt", "rtt"),
    ("retrans", "total_retrans"),
    ("send", "send_rate"),
    ("pacing_rate", "pacing_rate"),
    ("app_limited", "delivery_rate_app_limited"),
    ("ulp", "ulp"),
    ("flags", "mptcp_flags"),
    ("token", "mptcp_local_token"),
    ("seq", "mptcp_map_seq"),
    ("sfseq", "mptcp_map_subflow_seq"),
    ("ssnoff", "mptcp_subflow_offset"),
    ("maplen", "mptcp_map_data_len"),
];

/// What the long form calls what `ss` calls so.
pub(crate) fn long_name(name: &str) -> &'static str {
    if OPTIONS.iter().any(|(option, _)| *option == name) {
        return "options";
    }
    let numbers = NUMBERS.iter().map(|(theirs, _, _, long)| (*theirs, *long));
    let found = numbers.chain(OTHERS.iter().copied()).find(|(theirs, _)| *theirs == name);
    found.unwrap_or_else(|| panic!("ss prints {name}, and nothing here is like it")).1
}

/// Compares every word of `ss` with the JSON of the socket, which both tell of the same moment.
pub(crate) fn compare(shown: &Shown, socket: &Value, compared: &mut BTreeSet<String>) {
    let what = || format!("{shown:#?}\n{socket:#}");
    let state = match &*shown.state {
        "ESTAB" => "ESTABLISHED".to_owned(),
        "FIN-WAIT-1" => "FIN_WAIT1".to_owned(),
        "FIN-WAIT-2" => "FIN_WAIT2".to_owned(),
        "UNCONN" => "CLOSE".to_owned(),
        other => other.replace('-', "_"),
    };
    assert_eq!(socket["state"], state, "{}", what());
    addresses(shown, socket);
    queues(shown, socket, &state);
    for (name, text) in &shown.facts {
        if shown.is_left_over(name) {
            continue;
        }
        let is_same = is_same(name, text, socket);
        assert!(is_same, "{name} is {text}: {}", what());
        compared.insert(name.clone());
    }
}

fn addresses(shown: &Shown, socket: &Value) {
    // Of a recording, `ss` takes this machine's names of interfaces, and nobody knows them here.
    let unnamed = shown.local.replace("%lo:", "%if1:");
    let is_same = socket["localAddr"] == shown.local || socket["localAddr"] == unnamed;
    assert!(is_same && socket["remoteAddr"] == shown.remote, "{shown:?}\n{socket:#}");
    assert_eq!(shown.local.contains('%'), socket["interface"] == 1, "{shown:?}\n{socket:#}");
}

fn queues(shown: &Shown, socket: &Value, state: &str) {
    let (first, second) = match state {
        "LISTEN" => ("acceptQueue", "acceptQueueLimit"),
        _ => ("unreadBytes", "queuedBytes"),
    };
    // What is no byte is counted by them: the peer's FIN, and our own SYN.
    let fin = u64::from(matches!(state, "CLOSE_WAIT" | "LAST_ACK" | "CLOSING"));
    let syn = u64::from(state == "SYN_SENT");
    for (key, extra, theirs) in [(first, fin, &shown.recv_q), (second, syn, &shown.send_q)] {
        // Small sockets have none.
        let ours = socket["queues"][key].as_u64().unwrap_or(0) + extra;
        assert_eq!(ours.to_string(), *theirs, "{key} of {shown:?}\n{socket:#}");
    }
}

fn is_same(name: &str, text: &str, socket: &Value) -> bool {
    let own = &socket["info"]["sysInfo"];
    if name == "unacked" && socket["state"] == "LISTEN" {
        return is_number(&own["acceptQueue"], text);
    }
    if let Some((_, key, scale, _)) = NUMBERS.iter().find(|(theirs, ..)| *theirs == name) {
        // Of times that are limited whole milliseconds are shown.
        let is_cut = matches!(name, "busy" | "rwnd_limited" | "sndbuf_limited");
        let slack = if is_cut { *scale } else { 0.0 };
        let is_share = |part: &str| {
            let share = own[*key].as_f64().unwrap_or(0.0) / own["busyTime"].as_f64().unwrap_or(1.0);
            part.trim_end_matches("%)")
                .parse()
                .is_ok_and(|theirs: f64| (theirs - 100.0 * share).abs() < 0.1)
        };
        let has_share = text.split_once('(').is_none_or(|(_, share)| is_share(share));
        return has_share && is_near(&own[*key], number(text) * scale, slack);
    }
    if let Some((_, option)) = OPTIONS.iter().find(|(theirs, _)| *theirs == name) {
        return own["options"].as_array().is_some_and(|all| all.iter().any(|one| one == option));
    }
    let hex = |value: &Value| value.as_u64().map(|number| format!("{number:x}"));
    let prefixed = |value: &Value| match value.as_u64() {
        Some(0) => "0".to_owned(),
        Some(number) => format!("{number:#x}"),
        None => "absent".to_owned(),
    };
    let path = &socket["ulp"]["mptcp"];
    match name {
        "ino" => socket["inode"].as_u64().unwrap_or(0).to_string() == text,
        "uid" => is_number(&socket["uid"], text),
        "fwmark" => prefixed(&socket["mark"]) == text,
        "tos" => prefixed(&socket["tos"]) == text,
        "tclass" => prefixed(&socket["trafficClass"]) == text,
        "class_id" => prefixed(&socket["classId"]) == text,
        "cgroup" => socket["cgroupId"].as_u64().is_some_and(|id| is_cgroup(text, id)),
        "v6only" => socket["ipv6Only"].as_bool() == Some(text == "1"),
        "shutdown" => {
            let is_shut = |key: &str| socket["shutdown"][key] == true;
            let left = if is_shut("receive") { '-' } else { '<' };
            let right = if is_shut("send") { '-' } else { '>' };
            text == format!("{left}-{right}")
        }
        "timer" => is_timer(&socket["timer"], text),
        "users" => holders(&socket["process"], text),
        "md5keys" => signatures(&socket["md5Keys"], text),
        "inet-sockopt" => {
            let names = text.trim_matches(['(', ')']).split_whitespace();
            let theirs: BTreeSet<_> =
                names.map(|name| name.replace('_', "").replace("addr", "address")).collect();
            let all = socket["options"].as_array().unwrap();
            let ours = all.iter().map(|name| name.as_str().unwrap().to_lowercase());
            theirs == ours.collect()
        }
        "skmem" => {
            let keys = [
                ("r", "rxAllocBytes"),
                ("rb", "rxBufferBytes"),
                ("t", "txAllocBytes"),
                ("tb", "txBufferBytes"),
                ("f", "forwardAllocBytes"),
                ("w", "txQueuedBytes"),
                ("o", "optionBytes"),
                ("bl", "backlogBytes"),
                ("d", "droppedPackets"),
            ];
            let memory = &socket["memory"];
            let ours = keys.map(|(name, key)| format!("{name}{}", memory[key]));
            format!("({})", ours.join(",")) == text
        }
        "congestion" => socket["congestion"]["name"] == text,
        "bbr" => is_bbr(&socket["congestion"]["bbr"], text),
        "wscale" => format!("{},{}", own["sndWScale"], own["rcvWScale"]) == text,
        "rtt" => {
            let (rtt, deviation) = text.split_once('/').unwrap();
            is_near(&own["rtt"], number(rtt) * 1e6, 0.0)
                && is_near(&own["rttVar"], number(deviation) * 1e6, 0.0)
        }
        "retrans" => format!("{}/{}", own["retrans"], own["totalRetrans"]) == text,
        "send" => {
            let [segments, bytes, rtt] =
                ["txCWindow", "txMSS", "rtt"].map(|key| own[key].as_f64().unwrap());
            let rate = segments * bytes * 8e9 / rtt;
            (rate - number(text)).abs() <= 1.0 + rate * 1e-9
        }
        "pacing_rate" => {
            let (rate, most) = text.split_once('/').unwrap_or((text, ""));
            let most = Some(most).filter(|most| !most.is_empty()).map(number);
            is_near(&own["pacingRate"], number(rate) / 8.0, 0.0)
                && most == own["maxPacingRate"].as_f64().map(|most| most * 8.0)
        }
        "app_limited" => own["deliveryRateAppLimited"] == true,
        "ulp" => socket["ulp"]["name"] == text,
        "flags" => {
            let set = path["flags"].as_u64().unwrap();
            let letters = "MmJjBbecv".chars().enumerate();
            letters.filter(|(bit, _)| set & 1 << bit != 0).map(|(_, c)| c).eq(text.chars())
        }
        "token" => {
            let side = |token: &str, id: &str| {
                let token = path[token].as_u64().unwrap_or(0);
                format!("{token:04x}(id:{})", path[id])
            };
            let (remote, local) = (side("remoteToken", "remoteId"), side("localToken", "localId"));
            format!("{remote}/{local}") == text
        }
        "seq" => hex(&path["mapSequence"]).as_deref() == Some(text),
        "sfseq" => hex(&path["mapSubflowSequence"]).as_deref() == Some(text),
        "ssnoff" => hex(&path["subflowOffset"]).as_deref() == Some(text),
        "maplen" => hex(&path["mapDataLen"]).as_deref() == Some(text),
        other => panic!("ss prints {other}, and nothing here is like it: {text}"),
    }
}

fn is_number(ours: &Value, text: &str) -> bool {
    ours.as_u64().is_some_and(|number| text.parse() == Ok(number))
}

/// Whether both are the same in the six digits that are shown.
fn is_near(ours: &Value, theirs: f64, slack: f64) -> bool {
    // Zero is not shown, and where it is shown it may be what is not measured here.
    let Some(ours) = ours.as_f64() else { return false };
    (ours - theirs).abs() <= theirs.abs() * 1e-5 + slack
}

fn is_bbr(ours: &Value, text: &str) -> bool {
    let parts = text.trim_matches(['(', ')']).split(',');
    parts.into_iter().all(|part| {
        let (name, theirs) = part.split_once(':').unwrap();
        let (key, scale) = match name {
            "bw" => ("bandwidth", 0.125),
            "mrtt" => ("minRTT", 1e6),
            "pacing_gain" => ("pacingGain", 1.0),
            "cwnd_gain" => ("cwndGain", 1.0),
            other => panic!("ss prints {other} of bbr"),
        };
        // What is not measured is nothing, or all ones.
        let is_unset = matches!(theirs, "0" | "0bps" | "4.29497e+06");
        is_unset && ours[key].is_null() || is_near(&ours[key], number(theirs) * scale, 0.0)
    })
}

fn is_timer(ours: &Value, text: &str) -> bool {
    let shown = ShownTimer::new(text);
    let kind = match ours["kind"].as_str() {
        Some("retransmit") => "on",
        Some("time-wait") => "timewait",
        Some("zero-window probe") => "persist",
        Some(other) => other,
        None => return false,
    };
    let expires = Duration::from_nanos(ours["expires"].as_u64().unwrap());
    let is_then = shown.least <= expires && expires < shown.least + shown.cut;
    shown.kind == kind && ours["count"] == shown.count && is_then
}

/// Of a key that is secret its length is told; `ss` prints the key, whatever bytes it has.
fn signatures(ours: &Value, text: &str) -> bool {
    let all = ours.as_array().unwrap();
    all.iter().all(|one| {
        let peer = format!("{}/{}=", one["addr"].as_str().unwrap(), one["prefixLen"]);
        text.contains(&peer) && one["keyLen"].as_u64().is_some_and(|len| len > 0)
    })
}

fn holders(ours: &Value, text: &str) -> bool {
    let mut count = 0;
    for holder in ours.as_array().unwrap() {
        for descriptor in holder["descriptors"].as_array().unwrap() {
            let theirs = format!("({},pid={},fd={descriptor})", holder["command"], holder["pid"]);
            if !text.contains(&theirs) {
                return false;
            }
            count += 1;
        }
    }
    count == text.matches("pid=").count()
}
