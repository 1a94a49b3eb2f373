//! What passed in one direction, counted from the packets alone.

use std::collections::BTreeMap;

/// A TCP segment as it lies in an IPv4 packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    sequence: u32,
    payload: u32,
    syn: bool,
}

impl Segment {
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        const TCP: u8 = 6;
        let (&first, &protocol) = (packet.first()?, packet.get(9)?);
        if first >> 4 != 4 || protocol != TCP {
            return None;
        }
        let total = usize::from(u16::from_be_bytes(*packet.get(2..)?.first_chunk()?));
        let ip_header = usize::from(first & 15) * 4;
        let tcp = packet.get(ip_header..total)?;
        let tcp_header = usize::from(*tcp.get(12)? >> 4) * 4;
        Some(Self {
            sequence: u32::from_be_bytes(*tcp.get(4..)?.first_chunk()?),
            payload: u32::try_from(tcp.get(tcp_header..)?.len()).ok()?,
            syn: tcp.get(13)? & 2 != 0,
        })
    }

    pub(crate) const fn has_payload(&self) -> bool {
        self.payload > 0
    }

    pub(crate) const fn is_syn(&self) -> bool {
        self.syn
    }
}

/// Packets and their payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Count {
    fn add(&mut self, payload: u32) {
        self.packets += 1;
        self.bytes += u64::from(payload);
    }
}

/// Everything that is known of one direction of one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Data that the sender sent, and of that what it had sent before.
    pub(crate) sent: Count,
    pub(crate) again: Count,
    /// SYNs that were sent before.
    pub(crate) syns_again: u64,
    /// Data that did not arrive.
    pub(crate) dropped: Count,
    /// Data that arrived though it had arrived before.
    pub(crate) duplicates: Count,
    /// What the receiver reported of these: one report may be of several packets in a row, and a
    /// receiver that is behind reports the last ones only.
    pub(crate) reports: u64,
    pub(crate) reported_packets: u64,
    /// Packets that arrived ahead of what was to come next.
    pub(crate) out_of_order: u64,
    /// Packets that were held back longer than others.
    pub(crate) held_back: u64,
    /// Any packet.
    pub(crate) packets: u64,
    /// Payload of the largest packet.
    largest: u32,
    first: Option<u32>,
    highest: u64,
    next: u64,
    /// Start and end of what arrived ahead.
    ahead: BTreeMap<u64, u64>,
}

impl Ledger {
    /// The sender sent it.
    pub(crate) fn sent(&mut self, segment: &Segment) {
        self.packets += 1;
        if segment.syn {
            self.syns_again += u64::from(self.first.is_some());
            self.first = Some(segment.sequence);
        }
        if !segment.has_payload() {
            return;
        }
        self.sent.add(segment.payload);
        self.largest = self.largest.max(segment.payload);
        let (start, end) = self.range(segment);
        if start < self.highest {
            assert!(end <= self.highest, "old and new data in one packet");
            self.again.add(segment.payload);
        }
        self.highest = self.highest.max(end);
    }

    pub(crate) fn dropped(&mut self, segment: &Segment) {
        if segment.has_payload() {
            self.dropped.add(segment.payload);
        }
    }

    /// The receiver gets it.
    pub(crate) fn arrived(&mut self, segment: &Segment) {
        if !segment.has_payload() {
            return;
        }
        let (start, end) = self.range(segment);
        if end <= self.next {
            self.duplicates.add(segment.payload);
            return;
        }
        if start > self.next {
            self.out_of_order += 1;
            let covered = self.ahead.range(..=start).next_back().is_some_and(|(_, to)| *to >= end);
            if covered {
                self.duplicates.add(segment.payload);
            } else {
                self.ahead.insert(start, end);
            }
            return;
        }
        self.next = end;
        while let Some(entry) = self.ahead.first_entry().filter(|entry| *entry.key() <= self.next) {
            self.next = self.next.max(entry.remove());
        }
    }

    /// The sender gets an acknowledgement.
    pub(crate) fn acknowledged(&mut self, packet: &[u8]) {
        let Some(bytes) = duplicate_report(packet) else { return };
        self.reports += 1;
        self.reported_packets += u64::from(bytes.div_ceil(self.largest.max(1)));
    }

    /// Positions in the stream of payload.
    fn range(&self, segment: &Segment) -> (u64, u64) {
        let first = self.first.expect("a SYN comes before data");
        let start = u64::from(segment.sequence.wrapping_sub(first).wrapping_sub(1));
        (start, start + u64::from(segment.payload))
    }
}

/// The length of what an acknowledgement reports as having come twice: its first SACK block, if
/// that lies below the acknowledged or within the second block (RFC 2883).
fn duplicate_report(packet: &[u8]) -> Option<u32> {
    const SACK: u8 = 5;
    let word = |bytes: &[u8], at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let tcp = packet.get(usize::from(packet.first()? & 15) * 4..)?;
    let acknowledged = word(tcp, 8)?;
    let mut options = tcp.get(20..usize::from(*tcp.get(12)? >> 4) * 4)?;
    let blocks = loop {
        match *options {
            [1, ref rest @ ..] => options = rest,
            [SACK, len, ..] => break options.get(2..usize::from(len))?,
            [0, ..] => return None,
            [_, len, ..] => options = options.get(usize::from(len).max(2)..)?,
            _ => return None,
        }
    };
    let (start, end) = (word(blocks, 0)?, word(blocks, 4)?);
    let not_after = |one: u32, other: u32| other.wrapping_sub(one) < 1 << 31;
    let below = start != acknowledged && not_after(start, acknowledged);
    let within = word(blocks, 8).zip(word(blocks, 12)).is_some_and(|(outer_start, outer_end)| {
        not_after(outer_start, start) && not_after(end, outer_end)
    });
    (below || within).then(|| end.wrapping_sub(start))
}
