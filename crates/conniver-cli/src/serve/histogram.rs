//! What was observed of connections, again and again, as histograms.

use std::time::Duration;

use tcpinfo::TcpInfo;

/// What is observed of a connection, in integers of its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// In nanoseconds.
    Rtt,
    /// In millionths.
    RetransmissionRatio,
    CongestionWindow,
    DeliveryRate,
}

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const KB: u64 = 1_000;
const MB: u64 = 1_000 * KB;
const GB: u64 = 1_000 * MB;

impl Quantity {
    pub(super) const ALL: [Self; 4] =
        [Self::Rtt, Self::RetransmissionRatio, Self::CongestionWindow, Self::DeliveryRate];

    /// Upper bounds, each in its bucket; above the last there is one more bucket. Some of those of the
    /// library's metrics, so that buckets of both can be added up.
    pub(super) const fn bounds(self) -> &'static [u64] {
        #[rustfmt::skip]
        const RTT: &[u64] = &[
            100 * US, 250 * US, 500 * US, MS, 5 * MS / 2, 5 * MS, 10 * MS, 25 * MS, 50 * MS,
            100 * MS, 250 * MS, 500 * MS, S,
        ];
        const RATIO: &[u64] = &[0, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000];
        const WINDOW: &[u64] =
            &[4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB];
        const RATE: &[u64] = &[10 * KB, 100 * KB, MB, 10 * MB, 100 * MB, GB, 10 * GB];
        match self {
            Self::Rtt => RTT,
            Self::RetransmissionRatio => RATIO,
            Self::CongestionWindow => WINDOW,
            Self::DeliveryRate => RATE,
        }
    }

    /// Series of one histogram: buckets, one above all bounds, sum and count.
    pub(super) const fn series(self) -> usize {
        self.bounds().len() + 3
    }

    /// How many of the integers make one of what is shown: seconds, bytes, bytes a second, or all.
    pub(super) const fn scale(self) -> u64 {
        match self {
            Self::Rtt => S,
            Self::RetransmissionRatio => 1_000_000,
            Self::CongestionWindow | Self::DeliveryRate => 1,
        }
    }

    /// What the kernel says of it, if it does.
    #[inline]
    pub(super) fn read(self, info: &TcpInfo) -> Option<u64> {
        match self {
            Self::Rtt => info.rtt().and_then(|time: Duration| u64::try_from(time.as_nanos()).ok()),
            Self::RetransmissionRatio => {
                let (again, all) = match (info.retransmitted_bytes(), info.tx_bytes()) {
                    (Some(again), Some(all)) => (again, all),
                    _ => (info.retransmitted_segs()?, info.tx_data_segs()?),
                };
                let millionths = u128::from(again) * 1_000_000;
                // So that what is not nothing does not look so.
                let rounded_up = millionths.div_ceil(u128::from(Some(all).filter(|all| *all > 0)?));
                Some(u64::try_from(rounded_up).unwrap_or(u64::MAX).min(1_000_000))
            }
            Self::CongestionWindow => info.tx_cwnd(),
            // Held down by the application, it says nothing of the network.
            Self::DeliveryRate => {
                info.delivery_rate().filter(|_| info.app_limited() == Some(false))
            }
        }
    }
}

const MOST_BUCKETS: usize = 14;

/// How often which values were observed. It only grows, and its sum is exact.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Histogram {
    counts: [u64; MOST_BUCKETS],
    sum: u128,
}

impl Histogram {
    #[inline]
    pub(super) fn observe(&mut self, quantity: Quantity, value: u64) {
        // Few enough that going through all of them is faster than a search.
        let bucket = quantity.bounds().iter().filter(|bound| **bound < value).count();
        self.counts[bucket] += 1;
        self.sum += u128::from(value);
    }

    /// For each bound, and at last for infinity, how many values were not above.
    pub(super) fn cumulative(
        &self,
        quantity: Quantity,
    ) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = quantity.bounds().iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((bound, *below))
        })
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) const fn sum(&self) -> u128 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_and_belong_to_their_bucket() {
        for quantity in Quantity::ALL {
            let bounds = quantity.bounds();
            assert!(bounds.is_sorted() && bounds.len() < MOST_BUCKETS, "{quantity:?}");
            for (place, bound) in bounds.iter().enumerate() {
                let mut histogram = Histogram::default();
                histogram.observe(quantity, *bound);
                histogram.observe(quantity, bound + 1);
                assert_eq!((histogram.counts[place], histogram.counts[place + 1]), (1, 1));
                let last = histogram.cumulative(quantity).last();
                assert_eq!(last, Some((None, 2)));
                assert_eq!((histogram.count(), histogram.sum()), (2, u128::from(2 * bound + 1)));
            }
        }
    }
}
