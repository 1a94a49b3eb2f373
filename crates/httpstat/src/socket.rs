//! The connection as the kernel sees it, watched from below everything else.

use std::{net::SocketAddr, time::Duration};

use conniver::{Conn, Handle, Options, Report, Role};
use tcpinfo::TcpInfo;
use tokio::{net::TcpStream, sync::mpsc};

/// What is known about a connection while it lives, and its report afterwards.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
    /// Asks the kernel while others use the connection.
    pub(crate) handle: Handle,
    coming: mpsc::UnboundedReceiver<Report>,
    report: Option<Report>,
}

impl Socket {
    /// Puts the watch around a fresh connection.
    pub(crate) fn observe(stream: TcpStream) -> (Conn<TcpStream>, Self) {
        let (local, remote) = (stream.local_addr().ok(), stream.peer_addr().ok());
        let (sender, coming) = mpsc::unbounded_channel();
        let on_close = move |report: &Report| {
            // The receiver is gone only when nobody wants to know any more.
            let _ = sender.send(report.clone());
        };
        let options = Options::new().role(Role::Client).category("httpstat").observer(on_close);
        let conn = options.wrap(stream);
        let handle = conn.handle();
        (conn, Self { local, remote, handle, coming, report: None })
    }

    /// What the kernel says now, while the connection is in use.
    pub(crate) fn info(&self) -> Option<TcpInfo> {
        self.handle.tcp_info()?.ok()
    }

    /// The same connection for another reader, who will get no report of it.
    pub(crate) fn glance(&self) -> Self {
        let (_, coming) = mpsc::unbounded_channel();
        Self { handle: self.handle.clone(), coming, report: None, ..*self }
    }

    /// Gives the connection some time to end in an orderly way.
    pub(crate) async fn closed_within(&mut self, limit: Duration) {
        if let Ok(report) = tokio::time::timeout(limit, self.coming.recv()).await {
            self.report = report;
        }
    }

    /// Fetches the report once the connection has ended for certain.
    pub(crate) fn collect(&mut self) {
        if self.report.is_none() {
            self.report = self.coming.try_recv().ok();
        }
    }

    pub(crate) fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }
}
