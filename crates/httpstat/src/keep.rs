//! Connections that stay open from one request to the next.

use serde::Serialize;
use url::Origin;

use crate::{exchange::Line, proxy::Proxy, socket::Socket, tls::Session};

/// Connections that wait for their next request, one for each origin.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    kept: Vec<Kept>,
    /// After this run, none will be needed any more.
    pub(crate) is_last: bool,
}

/// A connection between two requests.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) origin: Origin,
    pub(crate) line: Line,
    pub(crate) socket: Socket,
    pub(crate) tls: Option<Session>,
    pub(crate) proxy: Option<Proxy>,
}

/// How a request came to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Use {
    /// It is the first to this origin.
    Fresh,
    /// An earlier request has opened it.
    Reused,
    /// It is a new one, because the server has closed the one before.
    Replaced,
}

impl Pool {
    pub(crate) fn take(&mut self, origin: &Origin) -> Option<Kept> {
        let position = self.kept.iter().position(|kept| kept.origin == *origin)?;
        Some(self.kept.swap_remove(position))
    }

    /// Keeps the connection in the place of an earlier one to the same origin.
    pub(crate) fn put(&mut self, kept: Kept) {
        self.kept.retain(|other| other.origin != kept.origin);
        self.kept.push(kept);
    }
}
