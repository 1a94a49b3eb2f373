//! From points in time to phases that add up.

use std::time::{Duration, Instant};

/// One stage of a request, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Host name to addresses. Skipped when the URL holds an address.
    Dns,
    /// TCP handshake, failed attempts included.
    Connect,
    /// What a proxy takes to lead to the server: its own TLS handshake, and the negotiation.
    Proxy,
    /// TLS handshake. Skipped for `http`.
    Tls,
    /// The handshake of QUIC, which is that of TCP and TLS in one, failed attempts included.
    Quic,
    /// From a ready connection to the last byte of the request.
    Send,
    /// From there to the first byte of the response.
    Server,
    /// From there to the last byte of the body.
    Transfer,
}

impl Phase {
    /// Every phase, in the order in which they happen.
    pub(crate) const ALL: [Self; 8] = [
        Self::Dns,
        Self::Quic,
        Self::Connect,
        Self::Proxy,
        Self::Tls,
        Self::Send,
        Self::Server,
        Self::Transfer,
    ];

    /// The name in the JSON output.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Send => "send",
            Self::Server => "server",
            Self::Transfer => "transfer",
        }
    }

    /// The name for a person.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Dns => "DNS lookup",
            Self::Connect => "TCP connect",
            Self::Proxy => "Proxy tunnel",
            Self::Tls => "TLS handshake",
            Self::Quic => "QUIC handshake",
            Self::Send => "Request send",
            Self::Server => "Server processing",
            Self::Transfer => "Content transfer",
        }
    }

    /// The cumulative mark that is reached when this phase ends, as JSON name and for a person.
    ///
    /// TLS and QUIC have none of their own: what follows them is the start of the request, marked
    /// for every connection.
    const fn mark(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Dns => Some(("namelookup", "name lookup")),
            Self::Connect => Some(("initial_connect", "connect")),
            Self::Server => Some(("starttransfer", "start transfer")),
            Self::Proxy | Self::Tls | Self::Quic | Self::Send | Self::Transfer => None,
        }
    }
}

/// When each phase of a request began, and when the last one ended.
///
/// Each phase ends where the next begins, so the phases add up to the total, also when the request
/// failed in the middle of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    entered: Vec<(Phase, Instant)>,
    ended: Option<Instant>,
}

impl Timeline {
    /// Ends the current phase and begins the next.
    ///
    /// A moment before the previous one is moved up to it: a server that answers before it has read
    /// the whole request must not yield a negative duration.
    pub(crate) fn enter(&mut self, phase: Phase, at: Instant) {
        let at = self.entered.last().map_or(at, |(_, previous)| at.max(*previous));
        self.entered.push((phase, at));
    }

    /// Ends the last phase. Only the first call counts.
    pub(crate) fn end(&mut self, at: Instant) {
        let at = self.entered.last().map_or(at, |(_, previous)| at.max(*previous));
        self.ended.get_or_insert(at);
    }

    /// The phase that was entered last.
    pub(crate) fn phase(&self) -> Option<Phase> {
        self.entered.last().map(|(phase, _)| *phase)
    }

    /// Time since the first phase began; zero before it.
    pub(crate) fn offset(&self, at: Instant) -> Duration {
        self.entered
            .first()
            .map_or(Duration::ZERO, |(_, first)| at.saturating_duration_since(*first))
    }

    /// From the start of the first phase to the end of the last, once it has ended.
    pub(crate) fn total(&self) -> Option<Duration> {
        self.ended.map(|ended| self.offset(ended))
    }

    /// From the start of the first phase to the end of the last one of a later timeline, or of this.
    pub(crate) fn until_end_of(&self, later: &Self) -> Option<Duration> {
        let (_, began) = self.entered.first()?;
        Some(later.ended?.saturating_duration_since(*began))
    }

    /// The phases that happened, in order and without gaps.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let starts = self.entered.iter().map(|(_, at)| *at);
        let ends = starts.skip(1).chain(self.ended);
        self.entered
            .iter()
            .zip(ends)
            .map(|((phase, start), end)| Span {
                phase: *phase,
                start: self.offset(*start),
                length: end.saturating_duration_since(*start),
            })
            .collect()
    }

    /// The cumulative marks that were reached, in order, except the total.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        for pair in self.entered.windows(2) {
            let [(left, _), (next, at)] = pair else { continue };
            let at = self.offset(*at);
            marks.extend(left.mark().map(|(key, title)| Mark { key, title, at }));
            if *next == Phase::Send {
                marks.push(Mark { key: "pretransfer", title: "pre-transfer", at });
            }
        }
        marks
    }
}

/// One phase, placed on the time axis of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) phase: Phase,
    /// Since the request began.
    pub(crate) start: Duration,
    pub(crate) length: Duration,
}

/// A point reached, as the time since the request began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) at: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(phases: &[(Phase, u64)], ended: u64) -> Timeline {
        let zero = Instant::now();
        let mut timeline = Timeline::default();
        for (phase, ms) in phases {
            timeline.enter(*phase, zero + Duration::from_millis(*ms));
        }
        timeline.end(zero + Duration::from_millis(ended));
        timeline
    }

    #[test]
    fn phases_add_up_to_the_total() {
        let timeline = timeline(
            &[
                (Phase::Dns, 5),
                (Phase::Connect, 7),
                (Phase::Send, 8),
                (Phase::Server, 9),
                (Phase::Transfer, 40),
            ],
            45,
        );
        let sum: Duration = timeline.spans().iter().map(|span| span.length).sum();
        assert_eq!(timeline.total(), Some(sum));
        assert_eq!(sum, Duration::from_millis(40));
    }

    #[test]
    fn only_marks_that_were_reached_exist() {
        let keys =
            |timeline: &Timeline| timeline.marks().iter().map(|mark| mark.key).collect::<Vec<_>>();
        let refused = timeline(&[(Phase::Dns, 0), (Phase::Connect, 1)], 2);
        assert_eq!(keys(&refused), ["namelookup"]);
        let silent = timeline(
            &[(Phase::Connect, 0), (Phase::Tls, 1), (Phase::Send, 2), (Phase::Server, 3)],
            9,
        );
        assert_eq!(keys(&silent), ["initial_connect", "pretransfer"]);
    }

    #[test]
    fn an_answer_before_the_end_of_the_request_gives_no_negative_phase() {
        let early = timeline(&[(Phase::Send, 10), (Phase::Server, 30), (Phase::Transfer, 20)], 25);
        let lengths: Vec<_> = early.spans().iter().map(|span| span.length.as_millis()).collect();
        assert_eq!(lengths, [20, 0, 0]);
    }
}
