//! The JSON of a report: moments in nanoseconds since the Unix epoch, absent keys left out.

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{CloseReason, ConnId, Failure, Report, Role, Snapshot, Timestamp, Warning};

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.unix_nanos())
    }
}

impl Serialize for ConnId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for CloseReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.snapshot(self)?;
        map.entry("takenAt", Some(self.taken_at))?;
        map.entry("info", self.info())?;
        map.0.end()
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.snapshot(&self.last)?;
        map.entry("closedAt", Some(self.closed_at))?;
        map.entry("closeReason", Some(self.reason))?;
        map.failure("closeErr", "closeErrKind", "closeErrCode", self.close_err.as_ref())?;
        map.entry("closedInfo", self.closed_info())?;
        map.0.end()
    }
}

/// A map that leaves absent entries out.
struct Present<M>(M);

impl<M: SerializeMap> Present<M> {
    fn entry<T: Serialize>(&mut self, key: &'static str, value: Option<T>) -> Result<(), M::Error> {
        match value {
            Some(value) => self.0.serialize_entry(key, &value),
            None => Ok(()),
        }
    }

    /// An error as text, with its kind and number under keys of their own.
    fn failure(
        &mut self,
        text: &'static str,
        kind: &'static str,
        code: &'static str,
        failure: Option<&Failure>,
    ) -> Result<(), M::Error> {
        self.entry(text, failure.map(|failure| &failure.text))?;
        self.entry(kind, failure.map(|failure| format!("{:?}", failure.kind)))?;
        self.entry(code, failure.and_then(|failure| failure.code))
    }

    fn snapshot(&mut self, conn: &Snapshot) -> Result<(), M::Error> {
        self.entry("id", Some(conn.id))?;
        self.entry("role", conn.role)?;
        self.entry("category", conn.category())?;
        self.entry("localAddr", conn.local_addr)?;
        self.entry("remoteAddr", conn.remote_addr)?;
        self.entry("openedAt", Some(conn.opened_at))?;
        self.entry("firstRxAt", conn.first_rx_at)?;
        self.entry("firstTxAt", conn.first_tx_at)?;
        self.entry("lastRxAt", conn.last_rx_at)?;
        self.entry("lastTxAt", conn.last_tx_at)?;
        self.entry("rxEndedAt", conn.rx_ended_at)?;
        self.entry("txEndedAt", conn.tx_ended_at)?;
        self.entry("txBytes", Some(conn.tx_bytes))?;
        self.entry("rxBytes", Some(conn.rx_bytes))?;
        self.entry("txOps", Some(conn.tx_ops))?;
        self.entry("rxOps", Some(conn.rx_ops))?;
        self.failure("rxErr", "rxErrKind", "rxErrCode", conn.rx_err.as_ref())?;
        self.failure("txErr", "txErrKind", "txErrCode", conn.tx_err.as_ref())?;
        self.failure("infoErr", "infoErrKind", "infoErrCode", conn.info_err.as_ref())?;
        self.entry("reconnects", Some(conn.reconnects).filter(|reconnects| *reconnects > 0))?;
        self.entry("warnings", Some(conn.warnings()))?;
        self.entry("openedInfo", conn.opened_info())?;
        self.entry("shutdownInfo", conn.shutdown_info())
    }
}
