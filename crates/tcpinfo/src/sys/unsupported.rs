//! Systems whose sockets cannot be asked: each call answers that.

pub(crate) use super::missing::*;
