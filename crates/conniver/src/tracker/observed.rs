//! What was observed of connections again and again, as histograms.

use std::time::Duration;

use tcpinfo::{Packed, TcpInfo};

use crate::block::Block;

use super::Quantity;

/// Upper bounds of a histogram; above the last there is one more bucket.
type Bounds = [u64; 19];

impl Quantity {
    const ALL: [Self; 5] =
        [Self::Lived, Self::Rtt, Self::MinRtt, Self::CongestionWindow, Self::DeliveryRate];

    pub(crate) const fn bounds(self) -> &'static Bounds {
        const US: u64 = 1_000;
        const MS: u64 = 1_000 * US;
        const S: u64 = 1_000 * MS;
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        const KB: u64 = 1_000;
        const MB: u64 = 1_000 * KB;
        const GB: u64 = 1_000 * MB;

        #[rustfmt::skip]
        const LIVED: Bounds = [
            MS, 5 * MS / 2, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS,
            S, 5 * S / 2, 5 * S, 10 * S, 30 * S, 60 * S, 300 * S, 1_800 * S, 7_200 * S, 86_400 * S,
        ];
        #[rustfmt::skip]
        const RTT: Bounds = [
            10 * US, 25 * US, 50 * US, 100 * US, 250 * US, 500 * US,
            MS, 5 * MS / 2, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS,
            S, 5 * S / 2, 5 * S, 10 * S,
        ];
        #[rustfmt::skip]
        const WINDOW: Bounds = [
            KIB, 2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB, 128 * KIB, 256 * KIB,
            512 * KIB, MIB, 2 * MIB, 4 * MIB, 8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB, 128 * MIB,
            256 * MIB,
        ];
        #[rustfmt::skip]
        const RATE: Bounds = [
            10 * KB, 25 * KB, 50 * KB, 100 * KB, 250 * KB, 500 * KB,
            MB, 5 * MB / 2, 5 * MB, 10 * MB, 25 * MB, 50 * MB, 100 * MB, 250 * MB, 500 * MB,
            GB, 5 * GB / 2, 5 * GB, 10 * GB,
        ];
        match self {
            Self::Lived => &LIVED,
            Self::Rtt | Self::MinRtt => &RTT,
            Self::CongestionWindow => &WINDOW,
            Self::DeliveryRate => &RATE,
        }
    }
}

/// How often which values were observed. It only grows, and its sum is exact.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Histogram {
    /// Beside each bound, and last those above all bounds.
    pub(crate) counts: [u64; 20],
    pub(crate) sum: u128,
}

impl Histogram {
    #[inline]
    fn observe(&mut self, bounds: &Bounds, value: u64) {
        let bucket = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += u128::from(value);
    }

    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, other)| *count += other);
        self.sum += other.sum;
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// A histogram of each quantity, of the connections of one group.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    histograms: [Histogram; Quantity::ALL.len()],
}

impl Observed {
    /// Observes what the kernel says of a connection.
    pub(crate) fn observe(&mut self, info: &TcpInfo) {
        let [_, rtt, min_rtt, window, rate] = &mut self.histograms;
        let observe = |histogram: &mut Histogram, quantity: Quantity| {
            if let Some(value) = quantity.read(info) {
                histogram.observe(quantity.bounds(), value);
            }
        };
        observe(rtt, Quantity::Rtt);
        observe(min_rtt, Quantity::MinRtt);
        observe(window, Quantity::CongestionWindow);
        observe(rate, Quantity::DeliveryRate);
    }

    fn observe_life(&mut self, lived: Duration) {
        let nanos = u64::try_from(lived.as_nanos()).unwrap_or(u64::MAX);
        if let Some(histogram) = self.histograms.get_mut(Quantity::Lived as usize) {
            histogram.observe(Quantity::Lived.bounds(), nanos);
        }
    }

    pub(crate) fn of(&self, quantity: Quantity) -> Histogram {
        self.histograms.get(quantity as usize).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = self.histograms.iter_mut().zip(&other.histograms);
        pairs.for_each(|(histogram, other)| histogram.add(other));
    }
}

/// The last of a connection: how long it lived, and what the kernel said right before its end.
pub(super) struct Last {
    lived: Duration,
    info: Option<TcpInfo>,
}

impl Last {
    pub(super) fn of(block: &Block, info: Option<&Packed>) -> Self {
        Self { lived: block.lived(), info: info.map(Packed::unpack) }
    }

    pub(super) fn observe_in(&self, observed: &mut Observed) {
        observed.observe_life(self.lived);
        if let Some(info) = &self.info {
            observed.observe(info);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Histogram, Quantity};

    #[test]
    fn bounds_rise_and_belong_to_their_bucket() {
        for quantity in Quantity::ALL {
            let bounds = quantity.bounds();
            assert!(bounds.is_sorted_by(|a, b| a < b), "{quantity:?}");
            for (number, bound) in bounds.iter().enumerate() {
                let mut histogram = Histogram::default();
                histogram.observe(bounds, *bound);
                histogram.observe(bounds, *bound + 1);
                let mut counts = [0; 20];
                counts[number] = 1;
                counts[number + 1] = 1;
                assert_eq!(histogram.counts, counts, "{quantity:?} {bound}");
                assert_eq!(histogram.sum, u128::from(2 * *bound + 1));
            }
        }
    }

    #[test]
    fn the_largest_values_do_not_overflow_a_sum() {
        let mut histogram = Histogram::default();
        histogram.observe(Quantity::DeliveryRate.bounds(), u64::MAX);
        let mut twice = histogram;
        twice.add(&histogram);
        assert_eq!((twice.count(), twice.sum), (2, 2 * u128::from(u64::MAX)));
        assert_eq!(twice.counts[19], 2);
    }
}
