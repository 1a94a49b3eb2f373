//! Systems whose sockets cannot be asked: each call answers that.

pub(crate) const SUPPORTED: bool = false;

pub(crate) use super::missing::*;
