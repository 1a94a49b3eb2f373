/// A borrowed socket, as the running system lends it.
#[cfg(unix)]
pub type Sock<'a> = std::os::fd::BorrowedFd<'a>;

/// A borrowed socket, as the running system lends it.
#[cfg(windows)]
pub type Sock<'a> = std::os::windows::io::BorrowedSocket<'a>;

/// A borrowed socket, on a system that has none that could be asked.
#[cfg(not(any(unix, windows)))]
pub type Sock<'a> = std::marker::PhantomData<&'a ()>;

/// Anything that lends its socket: implemented for every `AsFd` (Unix) and `AsSocket` (Windows).
///
/// ```
/// fn kernel_facts(stream: &impl tcpinfo::AsSock) -> Option<tcpinfo::TcpInfo> {
///     tcpinfo::TcpInfo::read(stream).ok()
/// }
/// ```
pub trait AsSock {
    /// Lends the socket.
    fn as_sock(&self) -> Sock<'_>;
}

#[cfg(unix)]
impl<T: std::os::fd::AsFd + ?Sized> AsSock for T {
    #[inline]
    fn as_sock(&self) -> Sock<'_> {
        self.as_fd()
    }
}

#[cfg(windows)]
impl<T: std::os::windows::io::AsSocket + ?Sized> AsSock for T {
    #[inline]
    fn as_sock(&self) -> Sock<'_> {
        self.as_socket()
    }
}

#[cfg(not(any(unix, windows)))]
impl<T: ?Sized> AsSock for T {
    fn as_sock(&self) -> Sock<'_> {
        std::marker::PhantomData
    }
}
