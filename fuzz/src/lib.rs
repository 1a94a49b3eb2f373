//! What must hold of the decoders of `tcpinfo`, `sockdiag` and `httpstat` for any bytes.
//!
//! The expectations here are written from the documentation of the kernels' structures and share
//! no code with the decoders: words are put together byte by byte, and each rule by which a number
//! is held back is named. `cargo xtask fuzz` runs the targets.

#![forbid(unsafe_code)]

pub mod certificate;
pub mod congestion;
pub mod filter;
mod input;
mod json;
pub mod portable;
pub mod sock_diag;
pub mod sock_list;
pub mod structure;
mod word;
/// Part of a command, which no library shares; not all of it is used here.
#[allow(dead_code, unused_imports)]
#[path = "../../crates/httpstat/src/tls/x509/mod.rs"]
mod x509;
