//! What a path did to a connection, and what the kernel says of it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use tcpinfo::{
    Queues, Reading, TcpInfo, Warning,
    native::{Native, linux::LinuxTcpInfo},
    read_native,
};

use super::{
    ledger::Ledger,
    relay::{Path, Weather},
};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("a_long_path_is_as_long_as_it_is_and_nothing_is_wrong", long),
    ("what_was_lost_is_what_was_retransmitted", lossy),
    ("what_was_lost_is_what_was_retransmitted_by_reno", lossy_by_reno),
    ("what_came_in_another_order_is_told_from_what_was_lost", reordered),
    ("losses_and_another_order_together_add_up", lossy_and_reordered),
    ("an_outage_doubles_the_timeout_until_it_ends", outage),
    ("a_lost_syn_is_a_timeout_without_payload", lost_syn),
    ("a_reader_that_stops_closes_the_window_for_as_long", slow_reader),
    ("a_small_send_buffer_limits_on_a_long_path", small_send_buffer),
];

/// The largest tick of a kernel is 10 ms, and either end of a span may be one off.
const TICKS: Duration = Duration::from_millis(20);

fn linux(stream: &TcpStream) -> LinuxTcpInfo {
    let Native::Linux(info) = read_native(stream).unwrap() else { panic!("not Linux's structure") };
    info
}

fn set_option(fd: &impl AsRawFd, level: i32, name: i32, value: &[u8]) {
    let len = libc::socklen_t::try_from(value.len()).unwrap();
    // SAFETY: the pointer and the length are those of `value`.
    let status =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), len) };
    assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
}

fn set_buffer(fd: &impl AsRawFd, name: i32, bytes: i32) {
    set_option(fd, libc::SOL_SOCKET, name, &bytes.to_ne_bytes());
}

/// Both ends of a connection over the path; `prepare` sees the listener first.
///
/// The send buffer holds fewer packets than the queue of the device, which therefore drops none.
fn connect(path: &Path, prepare: impl FnOnce(&TcpListener)) -> (TcpStream, TcpStream) {
    let listener = path.listener();
    prepare(&listener);
    let client = path.connect(listener.local_addr().unwrap());
    set_buffer(&client, libc::SO_SNDBUF, 150_000);
    (client, listener.accept().unwrap().0)
}

/// Sends so much and waits until all of it has arrived and been acknowledged.
fn upload(mut client: &TcpStream, server: &TcpStream, bytes: usize) {
    thread::scope(|scope| {
        scope.spawn(|| client.write_all(&vec![7; bytes]).unwrap());
        read_all(server, bytes);
    });
    until("the last acknowledgement", || queued(client) == 0);
}

fn read_all(mut server: &TcpStream, bytes: usize) {
    server.read_exact(&mut vec![0; bytes]).unwrap();
}

fn queued(stream: &TcpStream) -> u64 {
    Queues::read(stream).unwrap().queued_bytes.unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never came: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The readings of both ends, and what passed between them.
fn at_rest(path: &Path, client: &TcpStream, server: &TcpStream) -> (Ledger, TcpInfo, TcpInfo) {
    let (ledger, (near, far)) =
        path.at_rest(|| (TcpInfo::read(client).unwrap(), TcpInfo::read(server).unwrap()));
    (ledger, near, far)
}

/// What is true on every path. The devices know no segmentation offload, so a packet is a segment.
///
/// What was sent again is what was dropped, and what arrived twice because it was sent again for
/// nothing. Of the latter the kernel knows what the receiver reports (DSACK).
fn the_kernel_counted_what_passed(ledger: &Ledger, near: &TcpInfo, far: &TcpInfo, payload: usize) {
    let payload = payload as u64;
    let said = format!("{ledger:?}\nnear {near:?}\nfar {far:?}");
    let same = |what, ours: Option<u64>, theirs: u64| {
        if let Some(ours) = ours {
            assert_eq!(ours, theirs, "{what}: {said}");
        }
    };
    same(
        "segments sent again",
        near.retransmitted_segs(),
        ledger.again.packets + ledger.syns_again,
    );
    same("bytes sent again", near.retransmitted_bytes(), ledger.again.bytes);
    same("segments with data sent", near.tx_data_segs(), ledger.sent.packets);
    same("bytes sent", near.tx_bytes(), ledger.sent.bytes);
    same(
        "segments with data received",
        far.rx_data_segs(),
        ledger.sent.packets - ledger.dropped.packets,
    );
    same("bytes received", far.rx_bytes(), payload);
    same("segments out of order", far.rx_out_of_order_packets(), ledger.out_of_order);
    if let Some(spurious) = near.spurious_retransmits() {
        // Until 5.12 the kernel counted reports, since then the packets in them.
        assert!((ledger.reports..=ledger.reported_packets).contains(&spurious), "{said}");
        assert!(spurious <= ledger.duplicates.packets, "{said}");
        the_warnings_are(near, spurious, |warning| match warning {
            Warning::SpuriousRetransmits(count) => Some(*count),
            _ => None,
        });
    }
    assert_eq!(ledger.again.bytes, ledger.dropped.bytes + ledger.duplicates.bytes, "{said}");
    assert_eq!(ledger.sent.bytes, payload + ledger.again.bytes, "{said}");

    the_warnings_are(near, ledger.again.packets + ledger.syns_again, |warning| match warning {
        Warning::RetransmittedSegs(segs) => Some(*segs),
        _ => None,
    });
    the_warnings_are(near, ledger.again.bytes, |warning| match warning {
        Warning::RetransmittedBytes(bytes) => Some(*bytes),
        _ => None,
    });
    the_warnings_are(far, ledger.out_of_order, |warning| match warning {
        Warning::OutOfOrderPackets(packets) => Some(*packets),
        _ => None,
    });
    // The far end sent next to nothing, and nothing of it was lost.
    the_warnings_are(near, 0, |warning| match warning {
        Warning::OutOfOrderPackets(packets) => Some(*packets),
        _ => None,
    });
}

/// There is one warning of a kind with this number, or none where the number is zero.
fn the_warnings_are(info: &TcpInfo, number: u64, of_kind: impl FnMut(&Warning) -> Option<u64>) {
    let warnings = info.warnings();
    let numbers: Vec<u64> = warnings.iter().filter_map(of_kind).collect();
    let expected = if number == 0 { vec![] } else { vec![number] };
    assert_eq!(numbers, expected, "{warnings:?}");
}

/// Round trips of a message each way, with the time that the program saw.
fn ping(mut client: &TcpStream, mut server: &TcpStream) -> Duration {
    let begun = Instant::now();
    client.write_all(&[1; 1000]).unwrap();
    server.read_exact(&mut [0; 1000]).unwrap();
    server.write_all(&[2; 1000]).unwrap();
    client.read_exact(&mut [0; 1000]).unwrap();
    begun.elapsed()
}

fn long() {
    let round_trip = Weather::CLEAR.delay * 2;
    // A host that stands still for a fifth of a second makes the kernel believe in a loss.
    for _ in 0..10 {
        let path = Path::new(Weather::CLEAR).unwrap();
        let begun = Instant::now();
        let (client, server) = connect(&path, |_| {});
        let connected = begun.elapsed();
        let pings: Vec<Duration> = (0..10).map(|_| ping(&client, &server)).collect();
        let (ledger, near, far) = at_rest(&path, &client, &server);
        the_kernel_counted_what_passed(&ledger, &near, &far, 10_000);

        // Each acknowledgement came with the answer or before. The kernel rounds to microseconds.
        let (shortest, longest) = (pings.iter().min().unwrap(), pings.iter().max().unwrap());
        let rounding = Duration::from_micros(2);
        let (rtt, least) = (near.rtt().unwrap(), near.min_rtt().unwrap_or(round_trip));
        assert!(least + rounding >= round_trip && least <= *shortest, "{least:?}, {pings:?}");
        let most = connected.max(*longest);
        assert!(rtt + rounding >= round_trip && rtt <= most, "{rtt:?}, {connected:?}, {pings:?}");
        assert!(far.min_rtt().unwrap_or(round_trip) + rounding >= round_trip, "{far:?}");
        assert!(near.rto().unwrap() > rtt);
        assert!(near.busy_time().unwrap_or_default() <= begun.elapsed() + TICKS);
        if ledger.again.packets + ledger.syns_again == 0 {
            assert_eq!((near.warnings(), far.warnings()), (vec![], vec![]), "{near:?}, {far:?}");
            return;
        }
    }
    panic!("the host never was calm enough");
}

fn lossy() {
    lose(Weather { lost: 20, seed: 7, ..Weather::CLEAR }, |_| {});
}

fn lossy_by_reno() {
    lose(Weather { lost: 20, seed: 8, ..Weather::CLEAR }, |client| {
        set_option(client, libc::IPPROTO_TCP, libc::TCP_CONGESTION, b"reno");
    });
}

fn lose(weather: Weather, prepare: impl FnOnce(&TcpStream)) {
    const BYTES: usize = 1_000_000;
    let path = Path::new(weather).unwrap();
    let (client, server) = connect(&path, |_| {});
    prepare(&client);
    upload(&client, &server, BYTES);
    let (ledger, near, far) = at_rest(&path, &client, &server);
    assert!(ledger.dropped.packets > 5, "{ledger:?}");
    the_kernel_counted_what_passed(&ledger, &near, &far, BYTES);
    assert!(near.retransmitted_segs().unwrap() >= ledger.dropped.packets);
    assert!(ledger.out_of_order > 0, "what follows a loss comes out of order");
    // It is over: nothing is lost any more.
    assert_eq!((near.in_flight_segs(), near.backoff()), (Some(0), Some(0)));
}

fn reordered() {
    const BYTES: usize = 1_000_000;
    let weather =
        Weather { held_back: 50, longer: Duration::from_millis(8), seed: 9, ..Weather::CLEAR };
    let path = Path::new(weather).unwrap();
    let (client, server) = connect(&path, |_| {});
    let before = linux(&client);
    upload(&client, &server, BYTES);
    let (ledger, near, far) = at_rest(&path, &client, &server);
    assert!(ledger.held_back > 10 && ledger.dropped.packets == 0, "{ledger:?}");
    the_kernel_counted_what_passed(&ledger, &near, &far, BYTES);
    assert!(ledger.out_of_order > 0, "{ledger:?}");
    // Nothing was lost, so whatever was sent again was sent for nothing.
    assert_eq!(ledger.again, ledger.duplicates, "{ledger:?}");
    assert!(near.reordering_segs() > before.reordering().map(u64::from).value(), "{near:?}");
    assert!(near.reordering_events().is_none_or(|events| events > 0), "{near:?}");
}

fn lossy_and_reordered() {
    const BYTES: usize = 1_000_000;
    let weather = Weather {
        lost: 10,
        held_back: 30,
        longer: Duration::from_millis(40),
        seed: 10,
        timestamps: false,
        ..Weather::CLEAR
    };
    let path = Path::new(weather).unwrap();
    let (client, server) = connect(&path, |_| {});
    upload(&client, &server, BYTES);
    let (ledger, near, far) = at_rest(&path, &client, &server);
    assert!(ledger.held_back > 5 && ledger.dropped.packets > 2, "{ledger:?}");
    the_kernel_counted_what_passed(&ledger, &near, &far, BYTES);
}

fn outage() {
    const BYTES: usize = 20_000;
    let path = Path::new(Weather::CLEAR).unwrap();
    let begun = Instant::now();
    let (mut client, server) = connect(&path, |_| {});
    upload(&client, &server, BYTES);
    let calm = at_rest(&path, &client, &server).1;
    assert_eq!((calm.backoff(), calm.timeouts().unwrap_or(0)), (Some(0), 0), "{calm:?}");

    path.close(true);
    client.write_all(&[8; BYTES]).unwrap();
    until("a second timeout", || TcpInfo::read(&client).unwrap().backoff() >= Some(2));
    let during = TcpInfo::read(&client).unwrap();
    let warnings = during.warnings();
    assert!(
        warnings.iter().any(|warning| matches!(warning, Warning::Backoff(2..))),
        "{warnings:?}"
    );
    if let Some(timeouts) = during.timeouts() {
        assert!(timeouts >= 2, "{during:?}");
        assert!(warnings.iter().any(|w| matches!(w, Warning::Timeouts(2..))), "{warnings:?}");
    }
    assert!(during.rto() >= calm.rto().map(|rto| rto * 2), "{calm:?}, {during:?}");
    assert!(during.last_rx_ack_age() > calm.rtt(), "nobody answers");

    path.close(false);
    read_all(&server, BYTES);
    until("the last acknowledgement", || queued(&client) == 0);
    let (ledger, near, far) = at_rest(&path, &client, &server);
    the_kernel_counted_what_passed(&ledger, &near, &far, 2 * BYTES);
    assert!(ledger.dropped.packets >= 3, "{ledger:?}");
    assert_eq!(near.backoff(), Some(0));
    assert!(near.timeouts() >= during.timeouts(), "that is for life");
    assert!(!near.warnings().iter().any(|warning| matches!(warning, Warning::Backoff(_))));
    let native = linux(&client);
    assert_eq!(native.retransmits(), Reading::Value(0));
    if let Some(time) = native.total_rto_time().value() {
        assert!(time > Duration::ZERO && time <= begun.elapsed() + TICKS, "{time:?}");
        assert!(native.total_rto_recoveries().value() >= Some(1), "{native:?}");
    }
}

fn lost_syn() {
    let path = Path::new(Weather::CLEAR).unwrap();
    let listener = path.listener();
    path.close(true);
    let address = listener.local_addr().unwrap();
    let (client, server) = thread::scope(|scope| {
        let client = scope.spawn(|| path.connect(address));
        until("a first SYN", || path.ledger().packets > 0);
        path.close(false);
        let server = listener.accept().unwrap().0;
        (client.join().unwrap(), server)
    });
    let (ledger, near, far) = at_rest(&path, &client, &server);
    assert!(ledger.syns_again >= 1, "{ledger:?}");
    the_kernel_counted_what_passed(&ledger, &near, &far, 0);
    if let Some(timeouts) = near.timeouts() {
        assert_eq!(timeouts, ledger.syns_again);
        assert!(near.warnings().contains(&Warning::Timeouts(timeouts)));
    }
    assert_eq!((near.last_tx_age(), near.backoff()), (None, Some(0)), "{near:?}");
}

/// Reads before and after a pause, with the least and the most time that lies between.
fn over_a_pause(mut read: impl FnMut() -> Duration) -> (Duration, Duration, Duration) {
    let outer = Instant::now();
    let first = read();
    let inner = Instant::now();
    thread::sleep(Duration::from_millis(60));
    let least = inner.elapsed();
    let second = read();
    (second - first, least, outer.elapsed())
}

fn slow_reader() {
    let path = Path::new(Weather::CLEAR).unwrap();
    let begun = Instant::now();
    // The buffer of what is accepted is that of the listener.
    let (mut client, server) = connect(&path, |l| set_buffer(l, libc::SO_RCVBUF, 20_000));
    client.set_nonblocking(true).unwrap();
    let mut written = 0;
    let full = loop {
        match client.write(&[9; 10_000]) {
            Ok(bytes) => written += bytes,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    until("a full window", || {
        let queues = Queues::read(&client).unwrap();
        queues.in_flight_bytes == Some(0) && queues.unsent_bytes > Some(0)
    });
    if linux(&client).rwnd_limited().is_absent() {
        return;
    }
    let limited = || TcpInfo::read(&client).unwrap().peer_window_limited().unwrap();
    let (grown, least, most) = over_a_pause(limited);
    assert!(least <= grown + TICKS && grown <= most + TICKS, "{least:?}, {grown:?}, {most:?}");
    let info = TcpInfo::read(&client).unwrap();
    let warned = Warning::PeerWindowLimited(info.peer_window_limited().unwrap());
    assert!(info.warnings().contains(&warned), "{:?}", info.warnings());

    read_all(&server, written);
    until("the last acknowledgement", || queued(&client) == 0);
    let (grown, ..) = over_a_pause(limited);
    assert_eq!(grown, Duration::ZERO, "the window is open");
    let (ledger, near, far) = at_rest(&path, &client, &server);
    assert!(near.peer_window_limited().unwrap() <= begun.elapsed() + TICKS);
    assert!(near.peer_window_limited() <= near.busy_time());
    the_kernel_counted_what_passed(&ledger, &near, &far, written);
}

/// Writes packets, each by itself in the buffer, until it is full.
fn fill_with_packets(stream: &TcpStream) -> usize {
    let packet = [9u8; 1000];
    let mut written = 0;
    loop {
        // SAFETY: the pointer and the length are those of `packet`.
        let sent = unsafe {
            libc::send(stream.as_raw_fd(), packet.as_ptr().cast(), packet.len(), libc::MSG_EOR)
        };
        match usize::try_from(sent) {
            Ok(bytes) => written += bytes,
            Err(_) => {
                let full = std::io::Error::last_os_error();
                assert_eq!(full.kind(), ErrorKind::WouldBlock);
                return written;
            }
        }
    }
}

/// A few packets fill the buffer. They leave one by one, because sending is paced, and then nothing
/// is left to send, nothing can be written, and nothing is acknowledged.
fn small_send_buffer() {
    let path = Path::new(Weather::CLEAR).unwrap();
    let begun = Instant::now();
    let (client, server) = connect(&path, |_| {});
    if linux(&client).sndbuf_limited().is_absent() {
        return;
    }
    set_buffer(&client, libc::SO_SNDBUF, 4000);
    set_option(&client, libc::IPPROTO_TCP, libc::TCP_CONGESTION, b"reno");
    // The first packets of a connection are not paced.
    let mut written = 20_000;
    upload(&client, &server, written);
    let pace = 100_000u32.to_ne_bytes();
    set_option(&client, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, &pace);
    client.set_nodelay(true).unwrap();
    client.set_nonblocking(true).unwrap();
    let limited = || TcpInfo::read(&client).unwrap().send_buffer_limited().unwrap();
    // On a host that stands still meanwhile, all may have left before the buffer was full.
    for _ in 0..10 {
        path.close(true);
        let bytes = fill_with_packets(&client);
        written += bytes;
        thread::sleep(Duration::from_millis(100));
        let before = limited();
        thread::sleep(Duration::from_millis(20));
        let begins = limited() > before;
        if begins {
            let (grown, least, most) = over_a_pause(limited);
            assert!(
                least <= grown + TICKS && grown <= most + TICKS,
                "{least:?} {grown:?} {most:?}"
            );
            let info = TcpInfo::read(&client).unwrap();
            let warned = Warning::SendBufferLimited(info.send_buffer_limited().unwrap());
            assert!(info.warnings().contains(&warned), "{:?}", info.warnings());
        }
        path.close(false);
        read_all(&server, bytes);
        until("the last acknowledgement", || queued(&client) == 0);
        let (grown, ..) = over_a_pause(limited);
        assert_eq!(grown, Duration::ZERO, "there is room");
        if begins {
            let (ledger, near, far) = at_rest(&path, &client, &server);
            the_kernel_counted_what_passed(&ledger, &near, &far, written);
            let limited = near.send_buffer_limited().unwrap();
            assert!(limited <= begun.elapsed() + TICKS);
            assert!(limited + near.peer_window_limited().unwrap() <= near.busy_time().unwrap());
            return;
        }
    }
    panic!("the host never was calm enough");
}
