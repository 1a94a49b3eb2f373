//! Several runs as one result: statistics, objectives, and the comparison with earlier ones.

pub(crate) mod baseline;
pub(crate) mod junit;
pub(crate) mod metric;
mod rank_test;
pub(crate) mod slo;
pub(crate) mod statistics;
