//! What there is to know of a connection in numbers, as far as a kernel tells it.

use std::time::Duration;

use tcpinfo::TcpInfo;

/// What is observed of a connection, in integers of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    Lived,
    Rtt,
    MinRtt,
    CongestionWindow,
    DeliveryRate,
}

impl Quantity {
    /// What the kernel says of it, if it does.
    #[inline(always)]
    pub(crate) fn read(self, info: &TcpInfo) -> Option<u64> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).ok();
        match self {
            Self::Lived => None,
            Self::Rtt => info.rtt().and_then(nanos),
            Self::MinRtt => info.min_rtt().and_then(nanos),
            Self::CongestionWindow => info.tx_cwnd(),
            // Held down by the application, it says nothing of the network.
            Self::DeliveryRate => {
                info.delivery_rate().filter(|_| info.app_limited() == Some(false))
            }
        }
    }

    /// In seconds, bytes, or bytes a second.
    pub(crate) fn in_base_unit(self, value: f64) -> f64 {
        match self {
            Self::Lived | Self::Rtt | Self::MinRtt => value / 1e9,
            Self::CongestionWindow | Self::DeliveryRate => value,
        }
    }
}
