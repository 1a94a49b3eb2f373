//! Looks and keys against what is known and shown then, without a kernel or a terminal.

mod keys;
mod looks;
mod screens;

use std::{
    net::Ipv4Addr,
    sync::LazyLock,
    time::{Duration, Instant},
};

use ratatui::{
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    layout::Rect,
};
use sockdiag::Entry;

use super::{
    connection::Connection,
    draw::{Style, draw_into},
    field::Field,
    look::Look,
    state::{Sort, State, Wish},
};

/// One socket as the kernel tells of it.
#[derive(Clone, Debug)]
struct Socket {
    cookie: u64,
    state: u8,
    local_port: u16,
    remote: (Ipv4Addr, u16),
    congestion: &'static str,
    mark: Option<u32>,
    facts: Vec<(&'static str, u64)>,
}

impl Socket {
    /// An established connection.
    fn new(cookie: u64) -> Self {
        let remote = (Ipv4Addr::new(192, 0, 2, 7), 443);
        let local_port = u16::try_from(40_000 + cookie).unwrap();
        let socket = Self {
            cookie,
            state: 1,
            local_port,
            remote,
            congestion: "cubic",
            mark: None,
            facts: Vec::new(),
        };
        socket.with("rtt", 20_000 + 100 * cookie).with("snd_cwnd", 10).with("snd_mss", 1448)
    }

    fn with(mut self, field: &'static str, value: u64) -> Self {
        self.facts.retain(|(name, _)| *name != field);
        self.facts.push((field, value));
        self
    }

    /// Bytes acknowledged and received.
    fn bytes(self, acked: u64, received: u64) -> Self {
        self.with("bytes_acked", acked).with("bytes_sent", acked).with("bytes_received", received)
    }

    /// The kernel's message.
    fn message(&self) -> Vec<u8> {
        let mut bytes = vec![0; 72];
        bytes[..2].copy_from_slice(&[2, self.state]);
        bytes[4..6].copy_from_slice(&self.local_port.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.remote.1.to_be_bytes());
        bytes[8..12].copy_from_slice(&[10, 0, 0, 1]);
        bytes[24..28].copy_from_slice(&self.remote.0.octets());
        bytes[44..48].copy_from_slice(&(self.cookie as u32).to_ne_bytes());
        bytes[48..52].copy_from_slice(&((self.cookie >> 32) as u32).to_ne_bytes());
        // A user whom no system has.
        bytes[64..68].copy_from_slice(&4_000_000_000_u32.to_ne_bytes());
        bytes[68..72].copy_from_slice(&7_u32.to_ne_bytes());
        let mut info = vec![0; INFO_LEN];
        info[0] = self.state;
        for (name, value) in &self.facts {
            let mut fields = tcpinfo::native::linux::schema();
            let field = fields.find(|field| field.name == *name).unwrap();
            let place = &mut info[field.offset..field.offset + field.width];
            match field.width {
                4 => place.copy_from_slice(&u32::try_from(*value).unwrap().to_ne_bytes()),
                8 => place.copy_from_slice(&value.to_ne_bytes()),
                width => unreachable!("{name} has {width} bytes"),
            }
        }
        put_attribute(&mut bytes, 2, &info);
        put_attribute(&mut bytes, 4, format!("{}\0", self.congestion).as_bytes());
        if let Some(mark) = self.mark {
            put_attribute(&mut bytes, 15, &mark.to_ne_bytes());
        }
        bytes
    }
}

/// Up to and with `tcpi_rcv_ooopack`, as Linux 5.4 has it.
const INFO_LEN: usize = 224;

fn put_attribute(bytes: &mut Vec<u8>, number: u16, payload: &[u8]) {
    let len = u16::try_from(4 + payload.len()).unwrap();
    bytes.extend_from_slice(&len.to_ne_bytes());
    bytes.extend_from_slice(&number.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// When tests begin to look.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What is seen at that second.
fn look(second: u64, sockets: &[Socket]) -> Look {
    look_at(Duration::from_secs(second), sockets)
}

fn look_at(after: Duration, sockets: &[Socket]) -> Look {
    let at = *START + after;
    let connection =
        |socket: &Socket| Connection::new(Entry::from_bytes(&socket.message()).unwrap(), at);
    let mut look = Look::new(at, sockets.iter().map(connection).collect());
    look.took = Duration::from_micros(11_250);
    look.own_share = Some(0.0125);
    look
}

/// With these columns, sorted so.
fn state(columns: &[&str], sort: &str) -> State {
    let names: Vec<_> = columns.iter().map(|name| (*name).to_owned()).collect();
    let fields = Field::named(&names, false).unwrap();
    State::new(fields, Sort::parse(sort).unwrap(), String::new(), Duration::from_secs(1))
}

/// As the command begins.
fn usual_state() -> State {
    state(&[], "-rate")
}

fn press(state: &mut State, code: KeyCode) -> Wish {
    state.take_key(KeyEvent::from(code))
}

fn press_control(state: &mut State, c: char) -> Wish {
    state.take_key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL))
}

fn type_text(state: &mut State, text: &str) {
    for c in text.chars() {
        assert_eq!(press(state, KeyCode::Char(c)), Wish::Nothing);
    }
}

/// What is drawn in this size.
fn buffer(state: &mut State, has_color: bool, width: u16, height: u16) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw_into(state, Style::new(has_color), area, &mut buffer);
    buffer
}

/// The text of it.
fn screen(state: &mut State, width: u16, height: u16) -> String {
    let buffer = buffer(state, false, width, height);
    let mut text = String::new();
    for row in buffer.content().chunks(usize::from(width)) {
        let mut line = String::new();
        for cell in row {
            line.push_str(cell.symbol());
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The cookies in the order in which they are shown.
fn order(state: &State) -> Vec<u64> {
    (0..state.len()).map(|place| state.shown(place).unwrap().connection.cookie()).collect()
}

fn selected(state: &State) -> Option<u64> {
    state.selected().map(|shown| shown.connection.cookie())
}
