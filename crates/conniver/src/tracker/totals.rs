//! What is added up of all connections, living and gone.

use std::time::Duration;

use crate::{
    CloseReason, FailReason,
    block::Block,
    slot::{KernelCounts, Told},
};

#[cfg(feature = "prometheus-client")]
use super::Observed;
use super::registry::Sum;

/// Counts of connections and of what they moved.
///
/// No number ever shrinks, except [`open`](field@Self::open).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Connections that were opened beyond the [limit](crate::TrackerBuilder::limit): they count
    /// here, and are not listed.
    pub unlisted: u64,
    /// Bytes that the program received.
    pub rx_bytes: u64,
    /// Bytes that the program sent.
    pub tx_bytes: u64,
    /// Reads that moved at least one byte.
    pub rx_ops: u64,
    /// Writes that moved at least one byte.
    pub tx_ops: u64,
    /// Segments that the kernel sent again. This and what follows is of the connections that ended,
    /// and of those that are open as of when the kernel was last asked for a
    /// [sum](crate::Tracker::kernel_totals_by_group). A connection counts from its beginning, also if
    /// it was wrapped later.
    pub retransmitted_segs: u64,
    /// Payload that the kernel sent again, in bytes.
    pub retransmitted_bytes: u64,
    /// Time during which the peers' windows held back data.
    pub peer_window_limited: Duration,
    /// Time during which our send buffers held back data.
    pub send_buffer_limited: Duration,
    /// How long the connections that ended had lived, all together.
    pub lived: Duration,
    closed: [u64; CloseReason::ALL.len()],
    failed: [u64; FailReason::ALL.len()],
}

impl Totals {
    /// Connections that ended.
    pub fn closed(&self) -> u64 {
        self.closed.iter().sum()
    }

    /// Connections that ended for this reason.
    pub fn closed_by(&self, reason: CloseReason) -> u64 {
        self.closed.get(reason as usize).copied().unwrap_or_default()
    }

    /// Connections that did not come about: a connector could not make, or a listener not accept
    /// them.
    pub fn failed(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Connections that did not come about for this reason.
    pub fn failed_by(&self, reason: FailReason) -> u64 {
        self.failed.get(reason as usize).copied().unwrap_or_default()
    }

    pub(super) fn fail(&mut self, reason: FailReason) {
        if let Some(count) = self.failed.get_mut(reason as usize) {
            *count += 1;
        }
    }

    pub(super) fn open(&mut self, is_listed: bool) {
        self.opened += 1;
        self.unlisted += u64::from(!is_listed);
    }

    fn close(&mut self, block: &Block, reason: CloseReason) {
        if let Some(count) = self.closed.get_mut(reason as usize) {
            *count += 1;
        }
        self.lived += block.lived();
    }

    /// Adds what a connection has moved.
    fn moved(&mut self, block: &Block) {
        let (rx, tx) = (block.rx_counts(), block.tx_counts());
        self.rx_bytes = self.rx_bytes.wrapping_add(rx.bytes);
        self.tx_bytes = self.tx_bytes.wrapping_add(tx.bytes);
        self.rx_ops = self.rx_ops.wrapping_add(rx.ops);
        self.tx_ops = self.tx_ops.wrapping_add(tx.ops);
    }

    /// Adds what the kernel counted of a connection.
    fn counted(&mut self, counts: &KernelCounts) {
        self.retransmitted_segs = self.retransmitted_segs.wrapping_add(counts.retransmitted_segs);
        self.retransmitted_bytes =
            self.retransmitted_bytes.wrapping_add(counts.retransmitted_bytes);
        self.peer_window_limited += Duration::from_nanos(counts.peer_window_limited);
        self.send_buffer_limited += Duration::from_nanos(counts.send_buffer_limited);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.unlisted += other.unlisted;
        self.rx_bytes = self.rx_bytes.wrapping_add(other.rx_bytes);
        self.tx_bytes = self.tx_bytes.wrapping_add(other.tx_bytes);
        self.rx_ops = self.rx_ops.wrapping_add(other.rx_ops);
        self.tx_ops = self.tx_ops.wrapping_add(other.tx_ops);
        self.retransmitted_segs = self.retransmitted_segs.wrapping_add(other.retransmitted_segs);
        self.retransmitted_bytes = self.retransmitted_bytes.wrapping_add(other.retransmitted_bytes);
        self.peer_window_limited += other.peer_window_limited;
        self.send_buffer_limited += other.send_buffer_limited;
        self.lived += other.lived;
        let reasons = self.closed.iter_mut().zip(other.closed);
        for (count, other) in reasons.chain(self.failed.iter_mut().zip(other.failed)) {
            *count += other;
        }
    }

    /// States how many are open, when everything is added up.
    pub(super) fn settle(&mut self) {
        self.open = self.opened.saturating_sub(self.closed());
    }
}

/// All that is summed up of a group.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) totals: Totals,
    /// Which of the kernel's counts some kernel told.
    pub(crate) told: Told,
    /// Of the connections that ended, once somebody wanted to know.
    #[cfg(feature = "prometheus-client")]
    pub(crate) observed: Option<Box<Observed>>,
}

impl Sums {
    /// Adds a connection that ended.
    pub(super) fn close(&mut self, block: &Block, reason: CloseReason) {
        self.totals.close(block, reason);
        self.moved(block, block.kernel_counts());
    }

    /// Adds what a connection has moved, and what the kernel counted of it.
    pub(super) fn moved(&mut self, block: &Block, counts: Option<(KernelCounts, Told)>) {
        self.totals.moved(block);
        if let Some((counts, told)) = counts {
            self.totals.counted(&counts);
            self.told.add(told);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.told.add(other.told);
        #[cfg(feature = "prometheus-client")]
        if let Some(observed) = &other.observed {
            self.observed.get_or_insert_default().add(observed);
        }
    }
}

/// The sums of each group.
#[derive(Debug, Default)]
pub(super) struct ByGroup(Vec<Sums>);

impl ByGroup {
    pub(super) fn of(&mut self, group: u32) -> Option<&mut Sums> {
        let index = group as usize;
        if index >= self.0.len() {
            self.0.resize_with(index + 1, Sums::default);
        }
        self.0.get_mut(index)
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (group, sums) in (0..).zip(&other.0) {
            if let Some(ours) = self.of(group) {
                ours.add(sums);
            }
        }
    }

    pub(super) fn into_vec(self) -> Vec<Sums> {
        self.0
    }
}

impl Sum for ByGroup {
    fn absorb(&mut self, other: &mut Self) {
        self.add(other);
        other.0.clear();
    }
}
