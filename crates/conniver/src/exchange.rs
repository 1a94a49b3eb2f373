use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{Difference, Handle, Mark, mark::Counts};

/// A request and its response on a connection: which connection, whether it served others before,
/// and what happened on it since the request began.
///
/// With feature `tower`, `ExchangeLayer` begins one for every request of an HTTP client or server;
/// where that does not fit, [`Exchange::begin`] does.
///
/// ```
/// use std::io::Write;
/// use conniver::{Exchange, Options};
///
/// let mut conn = Options::new().wrap_opaque(Vec::new());
/// let first = Exchange::begin(&conn.handle());
/// conn.write_all(b"request").unwrap();
/// assert_eq!(first.difference().tx_bytes, 7);
/// assert!(!first.is_reuse());
/// drop(first);
///
/// let second = Exchange::begin(&conn.handle());
/// assert!(second.is_reuse());
/// ```
#[derive(Debug, Clone)]
pub struct Exchange {
    mark: Arc<Mark>,
    number: u64,
}

impl Exchange {
    /// Begins an exchange on a connection, and sets a [mark](Handle::mark) there, for which the
    /// kernel is asked: one system call.
    pub fn begin(handle: &Handle) -> Self {
        Self::begin_since(handle, Counts::of(handle), true)
    }

    /// The same without asking the kernel, for those who have very many requests: a
    /// [difference](Self::difference) then lacks what the kernel counts.
    pub fn begin_counts(handle: &Handle) -> Self {
        Self::begin_since(handle, Counts::of(handle), false)
    }

    /// Begins an exchange now, at counts that may have grown in this instant.
    pub(crate) fn begin_since(handle: &Handle, counts: Counts, facts: bool) -> Self {
        let number = handle.block().rare().exchanges.fetch_add(1, Relaxed);
        Self { mark: Arc::new(handle.mark_since(counts, facts)), number }
    }

    /// The connection.
    pub fn handle(&self) -> &Handle {
        self.mark.handle()
    }

    /// How many exchanges were begun on the connection before this one.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the connection was used for another exchange before this one. Only exchanges that
    /// somebody [began](Self::begin) are known.
    pub fn is_reuse(&self) -> bool {
        self.number > 0
    }

    /// What happened on the connection since the exchange began; see [`Mark::difference`]. The
    /// exchange goes on until its last clone is dropped, and whatever other exchange meets it on
    /// the connection is [shared](Difference::is_shared) with it. One that nobody holds any more is
    /// not noticed, also if a body of it is still on its way.
    pub fn difference(&self) -> Difference {
        self.mark.difference()
    }
}
