//! Which HTTP is spoken.

use super::VERSION;
#[cfg(feature = "http3")]
use crate::http3::Wish;

/// The choice of the protocol, with curl's names for it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProtocolArgs {
    /// Try HTTP/3 first for https, then TCP (experimental; needs a build with --features http3)
    ///
    /// TCP begins when QUIC has failed, or after two seconds without an answer.
    #[arg(
        long,
        help_heading = VERSION,
        overrides_with_all = ["http1", "http2", "http2_prior_knowledge", "http3_only"],
        conflicts_with = "keep_alive"
    )]
    http3: bool,

    /// Use HTTP/3 or fail (experimental; needs a build with --features http3)
    #[arg(
        long,
        help_heading = VERSION,
        overrides_with_all = ["http1", "http2", "http2_prior_knowledge", "http3"],
        conflicts_with = "keep_alive"
    )]
    http3_only: bool,
}

impl ProtocolArgs {
    /// What this build cannot do, and how to get one that can.
    pub(super) fn lacking(&self) -> Option<String> {
        let option = match (self.http3, self.http3_only) {
            (true, _) => "--http3",
            (_, true) => "--http3-only",
            _ => return None,
        };
        (!cfg!(feature = "http3")).then(|| {
            format!(
                "{option}: this httpstat was built without HTTP/3; build one with `cargo install \
                 conniver-httpstat --features http3`"
            )
        })
    }

    /// What is wanted of HTTP/3, if anything.
    #[cfg(feature = "http3")]
    pub(crate) fn http3(&self) -> Option<Wish> {
        match (self.http3, self.http3_only) {
            (true, _) => Some(Wish::Try),
            (_, true) => Some(Wish::Only),
            _ => None,
        }
    }
}
