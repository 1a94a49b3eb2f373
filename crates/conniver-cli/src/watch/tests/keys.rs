use super::*;

fn with_sockets() -> State {
    let mut state = usual_state();
    let socket = |cookie| Socket::new(cookie).bytes(0, 0);
    state.apply(look(0, &[1, 2, 3].map(socket)));
    let socket = |cookie: u64| Socket::new(cookie).bytes(1_000 * cookie, 0);
    state.apply(look(1, &[1, 2, 3].map(socket)));
    state
}

#[test]
fn the_busiest_come_first() {
    assert_eq!(order(&with_sockets()), [3, 2, 1]);
}

#[test]
fn digits_and_neighbours_choose_what_is_sorted_by() {
    let mut state = with_sockets();
    press(&mut state, KeyCode::Char('2'));
    assert_eq!((state.sort().field.name(), state.sort().is_descending), ("local", false));
    assert_eq!(order(&state), [1, 2, 3]);
    press(&mut state, KeyCode::Char('2'));
    assert_eq!(order(&state), [3, 2, 1]);
    press(&mut state, KeyCode::Char('>'));
    assert_eq!(state.sort().field.name(), "remote");
    press(&mut state, KeyCode::Char('<'));
    press(&mut state, KeyCode::Char('<'));
    press(&mut state, KeyCode::Char('<'));
    assert_eq!(state.sort().field.name(), "state");
    assert!(screen(&mut state, 80, 24).contains(" STATE▲ "));
    press(&mut state, KeyCode::Char('r'));
    assert!(screen(&mut state, 80, 24).contains(" STATE▼ "));
}

#[test]
fn a_filter_that_is_none_leaves_the_old_and_says_where() {
    let mut state = with_sockets();
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, " sport = :40002");
    assert_eq!(press(&mut state, KeyCode::Enter), Wish::Look);
    assert_eq!((state.filter(), order(&state)), ("sport = :40002", vec![2]));
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, " or rtt > 3");
    assert_eq!(press(&mut state, KeyCode::Enter), Wish::Nothing);
    assert_eq!(state.filter(), "sport = :40002");
    let shown = screen(&mut state, 80, 24);
    let lines: Vec<_> = shown.lines().collect();
    let typed = lines.iter().position(|line| line.starts_with("filter: sport")).unwrap();
    let place = lines[typed].find('3').unwrap();
    assert_eq!(lines[typed + 1].find('^'), Some(place), "{shown}");
    assert!(lines[typed + 2].contains("time with a unit"), "{shown}");
    // Where the mistake is, is where one types.
    press(&mut state, KeyCode::Delete);
    type_text(&mut state, "30ms");
    assert_eq!(press(&mut state, KeyCode::Enter), Wish::Look);
    assert_eq!(state.filter(), "sport = :40002 or rtt > 30ms");
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, " nonsense");
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.filter(), "sport = :40002 or rtt > 30ms");
    press(&mut state, KeyCode::Char('/'));
    press_control(&mut state, 'u');
    assert_eq!(press(&mut state, KeyCode::Enter), Wish::Look);
    assert_eq!(state.filter(), "");
}

#[test]
fn a_pause_can_be_filtered_and_ends_with_a_look() {
    let mut state = with_sockets();
    assert_eq!(press(&mut state, KeyCode::Char(' ')), Wish::Nothing);
    assert!(state.is_paused() && screen(&mut state, 80, 24).contains(" paused"));
    for (filter, expected) in [("sport = :40001", vec![1]), ("sport != :40001", vec![3, 2])] {
        press(&mut state, KeyCode::Char('/'));
        press_control(&mut state, 'u');
        type_text(&mut state, filter);
        assert_eq!(press(&mut state, KeyCode::Enter), Wish::Nothing);
        assert_eq!(order(&state), expected);
    }
    assert_eq!(press(&mut state, KeyCode::Char(' ')), Wish::Look);
    assert!(!state.is_paused());
    assert_eq!(order(&state), [3, 2]);
}

#[test]
fn a_pause_cannot_answer_what_only_the_kernel_knows() {
    let mut state = with_sockets();
    press(&mut state, KeyCode::Char(' '));
    for (filter, part) in [
        ("not autobound", "autobound is known to the kernel only"),
        ("fwmark = 0", "CAP_NET_ADMIN"),
    ] {
        press(&mut state, KeyCode::Char('/'));
        press_control(&mut state, 'u');
        type_text(&mut state, filter);
        assert_eq!(press(&mut state, KeyCode::Enter), Wish::Nothing);
        let shown = screen(&mut state, 80, 24);
        let lines: Vec<_> = shown.lines().collect();
        let typed = lines.iter().position(|line| *line == format!("filter: {filter}")).unwrap();
        assert!(lines[typed + 1].contains(part), "{shown}");
        assert_eq!((state.filter(), order(&state)), ("", vec![3, 2, 1]));
        // One more letter, and it is another filter.
        type_text(&mut state, " ");
        assert!(!screen(&mut state, 80, 24).contains(part));
        press(&mut state, KeyCode::Esc);
    }
    press(&mut state, KeyCode::Char(' '));
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, "autobound");
    assert_eq!(press(&mut state, KeyCode::Enter), Wish::Look);
    // Before the kernel has answered, nobody knows that there is none.
    assert!(!screen(&mut state, 80, 24).contains("no socket matches"));
    state.fail("the kernel does not answer".to_owned());
    assert!(!screen(&mut state, 80, 24).contains("no socket matches"));
    let mut seen = look(3, &[]);
    seen.filter = state.filters();
    state.apply(seen);
    assert!(screen(&mut state, 80, 24).contains("no socket matches"));
}

#[test]
fn a_pause_knows_marks_that_were_told() {
    let mut state = usual_state();
    let marked = |mark| Socket { mark: Some(mark), ..Socket::new(u64::from(mark)) };
    state.apply(look(0, &[1, 2, 3].map(marked)));
    press(&mut state, KeyCode::Char(' '));
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, "fwmark = 2");
    assert_eq!(press(&mut state, KeyCode::Enter), Wish::Nothing);
    assert_eq!(order(&state), [2]);
}

#[test]
fn columns_are_found_by_name_and_put_in_or_taken_out() {
    let mut state = with_sockets();
    let names = |state: &State| state.fields().iter().map(|field| field.name()).collect::<Vec<_>>();
    let before = names(&state);
    assert!(!before.contains(&"rcv_wscale"));
    press(&mut state, KeyCode::Char('c'));
    type_text(&mut state, "rcv_wscale");
    press(&mut state, KeyCode::Char(' '));
    assert_eq!(*names(&state).last().unwrap(), "rcv_wscale");
    press(&mut state, KeyCode::Char(' '));
    assert_eq!(names(&state), before);
    press(&mut state, KeyCode::Enter);
    press(&mut state, KeyCode::Char('s'));
    type_text(&mut state, "cwnd");
    press(&mut state, KeyCode::Down);
    press(&mut state, KeyCode::Enter);
    assert!(state.sort().field.name().contains("cwnd"), "{:?}", state.sort());
}

#[test]
fn one_column_stays() {
    let mut state = state(&["state"], "local");
    press(&mut state, KeyCode::Char('c'));
    type_text(&mut state, "state");
    while state.fields().len() == 1 && press(&mut state, KeyCode::Down) == Wish::Nothing {
        press(&mut state, KeyCode::Char(' '));
        if state.fields().len() > 1 {
            break;
        }
    }
    press(&mut state, KeyCode::Char(' '));
    assert!(!state.fields().is_empty());
    let mut state = super::state(&["process"], "local");
    press(&mut state, KeyCode::Char('p'));
    assert!(!state.fields().is_empty() && !state.needs_holders());
}

#[test]
fn programs_are_looked_for_when_they_are_to_be_shown() {
    let mut state = with_sockets();
    assert!(!state.needs_holders());
    assert_eq!(press(&mut state, KeyCode::Char('p')), Wish::Look);
    assert!(state.needs_holders());
    assert_eq!(state.fields()[3].name(), "process");
    assert_eq!(press(&mut state, KeyCode::Char('p')), Wish::Nothing);
    assert!(!state.needs_holders());
}

#[test]
fn the_pane_is_opened_moved_through_and_closed() {
    let mut state = with_sockets();
    press(&mut state, KeyCode::Enter);
    assert_eq!(selected(&state), Some(3));
    let first = screen(&mut state, 80, 24);
    assert!(first.contains("10.0.0.1:40003 → 192.0.2.7:443"), "{first}");
    press(&mut state, KeyCode::Down);
    assert_eq!(selected(&state), Some(2));
    press(&mut state, KeyCode::Tab);
    press(&mut state, KeyCode::End);
    let last = screen(&mut state, 80, 24);
    let last_field = Field::all().last().unwrap();
    assert!(last.contains(last_field.name()), "{last}");
    assert_eq!(selected(&state), Some(2));
    press(&mut state, KeyCode::Up);
    assert_ne!(screen(&mut state, 80, 24), last);
    press(&mut state, KeyCode::Esc);
    assert!(state.detail().is_none() && selected(&state) == Some(2));
    press(&mut state, KeyCode::Esc);
    assert_eq!(selected(&state), None);
}

#[test]
fn every_field_with_its_meaning_is_in_the_pane() {
    let mut state = with_sockets();
    press(&mut state, KeyCode::Enter);
    let shown = screen(&mut state, 300, 900);
    for field in Field::all() {
        assert!(shown.contains(field.name()), "{} is missing", field.name());
        let words: Vec<_> = field.meaning().split(' ').take(3).collect();
        assert!(shown.contains(&words.join(" ")), "the meaning of {}", field.name());
    }
    assert!(shown.contains("20.3ms"), "{shown}");
    // What this kernel does not tell is not zero.
    let absent = shown.lines().find(|line| line.starts_with("snd_wnd ")).unwrap();
    assert_eq!(absent.split_whitespace().nth(1), Some("-"));
}

#[test]
fn it_ends_when_it_is_told_to() {
    let mut state = with_sockets();
    assert_eq!(press(&mut state, KeyCode::Char('q')), Wish::Quit);
    press(&mut state, KeyCode::Char('/'));
    assert_eq!(press(&mut state, KeyCode::Char('q')), Wish::Nothing);
    assert_eq!(press_control(&mut state, 'c'), Wish::Interrupt);
    assert_eq!(press_control(&mut state, 'z'), Wish::Suspend);
    assert_eq!(press_control(&mut state, 'l'), Wish::Redraw);
}

#[test]
fn movement_stays_within_what_there_is() {
    let mut empty = usual_state();
    let mut state = with_sockets();
    let codes = [
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageDown,
        KeyCode::PageUp,
        KeyCode::End,
        KeyCode::Home,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Enter,
        KeyCode::Tab,
        KeyCode::Esc,
    ];
    for first in codes {
        for second in codes {
            for state in [&mut empty, &mut state] {
                press(state, first);
                press(state, second);
                screen(state, 80, 24);
                assert!(state.selected_place().is_none_or(|place| place < state.len()));
            }
        }
    }
    press(&mut state, KeyCode::End);
    assert_eq!(state.selected_place(), Some(2));
}
