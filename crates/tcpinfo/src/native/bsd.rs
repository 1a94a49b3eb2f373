//! What the structures of macOS, FreeBSD, NetBSD and OpenBSD have in common: when a number means
//! something.

use super::structure::Row;
use crate::{Options, Reading, State, TcpOption, fields::Kind};

/// `TCP_MAXWIN << TCP_MAX_WINSHIFT`, with which these systems begin: no threshold, no limit.
const TCP_MAXWIN_SCALED: u64 = 65_535 << 14;

/// When a number that the kernel returned means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// In every state.
    Always,
    /// Unless listening; of a closed socket the counters only, if its system keeps them.
    Connected,
    /// Once the handshake is completed; the kernel's defaults before.
    Established,
    /// Zero stands for "no sample", "none" or "not running".
    NotZero,
    /// The largest window that can be stands for "never left slow start".
    Finite,
    /// A default until the first RTT sample.
    WithRtt,
    /// Only if window scaling was negotiated.
    WithWindowScale,
    /// The option bits of the system, once the peer answered.
    OptionBits,
    /// As `Connected`, but its bytes are returned, as zeros, also where the field is not told.
    IfTold,
    /// As `IfTold`, and as `NotZero`.
    IfToldNotZero,
}

/// What else the structure says.
pub(super) struct Beside {
    pub(super) state: State,
    /// The system keeps the counters of a closed socket.
    pub(super) keeps_counters: bool,
    pub(super) rtt: u64,
    pub(super) options: Options,
}

/// Whether a number that is there means something; `is_told` says whether the field is, beyond its
/// bytes.
#[inline(always)]
pub(super) fn judge(
    row: &Row<Rule>,
    raw: u64,
    beside: &Beside,
    is_told: impl FnOnce() -> bool,
) -> Reading<u64> {
    if matches!(row.rule, Rule::IfTold | Rule::IfToldNotZero) && !is_told() {
        return Reading::Absent;
    }
    let state = beside.state;
    let over = matches!(state, State::Close)
        && !(beside.keeps_counters && matches!(row.field.kind, Kind::Counter));
    let unset = match row.rule {
        Rule::Always => false,
        _ if over || matches!(state, State::Listen) => true,
        Rule::Connected | Rule::IfTold => false,
        Rule::Established => !state.is_past_handshake(),
        Rule::NotZero | Rule::IfToldNotZero => raw == 0,
        Rule::Finite => raw >= TCP_MAXWIN_SCALED,
        Rule::WithRtt => beside.rtt == 0,
        Rule::WithWindowScale => beside.options.get(TcpOption::WindowScale) != Some(true),
        Rule::OptionBits if matches!(state, State::SynSent) => true,
        Rule::OptionBits => return Reading::Value(beside.options.to_raw()),
    };
    if unset { Reading::Unset } else { Reading::Value(raw) }
}
