//! Whole screens, as they are kept beside the tests of the command.

use std::{env, fs, path::Path};

use ratatui::style::Color;

use super::*;

/// Compares with what is kept under this name. With `WRITE_SCREENS` set it is written instead, to be
/// looked at before it is committed.
fn check(name: &str, shown: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/watch/screens");
    let path = folder.join(format!("{name}.txt"));
    if env::var_os("WRITE_SCREENS").is_some() {
        fs::write(&path, shown).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(shown == expected, "{name} is not as expected:\n{expected}\nbut:\n{shown}");
}

/// Four connections with different fates, one of which has ended, and a new one.
fn lively() -> State {
    let mut state = usual_state();
    let upload = |bytes| Socket::new(1).bytes(bytes, 700);
    let lossy = |bytes, again| {
        let socket = Socket::new(2).bytes(bytes, 1_000).with("total_retrans", again);
        socket.with("bytes_retrans", 1_448 * again).with("rtt", 183_400 + again)
    };
    let idle = Socket { state: 8, ..Socket::new(3).bytes(10, 20).with("rtt", 412) };
    let download = |bytes| {
        Socket { remote: (Ipv4Addr::LOCALHOST, 8080), ..Socket::new(4) }
            .bytes(500, bytes)
            .with("snd_cwnd", 10 + bytes / 1_000_000)
    };
    let short = Socket::new(5).bytes(1, 1);
    let new = Socket { state: 2, facts: Vec::new(), ..Socket::new(6) };
    state.apply(look(0, &[upload(0), lossy(0, 0), idle.clone(), download(0), short.clone()]));
    for second in 1..9 {
        let sockets = [
            upload(second * 2_000_000),
            lossy(second * 40_000, second * 3),
            idle.clone(),
            download(second * second * 500_000),
            short.clone(),
        ];
        state.apply(look(second, &sockets));
    }
    let sockets = [upload(18_000_000), lossy(360_000, 27), idle, download(40_500_000), new];
    state.apply(look(9, &sockets));
    state
}

const SIZES: [(u16, u16); 4] = [(80, 24), (40, 10), (200, 60), (1, 1)];

fn check_sizes(name: &str, state: &mut State) {
    for (width, height) in SIZES {
        state.scroll.widths.clear();
        let shown = screen(state, width, height);
        assert!(shown.lines().all(|line| line.chars().count() <= usize::from(width)));
        check(&format!("{name}-{width}x{height}"), &shown);
    }
}

#[test]
fn the_table() {
    check_sizes("table", &mut lively());
}

#[test]
fn the_pane() {
    let mut state = lively();
    press(&mut state, KeyCode::Down);
    press(&mut state, KeyCode::Enter);
    check_sizes("pane", &mut state);
}

#[test]
fn a_filter_that_is_none() {
    let mut state = lively();
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, "dport = :443 and rtt > fast");
    press(&mut state, KeyCode::Enter);
    check_sizes("filter", &mut state);
}

#[test]
fn the_keys() {
    let mut state = lively();
    press(&mut state, KeyCode::Char('?'));
    check_sizes("keys", &mut state);
}

#[test]
fn the_choice_of_columns() {
    let mut state = lively();
    press(&mut state, KeyCode::Char('c'));
    type_text(&mut state, "r");
    type_text(&mut state, "tt");
    press(&mut state, KeyCode::Down);
    check_sizes("columns", &mut state);
}

#[test]
fn nothing() {
    let mut state = usual_state();
    state.apply(look(0, &[]));
    check("nothing-80x24", &screen(&mut state, 80, 24));
}

#[test]
fn what_is_said_is_whole_where_there_is_room() {
    let trouble = "the list of sockets cannot be had: the kernel's module tcp_diag is not loaded; run \
                   'modprobe tcp_diag' as root, or look at another machine";
    let mut state = lively();
    state.fail(trouble.to_owned());
    let shown = screen(&mut state, 80, 24);
    let (said, last) = (shown.lines().skip(21).take(2), shown.lines().last().unwrap());
    assert_eq!(said.map(str::trim_end).collect::<Vec<_>>().join(" "), trouble, "{shown}");
    assert!(last.starts_with("? help"), "{shown}");
    let shown = screen(&mut state, 80, 10);
    let last = shown.lines().last().unwrap();
    assert!(last.starts_with("the list of sockets") && last.contains('…'), "{shown}");
}

#[test]
fn every_size_can_be_drawn_in_every_mode() {
    let openings: [&[KeyCode]; 8] = [
        &[],
        &[KeyCode::Enter],
        &[KeyCode::Enter, KeyCode::Tab, KeyCode::End],
        &[KeyCode::Char('/'), KeyCode::Char('x')],
        &[KeyCode::Char('/'), KeyCode::Char('x'), KeyCode::Enter],
        &[KeyCode::Char('?')],
        &[KeyCode::Char('c'), KeyCode::PageDown],
        &[KeyCode::End, KeyCode::Right, KeyCode::Right],
    ];
    for codes in openings {
        let mut state = lively();
        for code in codes {
            press(&mut state, *code);
        }
        // One after the other, as when a window is pulled.
        for height in (0..30).rev().step_by(2).chain(1..9) {
            for width in [1_000, 90, 80, 79, 61, 43, 40, 39, 26, 14, 13, 8, 5, 3, 2, 1] {
                screen(&mut state, width, height);
            }
        }
        // A terminal may say of itself what it likes.
        screen(&mut state, 3, u16::MAX);
        screen(&mut state, u16::MAX, 3);
    }
}

#[test]
fn without_colours_there_are_none() {
    let colors = |has_color| {
        let buffer = buffer(&mut lively(), has_color, 80, 24);
        let colors = buffer.content().iter().flat_map(|cell| [cell.fg, cell.bg]);
        colors.filter(|color| *color != Color::Reset).count()
    };
    assert_eq!(colors(false), 0);
    assert!(colors(true) > 0);
}

#[test]
fn nothing_from_elsewhere_steers_the_terminal() {
    let mut state = state(&["local", "congestion"], "local");
    state.apply(look(0, &[Socket { congestion: "\x1b[2J\u{9b}x", ..Socket::new(1) }]));
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("\\x1b[2J"), "{shown}");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}

#[test]
fn what_is_half_outside_is_left_out_if_it_is_a_number() {
    let mut state = lively();
    for width in 30..120 {
        state.scroll.widths.clear();
        let shown = screen(&mut state, width, 24);
        let heading = shown.lines().nth(2).unwrap();
        for word in heading.split_whitespace() {
            let is_whole = Field::all().any(|field| field.heading() == word.trim_end_matches('▼'));
            let is_last_text = heading.ends_with(word);
            assert!(is_whole || is_last_text && width < 50, "{word:?} in {width} columns");
        }
    }
}
