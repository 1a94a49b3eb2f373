//! One socket's facts, all of them: there where they mean something and nowhere else, and equal to
//! what others say.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use tcpinfo::{
    Congestion, ErrorKind, Packed, Queues, Reading, SocketMemory, State, TcpInfo, TcpOption,
    fields::Value,
    native::{Native, linux::LinuxTcpInfo},
    read_native,
};

use super::{
    proc, raw,
    scenes::{Make, Scene},
};

/// The largest tick of a kernel is 10 ms, and either end of a span may be one off.
pub(crate) const TICKS: Duration = Duration::from_millis(20);

/// Of a socket without a connection and without one before.
const KNOWN_WITHOUT_CONNECTION: &[&str] = &["state"];

const KNOWN_OF_A_LISTENER: &[&str] =
    &["state", "accept_queue", "accept_queue_limit", "snd_cwnd", "reordering"];

/// What nobody knows before the handshake is over.
const UNKNOWN_BEFORE_THE_HANDSHAKE: &[&str] = &[
    "accept_queue",
    "accept_queue_limit",
    "ato",
    "last_data_sent",
    "last_data_recv",
    "last_ack_recv",
    "rtt",
    "rttvar",
    "min_rtt",
    "rcv_rtt",
    "delivery_rate",
    "delivery_rate_app_limited",
    "max_pacing_rate",
];

/// Fields that may have a value or none in a connection, as the path, the kernel and the congestion
/// control will have it.
const MAY_BE_KNOWN: &[&str] = &[
    "snd_ssthresh",
    "rcv_rtt",
    "pacing_rate",
    "delivery_rate",
    "delivery_rate_app_limited",
    "snd_wscale",
    "rcv_wscale",
    "fackets",
    "fastopen_client_fail",
    "last_ack_sent",
    "ecn_mode",
    "accecn_opt_seen",
    "accecn_fail_mode",
];

/// Counts of a connection's life: zero, if it did not live.
const COUNTERS: &[&str] = &[
    "total_retrans",
    "bytes_acked",
    "bytes_received",
    "segs_out",
    "segs_in",
    "data_segs_in",
    "data_segs_out",
    "busy_time",
    "rwnd_limited",
    "sndbuf_limited",
    "delivered",
    "delivered_ce",
    "bytes_sent",
    "bytes_retrans",
    "dsack_dups",
    "reord_seen",
    "rcv_ooopack",
    "rehash",
    "total_rto",
    "total_rto_recoveries",
    "total_rto_time",
    "received_ce",
    "delivered_e1_bytes",
    "delivered_e0_bytes",
    "delivered_ce_bytes",
    "received_e1_bytes",
    "received_e0_bytes",
    "received_ce_bytes",
];

pub(crate) fn linux(sock: &impl AsFd) -> LinuxTcpInfo {
    let Native::Linux(info) = read_native(sock).unwrap() else { panic!("not Linux's structure") };
    info
}

/// The fields that do not go on by themselves while nothing happens.
fn settled(info: &LinuxTcpInfo) -> Vec<(&'static str, Reading<Value>)> {
    let going = [
        "last_data_sent",
        "last_data_recv",
        "last_ack_recv",
        "busy_time",
        "rwnd_limited",
        "sndbuf_limited",
        "total_rto_time",
    ];
    info.fields()
        .filter(|(field, _)| !going.contains(&field.name))
        .map(|(f, r)| (f.name, r))
        .collect()
}

/// Asks something else between two readings that say the same.
pub(crate) fn beside<T>(scene: &Scene, mut ask: impl FnMut() -> T) -> (LinuxTcpInfo, T) {
    for _ in 0..1000 {
        let before = linux(scene);
        let answer = ask();
        if settled(&before) == settled(&linux(scene)) {
            return (before, answer);
        }
    }
    panic!("the socket never came to rest");
}

pub(crate) fn check(make: Make) {
    let since = Instant::now();
    let scene = make();
    let info = linux(&scene);
    // A tenth more, because the ticks of an emulated machine do not keep the time of its clock.
    let lived = since.elapsed().mul_f64(1.1) + TICKS;
    assert_eq!(TcpInfo::read(&scene).unwrap().state(), Some(scene.state), "{info:?}");
    known_where_it_means_something(&scene, &info);
    no_time_is_longer_than_the_test(&info, lived);
    every_byte_is_counted(&scene);
    options_say_the_same(&scene);
    queues_say_the_same(&scene);
    the_table_of_the_kernel_says_the_same(&scene);
    all_readers_say_the_same(&scene);
}

fn is_connection(scene: &Scene, info: &LinuxTcpInfo) -> bool {
    use State::{Close, Listen, SynRecv, SynSent};
    match scene.state {
        Close => info.rtt().value().is_some(),
        Listen | SynSent | SynRecv => false,
        _ => true,
    }
}

/// Whether a field has a value in this scene; `None` where both may be.
fn expected(scene: &Scene, info: &LinuxTcpInfo, name: &str) -> Option<bool> {
    match scene.state {
        State::Listen if name == "pacing_rate" => None,
        State::Listen => Some(KNOWN_OF_A_LISTENER.contains(&name)),
        State::SynSent | State::SynRecv if UNKNOWN_BEFORE_THE_HANDSHAKE.contains(&name) => {
            Some(false)
        }
        State::Close if !is_connection(scene, info) => {
            // Counters may say zero, or nothing.
            let either = COUNTERS.contains(&name) || MAY_BE_KNOWN.contains(&name);
            (!either || name == "delivery_rate").then(|| KNOWN_WITHOUT_CONNECTION.contains(&name))
        }
        // What the peer announces with its SYN.
        State::SynSent if ["options", "snd_wnd"].contains(&name) => None,
        _ if MAY_BE_KNOWN.contains(&name) => None,
        _ => Some(match name {
            "accept_queue" | "accept_queue_limit" | "max_pacing_rate" => false,
            "last_data_sent" => info.data_segs_out().value() != Some(0),
            "last_data_recv" => scene.moved.arrived > 0,
            // Some kernels set it for a FIN too.
            "ato" if scene.moved.arrived == 0 && scene.moved.fin_arrived => return None,
            "ato" => scene.moved.arrived > 0,
            _ => true,
        }),
    }
}

fn known_where_it_means_something(scene: &Scene, info: &LinuxTcpInfo) {
    let portable = TcpInfo::from_native(Native::Linux(*info), None);
    let had_connection = is_connection(scene, info);
    for (field, reading) in info.fields().filter(|(_, reading)| !reading.is_absent()) {
        let known = matches!(reading, Reading::Value(_));
        if let Some(expected) = expected(scene, info, field.name) {
            assert_eq!(known, expected, "{} is {reading:?} in {info:?}", field.name);
        }
    }

    // The portable view says nothing that the structure does not say.
    let silent = |keys: &[&str]| {
        for (key, value) in portable.facts().filter(|(key, _)| keys.contains(key)) {
            assert_eq!(value, None, "{key}");
        }
    };
    if scene.state == State::Close && !had_connection {
        for (key, value) in portable.facts().filter(|(key, _)| *key != "state") {
            let nothing = [Value::Unsigned(0), Value::Duration(Duration::ZERO), Value::Bool(false)];
            let refused_segment = ["txSegs", "rxSegs"].contains(&key);
            assert!(
                value.is_none_or(|value| nothing.contains(&value)) || refused_segment,
                "{key}: {value:?}"
            );
        }
    }
    match scene.state {
        State::Listen => {
            let said: Vec<_> =
                portable.facts().filter(|(_, value)| value.is_some()).map(|(key, _)| key).collect();
            let mut expected =
                vec!["state", "txCWindowSegs", "reorderingSegs", "acceptQueue", "acceptQueueLimit"];
            if portable.pacing_rate().is_some() {
                expected.insert(3, "pacingRate");
            }
            assert_eq!(said, expected);
            assert_eq!(portable.options(), None);
        }
        State::SynSent | State::SynRecv => silent(&[
            "rtt",
            "rttVar",
            "minRTT",
            "rxRTT",
            "ato",
            "lastTxAt",
            "lastRxAt",
            "lastRxAckAt",
            "deliveryRate",
            "appLimited",
            "acceptQueue",
            "acceptQueueLimit",
        ]),
        _ => silent(&["acceptQueue", "acceptQueueLimit", "lastTxAckAt"]),
    }
}

fn no_time_is_longer_than_the_test(info: &LinuxTcpInfo, lived: Duration) {
    for (field, reading) in info.fields() {
        let Reading::Value(Value::Duration(time)) = reading else { continue };
        // What is a timeout, not a time that went by.
        if !["rto", "ato"].contains(&field.name) {
            assert!(time <= lived, "{} is {time:?} after {lived:?}", field.name);
        }
    }
    if let (Some(busy), Some(window), Some(buffer)) =
        (info.busy_time().value(), info.rwnd_limited().value(), info.sndbuf_limited().value())
    {
        assert!(window + buffer <= busy, "{busy:?} holds {window:?} and {buffer:?}");
    }
    if let (Some(least), Some(smoothed)) = (info.min_rtt().value(), info.rtt().value()) {
        // The smoothed one is rounded down to a microsecond by its own formula.
        assert!(least <= smoothed + Duration::from_micros(1), "{least:?}, {smoothed:?}");
    }
}

/// Payload as the program moved it.
fn every_byte_is_counted(scene: &Scene) {
    let (info, queues) = beside(scene, || match Queues::read(scene) {
        Ok(queues) => Some(queues),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WrongState);
            assert!([State::Listen, State::Close].contains(&scene.state), "{error}");
            None
        }
    });
    if !is_connection(scene, &info) {
        return;
    }
    let queues = queues.expect("a connection has queues");
    let moved = scene.moved;
    assert_eq!(queues.unread_bytes.unwrap() as usize, moved.unread);
    let number = |flag: bool| usize::from(flag);
    if let Some(received) = info.bytes_received().value() {
        assert_eq!(received as usize, moved.arrived + number(moved.fin_arrived), "{info:?}");
    }
    if let (Some(sent), Some(again)) = (info.bytes_sent().value(), info.bytes_retrans().value()) {
        let unsent = match queues.unsent_bytes.unwrap() as usize {
            // A FIN that waits behind the data.
            unsent if unsent > 0 => unsent - number(moved.fin_queued),
            none => none,
        };
        assert_eq!((sent - again) as usize + unsent, moved.written, "{info:?} {queues:?}");
    }
    if let Some(acked) = info.bytes_acked().value() {
        // One for the SYN, one for a FIN, which is somewhere in these.
        let queued = queues.queued_bytes.unwrap() as usize;
        let all = acked as usize + queued;
        assert_eq!(all, 1 + moved.written + number(moved.fin_queued), "{info:?} {queues:?}");
    }
}

/// Socket options that tell a part of the same.
fn options_say_the_same(scene: &Scene) {
    let tcp = |name| raw::option(scene, libc::IPPROTO_TCP, name).unwrap();
    let socket = |name| raw::option(scene, libc::SOL_SOCKET, name).unwrap();
    let memory = SocketMemory::read(scene).unwrap();
    let size = |bytes: Option<u32>| i32::try_from(bytes.unwrap()).unwrap();
    assert_eq!(size(memory.rx_buffer_bytes), socket(libc::SO_RCVBUF));
    assert_eq!(size(memory.tx_buffer_bytes), socket(libc::SO_SNDBUF));

    let name = raw::congestion(scene);
    assert_eq!(Congestion::read(scene).unwrap().name.as_str(), name);
    assert_eq!(TcpInfo::read(scene).unwrap().congestion().unwrap().as_str(), name);

    let (info, segment) = beside(scene, || tcp(libc::TCP_MAXSEG));
    if let Some(ours) = info.snd_mss().value() {
        assert_eq!(i32::try_from(ours).unwrap(), segment);
    }
    if let Ok(mtu) = raw::option(scene, libc::IPPROTO_IP, libc::IP_MTU) {
        if let Some(ours) = info.pmtu().value() {
            assert_eq!(i32::try_from(ours).unwrap(), mtu);
        }
    }
    if is_connection(scene, &info) {
        // Both ends run on this kernel, which offers what its settings say.
        let on = |setting: &str| {
            std::fs::read_to_string(format!("/proc/sys/net/ipv4/{setting}")).unwrap().trim() != "0"
        };
        let options = info.options().value().unwrap();
        assert_eq!(options.get(TcpOption::Timestamps), Some(on("tcp_timestamps")));
        assert_eq!(options.get(TcpOption::Sack), Some(on("tcp_sack")));
        assert_eq!(options.get(TcpOption::WindowScale), Some(on("tcp_window_scaling")));
        assert_eq!(info.rcv_wscale().value().is_some(), on("tcp_window_scaling"));
        assert_eq!(info.snd_wscale().value().is_some(), on("tcp_window_scaling"));
    }
}

fn queues_say_the_same(scene: &Scene) {
    if !is_connection(scene, &linux(scene)) {
        return;
    }
    let (info, (ours, [unread, unsent, queued])) =
        beside(scene, || (Queues::read(scene).unwrap(), raw::queues(scene)));
    let number = |count: i32| Some(u64::try_from(count).unwrap());
    assert_eq!(ours.unread_bytes, number(unread));
    assert_eq!(ours.unsent_bytes, number(unsent));
    assert_eq!(ours.queued_bytes, number(queued));
    assert_eq!(ours.in_flight_bytes, number(queued - unsent));
    assert_eq!((ours.accept_queue, ours.accept_queue_limit), (None, None));
    if let Some(unsent_bytes) = info.notsent_bytes().value() {
        assert_eq!(Some(unsent_bytes.into()), number(unsent));
    }
    // No segment in flight without a byte, and no byte without a segment.
    if scene.state != State::Close {
        assert_eq!(info.unacked().value() == Some(0), ours.in_flight_bytes == Some(0), "{info:?}");
    }
}

fn the_table_of_the_kernel_says_the_same(scene: &Scene) {
    if scene.state == State::Close {
        // Then it is in no table, though what waits in TIME_WAIT in its stead may be.
        return;
    }
    let (info, line) = beside(scene, || proc::line(&scene.subject).unwrap());
    assert_eq!(State::from_linux(line.state), scene.state);
    if scene.state == State::Listen {
        assert_eq!(info.accept_queue().value(), Some(line.rx_queue));
        return;
    }
    let same = |name, ours: Reading<u32>, theirs: u32| {
        if let Some(ours) = ours.value() {
            assert_eq!(ours, theirs, "{name}: {line:?}, {info:?}");
        }
    };
    same("retransmits", info.retransmits().map(u32::from), line.retransmits.into());
    same("probes", info.probes().map(u32::from), line.probes.into());
    let ours = Queues::read(scene).unwrap();
    if scene.state != State::SynSent && scene.state != State::SynRecv {
        assert_eq!(ours.queued_bytes, Some(line.tx_queue.into()));
        let fin = u64::from(scene.moved.fin_arrived);
        assert_eq!(ours.unread_bytes.map(|unread| unread + fin), Some(line.rx_queue.into()));
    }
    let Some(theirs) = &line.connection else { return };
    same("cwnd", info.snd_cwnd(), theirs.cwnd);
    assert_eq!(info.snd_ssthresh().value(), theirs.ssthresh);
    // Theirs is rounded to hundredths of a second.
    let hundredths =
        |time: Reading<Duration>| time.value().map(|time| time.as_millis() as f64 / 10.0);
    for (ours, theirs) in
        [(hundredths(info.rto()), theirs.rto), (hundredths(info.ato()), theirs.ato)]
    {
        let ours = ours.unwrap_or(0.0);
        assert!((ours - theirs as f64).abs() <= 1.0, "{ours} is not {theirs}: {info:?}");
    }
}

fn all_readers_say_the_same(scene: &Scene) {
    let (info, (portable, packed)) =
        beside(scene, || (TcpInfo::read(scene).unwrap(), Packed::read(scene).unwrap()));
    for other in [portable, packed.unpack()] {
        let Native::Linux(native) = other.native() else { panic!("not Linux's structure") };
        assert_eq!(settled(native), settled(&info));
        assert_eq!(other.congestion(), portable.congestion());
    }
    assert!(!format!("{portable:?} {packed:?} {info:?} {:?}", portable.warnings()).is_empty());
}
