//! A socket says nothing of what it never had, or had in another connection.

use std::{io::Write, time::Duration};

use libtest_mimic::Trial;
use tcpinfo::{ErrorKind, Queues, State, TcpInfo};

use super::{
    raw,
    readings::linux,
    scenes::{self, Make, Scene, pair, state, stuck},
    trial,
};

pub(crate) fn trials(can_deafen: bool) -> Vec<Trial> {
    let tests: [(bool, &str, fn()); 6] = [
        (true, "queues_of_a_socket_without_a_connection_hold_nothing", queues),
        (can_deafen, "times_of_a_connection_end_with_it", times),
        (true, "warnings_of_a_connection_end_with_it", warnings),
        (true, "there_is_no_delivery_rate_where_no_payload_was_sent", delivery_rate),
        (can_deafen, "nothing_is_in_flight_after_the_end", in_flight),
        (true, "before_the_handshake_the_peer_said_nothing", handshake),
    ];
    let test =
        |(possible, name, test): (bool, &str, fn())| trial(name, test).with_ignored_flag(!possible);
    tests.into_iter().map(test).collect()
}

fn scene(name: &str) -> Scene {
    let make: Make = scenes::all().find(|(other, _)| *other == name).unwrap().1;
    make()
}

fn queues() {
    for name in [
        "fresh",
        "bound",
        "refused",
        "listening_no_more",
        "disconnected",
        "disconnected_before_the_handshake",
    ] {
        match Queues::read(&scene(name)) {
            Ok(queues) => {
                assert_eq!(queues, Queues::default(), "{name}");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WrongState, "{name}: {error}"),
        }
    }
}

fn times() {
    let (client, server) = pair();
    raw::deafen(&server);
    (&client).write_all(&[1; 100]).unwrap();
    let busy = || linux(&client).busy_time().value();
    raw::until("50 ms with data outstanding", || {
        busy().is_none_or(|time| time > Duration::from_millis(50))
    });
    raw::disconnect(&client);
    assert_eq!(state(&client), Some(State::Close));
    assert_eq!(busy().unwrap_or_default(), Duration::ZERO, "{:?}", linux(&client));
}

fn warnings() {
    let (client, server, _) = stuck();
    raw::until("50 ms with a closed window", || {
        linux(&client).rwnd_limited().value().is_none_or(|time| time > Duration::from_millis(50))
    });
    raw::disconnect(&client);
    assert_eq!(TcpInfo::read(&client).unwrap().warnings(), [], "{:?}", linux(&client));
    drop(server);
}

fn delivery_rate() {
    for name in ["established_and_idle", "connected_again", "fin_wait2"] {
        let info = TcpInfo::read(&scene(name)).unwrap();
        assert_eq!(info.tx_bytes().unwrap_or(0), 0);
        assert_eq!((info.delivery_rate(), info.app_limited()), (None, None), "{name}: {info:?}");
    }
}

fn in_flight() {
    for name in ["closed_by_us_first", "closed_by_the_peer_first", "reset", "given_up"] {
        let info = TcpInfo::read(&scene(name)).unwrap();
        assert_eq!(info.in_flight_segs().unwrap_or(0), 0, "{name}: {info:?}");
    }
}

fn handshake() {
    let info = TcpInfo::read(&scene("syn_sent_to_a_full_listener")).unwrap();
    assert_eq!(info.tx_window(), None, "no window was advertised");
    assert_eq!(info.options(), None, "nothing was negotiated");
}
