//! Times and counts that go on, between clocks that are read before and after.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use tcpinfo::{Queues, Reading, State, TcpInfo, Warning};

use super::{
    raw,
    readings::{TICKS, linux},
    scenes::{self, exchange, pair, stuck},
    trial,
};

pub(crate) fn trials(can_deafen: bool) -> Vec<Trial> {
    let tests: [(bool, &str, fn()); 9] = [
        (true, "silence_lasts_as_long_as_it_lasts", silence),
        (true, "ages_of_a_silent_connection_begin_at_the_handshake", silence_from_the_start),
        (true, "time_is_limited_by_the_peers_window_while_it_is_closed", peer_window),
        (can_deafen, "time_is_busy_while_data_is_outstanding", busy),
        (can_deafen, "timeouts_double_the_next_and_end_with_an_answer", timeouts),
        (true, "a_syn_without_an_answer_is_retransmitted", unanswered_syn),
        (can_deafen, "probes_of_a_closed_window_are_counted_while_unanswered", probes),
        (true, "windows_and_scales_are_those_of_the_other_end", both_ends),
        (can_deafen, "a_receiver_sees_what_was_sent_and_nothing_twice", both_ends_with_losses),
    ];
    let test =
        |(possible, name, test): (bool, &str, fn())| trial(name, test).with_ignored_flag(!possible);
    tests.into_iter().map(test).collect()
}

const PAUSE: Duration = Duration::from_millis(50);

/// A span between two readings, from the inside and from the outside.
struct Span {
    least: Duration,
    most: Duration,
}

impl Span {
    fn holds(&self, time: Duration) -> bool {
        self.least.saturating_sub(TICKS) <= time && time <= self.most + TICKS
    }
}

/// Reads before and after a pause, with the span that lies between.
fn over_a_pause<T>(mut read: impl FnMut() -> T) -> (T, T, Span) {
    let outer = Instant::now();
    let first = read();
    let inner = Instant::now();
    std::thread::sleep(PAUSE);
    let least = inner.elapsed();
    let second = read();
    (first, second, Span { least, most: outer.elapsed() })
}

fn silence() {
    let (client, server) = pair();
    let before = Instant::now();
    exchange(&client, &server);
    let inner = Instant::now();
    std::thread::sleep(PAUSE);
    let least = inner.elapsed();
    let info = linux(&client);
    let span = Span { least, most: before.elapsed() };
    for age in [info.last_data_sent(), info.last_data_recv(), info.last_ack_recv()] {
        let age = age.value().unwrap();
        assert!(span.holds(age), "{age:?} is not {:?} to {:?}", span.least, span.most);
    }
    let info = TcpInfo::read(&client).unwrap();
    assert!(info.last_tx_age().unwrap() >= span.least.saturating_sub(TICKS));
    assert!(info.last_rx_age().unwrap() >= span.least.saturating_sub(TICKS));
    assert_eq!(info.last_tx_ack_age(), None, "no kernel fills it");
}

fn silence_from_the_start() {
    let before = Instant::now();
    let (client, _server) = pair();
    let inner = Instant::now();
    std::thread::sleep(PAUSE);
    let least = inner.elapsed();
    let info = TcpInfo::read(&client).unwrap();
    let span = Span { least, most: before.elapsed() };
    assert_eq!((info.last_tx_age(), info.last_rx_age()), (None, None), "nothing was sent");
    assert!(span.holds(info.last_rx_ack_age().unwrap()), "{info:?}");
}

fn peer_window() {
    let begun = Instant::now();
    let (client, mut server, moved) = stuck();
    // Until what is under way has arrived, and what is left does not fit.
    raw::until("a closed window", || Queues::read(&client).unwrap().in_flight_bytes == Some(0));
    let limited = || TcpInfo::read(&client).unwrap().peer_window_limited().unwrap();
    if linux(&client).rwnd_limited().is_absent() {
        return;
    }
    let (first, second, span) = over_a_pause(limited);
    assert!(span.holds(second - first), "{:?} in {:?}", second - first, span.most);
    assert!(second <= begun.elapsed() + TICKS);
    let info = TcpInfo::read(&client).unwrap();
    assert!(info.busy_time() >= info.peer_window_limited());
    let warned = info.warnings().into_iter().find_map(|warning| match warning {
        Warning::PeerWindowLimited(time) => Some(time),
        _ => None,
    });
    assert_eq!(warned, info.peer_window_limited());

    server.read_exact(&mut vec![0; moved.written]).unwrap();
    raw::until("an empty queue", || {
        Queues::read(&client).is_ok_and(|queues| queues.queued_bytes == Some(0))
    });
    let (first, second, _) = over_a_pause(limited);
    assert_eq!(first, second, "nothing waits any more");
    assert!(second <= begun.elapsed() + TICKS);
}

fn busy() {
    let begun = Instant::now();
    let (mut client, server) = pair();
    if linux(&client).busy_time().is_absent() {
        return;
    }
    let busy = || TcpInfo::read(&client).unwrap().busy_time().unwrap();
    std::thread::sleep(PAUSE);
    assert_eq!(busy(), Duration::ZERO, "nothing was sent");
    raw::deafen(&server);
    (&client).write_all(&[7; 100]).unwrap();
    let (first, second, span) = over_a_pause(busy);
    assert!(span.holds(second - first), "{:?} in {:?}", second - first, span.most);
    raw::undeafen(&server);
    raw::until("the acknowledgement", || Queues::read(&client).unwrap().in_flight_bytes == Some(0));
    let (first, second, _) = over_a_pause(busy);
    assert_eq!(first, second, "nothing is outstanding");
    assert!(second <= begun.elapsed() + TICKS);
    client.flush().unwrap();
}

/// The kernel may first probe for a lost tail, which is a retransmission but no timeout.
fn timeouts() {
    let (client, mut server) = pair();
    let calm = linux(&client);
    raw::deafen(&server);
    (&client).write_all(&[8; 100]).unwrap();
    raw::until("a second timeout", || linux(&client).backoff().value().unwrap() >= 2);
    let info = linux(&client);
    let portable = TcpInfo::read(&client).unwrap();
    let backoff = info.backoff().value().unwrap();
    assert!(info.retransmits().value().unwrap() >= backoff);
    // What is not acknowledged by any duplicate is doubled each time, from what it was.
    assert_eq!(info.rto().value().unwrap(), calm.rto().value().unwrap() * (1 << backoff));
    let retransmitted = info.total_retrans().value().unwrap();
    assert!(retransmitted >= backoff.into());
    let count = |reading: Reading<u64>, expected: u64| {
        if let Some(ours) = reading.value() {
            assert_eq!(ours, expected, "{info:?}");
        }
    };
    count(info.bytes_retrans(), 100 * u64::from(retransmitted));
    count(info.bytes_sent(), 100 * u64::from(1 + retransmitted));
    count(info.data_segs_out().map(u64::from), u64::from(1 + retransmitted));
    if let Some(timeouts) = info.total_rto().value() {
        assert!(timeouts >= backoff.into(), "{info:?}");
        assert!(portable.warnings().contains(&Warning::Timeouts(timeouts.into())));
    }
    let warned = portable.warnings();
    let backoffs = warned.iter().any(|warning| matches!(warning, Warning::Backoff(2..)));
    assert!(backoffs, "{warned:?}");

    raw::undeafen(&server);
    server.read_exact(&mut [0; 100]).unwrap();
    raw::until("the acknowledgement", || Queues::read(&client).unwrap().in_flight_bytes == Some(0));
    let info = linux(&client);
    assert_eq!((info.backoff().value(), info.retransmits().value()), (Some(0), Some(0)));
    assert!(info.total_retrans().value().unwrap() >= retransmitted, "that is for life");
    assert_eq!(TcpInfo::read(&server).unwrap().rx_bytes().unwrap_or(100), 100);
    assert!(
        !TcpInfo::read(&client)
            .unwrap()
            .warnings()
            .iter()
            .any(|w| matches!(w, Warning::Backoff(_)))
    );
}

fn unanswered_syn() {
    let begun = Instant::now();
    let full = scenes::listener(0, 1);
    let socket = raw::tcp();
    raw::begin_connect(&socket, raw::local_port(&full.subject));
    raw::until("another SYN", || linux(&socket).total_retrans().value().unwrap() >= 1);
    let info = TcpInfo::read(&socket).unwrap();
    assert!(begun.elapsed() + TICKS >= Duration::from_secs(1), "a second is what a SYN waits");
    assert_eq!(info.state(), Some(State::SynSent));
    assert_eq!(
        (info.rtt(), info.min_rtt(), info.last_tx_age(), info.last_rx_ack_age()),
        (None, None, None, None)
    );
    let again = info.retransmitted_segs().unwrap();
    if let Some(sent) = info.tx_segs() {
        assert_eq!(sent, 1 + again);
    }
    if let Some(timeouts) = info.timeouts() {
        assert_eq!(timeouts, again);
    }
    assert_eq!(info.retransmitted_bytes().unwrap_or(0), 0, "a SYN has no payload");
    assert!(info.warnings().contains(&Warning::RetransmittedSegs(again)));

    // Room in the queue, and the next one is answered.
    let listener = std::net::TcpListener::from(full.subject);
    drop(listener.accept().unwrap());
    raw::until("the answer", || scenes::state(&socket) == Some(State::Established));
    let info = TcpInfo::read(&socket).unwrap();
    assert!(info.retransmitted_segs().unwrap() >= again);
    assert_eq!(info.backoff(), Some(0));
}

fn probes() {
    let (client, server, _) = stuck();
    if linux(&client).snd_wnd().is_absent() {
        return;
    }
    // What is left of the window, smaller than a segment, is used up by the first probes.
    raw::until("a window of nothing", || {
        let info = linux(&client);
        info.snd_wnd().value() == Some(0) && info.unacked().value() == Some(0)
    });
    let probes = || linux(&client).probes().value().unwrap();
    raw::deafen(&server);
    raw::until("two probes in a row", || probes() >= 2);
    let info = TcpInfo::read(&client).unwrap();
    let warned = info.warnings();
    assert!(
        warned.contains(&Warning::UnansweredProbes(info.unanswered_probes().unwrap())),
        "{warned:?}"
    );
    raw::undeafen(&server);
    raw::until("an answer", || probes() == 0);
}

fn both_ends() {
    let (client, server) = pair();
    exchange(&client, &server);
    raw::until("the last acknowledgement", || {
        let of = |stream: &TcpStream| Queues::read(stream).unwrap().in_flight_bytes;
        of(&client) == Some(0) && of(&server) == Some(0)
    });
    let (near, far) = (linux(&client), linux(&server));
    assert_eq!(near.snd_wscale(), far.rcv_wscale());
    assert_eq!(near.rcv_wscale(), far.snd_wscale());
    assert_eq!(near.options(), far.options());
    let portable = TcpInfo::read(&client).unwrap();
    assert_eq!(portable.rx_window_scale(), far.rcv_wscale().value(), "what the peer announced");
    assert_eq!(portable.tx_window_scale(), far.snd_wscale().value(), "what we announced");
    assert_eq!(near.data_segs_out(), far.data_segs_in());
    assert_eq!(near.data_segs_in(), far.data_segs_out());
    assert_eq!(near.segs_out(), far.segs_in());
    // The answer to a SYN is sent before there is a socket to count it.
    assert_eq!(near.segs_in(), far.segs_out().map(|segs| segs + 1));
    assert_eq!(near.advmss(), far.advmss());
}

fn both_ends_with_losses() {
    let (client, mut server) = pair();
    let mut written = 0;
    for _ in 0..3 {
        raw::deafen(&server);
        (&client).write_all(&[9; 10_000]).unwrap();
        written += 10_000;
        let before = linux(&client).total_retrans().value().unwrap();
        raw::until("a retransmission", || linux(&client).total_retrans().value().unwrap() > before);
        raw::undeafen(&server);
        server.read_exact(&mut [0; 10_000]).unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    let (near, far) = (TcpInfo::read(&client).unwrap(), TcpInfo::read(&server).unwrap());
    if let (Some(sent), Some(again)) = (near.tx_bytes(), near.retransmitted_bytes()) {
        assert_eq!(sent - again, written);
        assert!(again >= written, "each was lost once at least");
    }
    assert_eq!(far.rx_bytes().unwrap_or(written + 1), written + 1, "and one for the FIN");
    assert!(near.retransmitted_segs().unwrap() >= 3);
    assert!(near.warnings().iter().any(|w| matches!(w, Warning::RetransmittedBytes(_))));
}
