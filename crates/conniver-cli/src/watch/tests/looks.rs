use super::*;

/// The rates of the connection with this cookie.
fn rates(state: &State, cookie: u64) -> Option<(Option<f64>, Option<f64>)> {
    let shown = (0..state.len()).filter_map(|place| state.shown(place));
    let mut found = shown.filter(|shown| shown.connection.cookie() == cookie);
    let change = found.next().unwrap().connection.change();
    change.map(|change| (change.tx, change.rx))
}

#[test]
fn rates_are_of_the_time_between_two_looks() {
    let mut state = usual_state();
    state.apply(look(0, &[Socket::new(1).bytes(1_000, 0)]));
    assert_eq!(rates(&state, 1), None);
    state.apply(look(2, &[Socket::new(1).bytes(5_000, 600), Socket::new(2).bytes(9_000, 0)]));
    assert_eq!(rates(&state, 1), Some((Some(2_000.0), Some(300.0))));
    // What a new one has done before is not of this interval.
    assert_eq!(rates(&state, 2), None);
    assert_eq!(state.totals().tx, Some(2_000.0));
    assert_eq!((state.totals().new, state.totals().ended), (1, 0));
}

#[test]
fn a_look_soon_after_another_keeps_the_rates_and_what_they_are_counted_from() {
    let mut state = usual_state();
    state.apply(look(0, &[Socket::new(1).bytes(0, 0)]));
    state.apply(look(1, &[Socket::new(1).bytes(1_000, 0)]));
    state.apply(look_at(Duration::from_millis(1_001), &[Socket::new(1).bytes(1_500, 0)]));
    assert_eq!(rates(&state, 1), Some((Some(1_000.0), Some(0.0))));
    state.apply(look(2, &[Socket::new(1).bytes(3_000, 0)]));
    assert_eq!(rates(&state, 1), Some((Some(2_000.0), Some(0.0))));
}

#[test]
fn a_socket_that_is_used_again_is_another_connection() {
    let mut state = usual_state();
    state.apply(look(0, &[Socket::new(1).bytes(1_000, 0)]));
    let again = Socket { remote: (Ipv4Addr::LOCALHOST, 80), ..Socket::new(1).bytes(9_000, 0) };
    state.apply(look(1, &[again]));
    assert_eq!(rates(&state, 1), None);
    assert!(state.shown(0).unwrap().connection.is_new());
}

#[test]
fn counters_that_began_anew_have_no_rate() {
    let mut state = usual_state();
    state.apply(look(0, &[Socket::new(1).bytes(1_000, 0)]));
    state.apply(look(1, &[Socket::new(1).bytes(10, 0)]));
    assert_eq!(rates(&state, 1), None);
    assert_eq!(state.totals().tx, None);
}

#[test]
fn one_that_is_told_of_twice_is_shown_once() {
    let mut state = usual_state();
    let twice = [Socket::new(1), Socket::new(2), Socket::new(1)];
    state.apply(look(0, &twice));
    assert_eq!(order(&state), [1, 2]);
}

#[test]
fn what_has_ended_is_shown_for_one_interval() {
    let mut state = usual_state();
    state.apply(look(0, &[Socket::new(1), Socket::new(2), Socket::new(3)]));
    state.apply(look(1, &[Socket::new(1), Socket::new(3)]));
    assert_eq!(order(&state), [1, 3, 2]);
    let has_ended: Vec<_> = (0..3).map(|place| state.shown(place).unwrap().has_ended).collect();
    assert_eq!(has_ended, [false, false, true]);
    assert_eq!((state.totals().count, state.totals().ended), (2, 1));
    assert!(screen(&mut state, 80, 24).contains("\n-ended "), "{}", screen(&mut state, 80, 24));
    state.apply(look(2, &[Socket::new(1), Socket::new(3)]));
    assert_eq!(order(&state), [1, 3]);
    // One that comes back is new.
    state.apply(look(3, &[Socket::new(1), Socket::new(2), Socket::new(3)]));
    assert_eq!(rates(&state, 2), None);
    assert_eq!(state.totals().new, 1);
}

#[test]
fn equals_keep_their_order_whichever_way() {
    let mut state = state(&["state", "local", "snd_cwnd"], "snd_cwnd");
    let sockets = [5, 3, 4, 1, 2].map(Socket::new);
    state.apply(look(0, &sockets));
    assert_eq!(order(&state), [1, 2, 3, 4, 5]);
    press(&mut state, KeyCode::Char('r'));
    assert_eq!(order(&state), [1, 2, 3, 4, 5]);
    let mut sockets = sockets.to_vec();
    sockets[1] = Socket::new(3).with("snd_cwnd", 99);
    state.apply(look(1, &sockets));
    assert_eq!(order(&state), [3, 1, 2, 4, 5]);
}

#[test]
fn the_selected_one_stays_selected_wherever_it_moves() {
    let mut state = state(&["state", "local", "rtt"], "rtt");
    state.apply(look(0, &[1, 2, 3, 4].map(Socket::new)));
    press(&mut state, KeyCode::Down);
    press(&mut state, KeyCode::Down);
    assert_eq!(selected(&state), Some(2));
    let slower = Socket::new(2).with("rtt", 900_000);
    state.apply(look(1, &[Socket::new(1), slower, Socket::new(3), Socket::new(4)]));
    assert_eq!(order(&state), [1, 3, 4, 2]);
    assert_eq!((selected(&state), state.selected_place()), (Some(2), Some(3)));
    // It is still there when it has ended, and another takes its place after that.
    state.apply(look(2, &[1, 3, 4].map(Socket::new)));
    assert_eq!(selected(&state), Some(2));
    state.apply(look(3, &[1, 3, 4].map(Socket::new)));
    assert_eq!(selected(&state), Some(4));
    state.apply(look(4, &[]));
    state.apply(look(5, &[]));
    assert_eq!(selected(&state), None);
}

#[test]
fn a_look_for_another_filter_is_not_taken() {
    let mut state = usual_state();
    state.apply(look(0, &[Socket::new(1)]));
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, "dport = :443");
    assert_eq!(press(&mut state, KeyCode::Enter), Wish::Look);
    state.apply(look(1, &[Socket::new(2)]));
    assert_eq!(order(&state), [1]);
    let mut later = look(1, &[Socket::new(3)]);
    later.filter = state.filters();
    state.apply(later);
    assert!(order(&state).contains(&3));
}

#[test]
fn histories_are_bounded() {
    let mut state = usual_state();
    let sockets: Vec<_> = (1..=3_000).map(Socket::new).collect();
    for second in 0..3 {
        state.apply(look(second, &sockets));
    }
    // So many that only those have one that were looked at.
    assert_eq!(state.histories().len(), 0);
    for _ in 0..40 {
        press(&mut state, KeyCode::Down);
    }
    state.apply(look(3, &sockets));
    assert_eq!(state.histories().len(), 16);
    assert_eq!(state.history().count(), 1);
    for second in 4..300 {
        state.apply(look(second, &sockets[..50]));
    }
    assert_eq!(state.histories().len(), 50);
    assert_eq!(state.history().count(), 120);
}

#[test]
fn a_failed_look_is_told_and_what_was_seen_stays() {
    let mut state = usual_state();
    state.apply(look(0, &[Socket::new(1)]));
    state.fail("the kernel is \x1b[2J busy".to_owned());
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("the kernel is \\x1b[2J busy") && shown.contains(":40001"), "{shown}");
    state.apply(look(1, &[Socket::new(1)]));
    assert!(!screen(&mut state, 80, 24).contains("busy"));
}
