//! The UDP socket of one attempt, which hears it when nobody listens at the other end.

use std::{
    fmt,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};
use tokio::{io::Interest, net::UdpSocket, sync::Notify};

use crate::route::Interface;

/// A socket for the datagrams between this machine and one address.
#[derive(Debug)]
pub(super) struct Udp {
    io: UdpSocket,
    state: UdpSocketState,
    /// Why nothing can be sent to the other end.
    unreachable: Mutex<Option<io::Error>>,
    failed: Notify,
}

impl Udp {
    pub(super) async fn towards(
        remote: SocketAddr,
        from: Option<Interface>,
    ) -> io::Result<Arc<Self>> {
        let any = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let local: IpAddr = match from {
            Some(Interface::Address(ip)) => ip,
            _ => any,
        };
        let io = UdpSocket::bind((local, 0)).await?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(Interface::Device(name)) = &from {
            io.bind_device(Some(name.as_bytes()))?;
        }
        // Only a connected socket hears of refusals and knows its local address. Elsewhere a
        // datagram with an explicit destination, as QUIC sends it, is not allowed on such a one.
        if cfg!(any(target_os = "linux", target_os = "android")) {
            io.connect(remote).await?;
        }
        let state = UdpSocketState::new((&io).into())?;
        // The kernel grants what it allows; any of it saves packets that would be lost here.
        let _ = state.set_recv_buffer_size((&io).into(), RECEIVE_BUFFER_LEN);
        Ok(Arc::new(Self { io, state, unreachable: Mutex::default(), failed: Notify::new() }))
    }

    /// Waits until the network, or the other end, says that nobody is there.
    pub(super) async fn unreachable(&self) -> io::Error {
        tokio::select! {
            error = self.told() => error,
            () = self.failed.notified() => {
                let error = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).take();
                error.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into())
            }
        }
    }

    /// What the kernel was told by the network, for which reading and writing need not wake up.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    async fn told(&self) -> io::Error {
        let error = self.io.async_io(Interest::ERROR, || match self.io.take_error()? {
            Some(error) if is_unreachable(&error) => Ok(error),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        });
        error.await.unwrap_or_else(|error| error)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    async fn told(&self) -> io::Error {
        std::future::pending().await
    }

    fn hear(&self, error: io::Error) {
        if is_unreachable(&error) {
            *self.unreachable.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            self.failed.notify_one();
        }
    }
}

impl AsyncUdpSocket for Udp {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent =
            self.io.try_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), transmit));
        match sent {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.hear(error);
                // A datagram that could not be sent is a lost one, which QUIC knows how to handle;
                // so are probes for the size of the path's datagrams.
                Ok(())
            }
            sent => sent,
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received = self
                .io
                .try_io(Interest::READABLE, || self.state.recv((&self.io).into(), buffers, meta));
            match received {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) => self.hear(error),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

/// Waits for room to send; the one connection of a socket is the only one that does.
struct Writable(Arc<Udp>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.io.poll_send_ready(cx)
    }
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writable")
    }
}

const RECEIVE_BUFFER_LEN: usize = 2 << 20;
