//! What all connections that ended come to.

use std::time::Duration;

use super::{ended::Ended, form::nanos, reason::Reason};
use crate::text::Put as _;

/// Sums over connections that have ended.
#[derive(Debug, Default)]
pub(super) struct Sums {
    connections: u64,
    reasons: [u64; Reason::ALL.len()],
    with_process: u64,
    tx_bytes: u64,
    rx_bytes: u64,
    sent_again_bytes: u64,
    retransmitted: u64,
    lost: u64,
    losses: u64,
    /// Losses of which the kernel does not say how many events they were.
    uncounted: u64,
}

impl Sums {
    pub(super) fn take(&mut self, end: &Ended<'_>) {
        self.connections += 1;
        let place = Reason::ALL.iter().position(|reason| *reason == end.reason);
        if let Some(count) = place.and_then(|place| self.reasons.get_mut(place)) {
            *count += 1;
        }
        self.with_process += u64::from(end.holding.is_some());
        self.tx_bytes = self.tx_bytes.saturating_add(end.tx_bytes().unwrap_or(0));
        self.rx_bytes = self.rx_bytes.saturating_add(end.rx_bytes().unwrap_or(0));
        let again = end.facts.sent_again.unwrap_or(0);
        self.sent_again_bytes = self.sent_again_bytes.saturating_add(again);
        let info = end.row.info.as_ref();
        let retransmitted = info.and_then(|info| info.total_retrans().value());
        self.retransmitted += u64::from(retransmitted.is_some_and(|segments| segments > 0));
    }

    pub(super) fn lose(&mut self, events: Option<u32>) {
        self.losses += 1;
        match events {
            Some(events) => self.lost += u64::from(events),
            None => self.uncounted += 1,
        }
    }

    fn reasons(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = Reason::ALL.iter().zip(self.reasons);
        counts.filter(|(_, count)| *count > 0).map(|(reason, count)| (reason.as_str(), count))
    }

    /// For a person.
    pub(super) fn text(&self, time: Duration) -> String {
        let mut out = Vec::new();
        let mut line = |name: &str, parts: &mut dyn Iterator<Item = String>| {
            out.put(name);
            out.resize(out.len() + 15_usize.saturating_sub(name.len()), b' ');
            out.put(&parts.collect::<Vec<_>>().join(", "));
            out.push(b'\n');
        };
        let mut span = Vec::new();
        span.put_time(time);
        let span = String::from_utf8_lossy(&span).into_owned();
        line("connections", &mut [format!("{} in {span}", self.connections)].into_iter());
        if self.connections > 0 {
            line("reason", &mut self.reasons().map(|(name, count)| format!("{count} {name}")));
        }
        line("process", &mut [format!("{} known", self.with_process)].into_iter());
        let bytes = [
            format!("{} B sent", self.tx_bytes),
            format!("{} B received", self.rx_bytes),
            format!("{} B sent again", self.sent_again_bytes),
        ];
        line("payload", &mut bytes.into_iter());
        line("retransmitted", &mut [format!("{} connections", self.retransmitted)].into_iter());
        let more =
            if self.uncounted > 0 { " and more, which this kernel does not count" } else { "" };
        line("lost", &mut [format!("{} events{more}", self.lost)].into_iter());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// For a program.
    pub(super) fn json(&self, time: Duration) -> String {
        let reasons: serde_json::Map<_, _> =
            self.reasons().map(|(name, count)| (name.to_owned(), count.into())).collect();
        let sums = serde_json::json!({
            "connections": self.connections,
            "duration": nanos(time),
            "reasons": reasons,
            "withProcess": self.with_process,
            "txBytes": self.tx_bytes,
            "rxBytes": self.rx_bytes,
            "retransmittedBytes": self.sent_again_bytes,
            "retransmitted": self.retransmitted,
            "lost": self.lost,
            "losses": self.losses,
        });
        format!("{}\n", serde_json::json!({ "summary": sums }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_happen_has_no_line() {
        let text = Sums::default().text(Duration::from_secs(1));
        assert!(text.starts_with("connections    0 in 1.00s\nprocess        0 known\n"), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    }
}
