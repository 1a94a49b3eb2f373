//! The standard library's streams.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    Conn,
    block::{Block, Side},
};

impl<S: Read> Read for Conn<S> {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = buf.len();
        let (stream, watch) = self.parts();
        let result = stream.read(buf);
        watch.received(room, &result);
        result
    }

    #[inline]
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let room = room_in(bufs);
        let (stream, watch) = self.parts();
        let result = stream.read_vectored(bufs);
        watch.received(room, &result);
        result
    }
}

impl<S: Write> Write for Conn<S> {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let (stream, watch) = self.parts();
        let result = stream.write(buf);
        watch.sent(&result);
        result
    }

    #[inline]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let (stream, watch) = self.parts();
        let result = stream.write_vectored(bufs);
        watch.sent(&result);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        let (stream, watch) = self.parts();
        let result = stream.flush();
        note_flush(watch.block(), &result);
        result
    }
}

impl<'a, S> Read for &'a Conn<S>
where
    &'a S: Read,
{
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = buf.len();
        let result = self.get_ref().read(buf);
        self.watch.received_shared(room, &result);
        result
    }

    #[inline]
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let room = room_in(bufs);
        let result = self.get_ref().read_vectored(bufs);
        self.watch.received_shared(room, &result);
        result
    }
}

impl<'a, S> Write for &'a Conn<S>
where
    &'a S: Write,
{
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let result = self.get_ref().write(buf);
        self.watch.sent_shared(&result);
        result
    }

    #[inline]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.get_ref().write_vectored(bufs);
        self.watch.sent_shared(&result);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.get_ref().flush();
        note_flush(self.block(), &result);
        result
    }
}

/// What the bare stream offers besides reading and writing. There is no `try_clone`: a duplicate of
/// the descriptor would move bytes unseen and keep the connection open. Share the `Conn` itself,
/// which reads and writes through `&Conn`.
impl Conn<TcpStream> {
    /// As [`TcpStream::local_addr`]; the report keeps it after the close.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    /// As [`TcpStream::peer_addr`]; the report keeps it after the close.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }

    /// As [`TcpStream::peek`]. Peeked bytes are not counted; they will be when they are read.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.get_ref().peek(buf);
        if let Err(error) = &result {
            self.block().note_error(Side::Rx, error);
        }
        result
    }

    /// As [`TcpStream::shutdown`]; when writing ends, the moment is recorded and the kernel asked
    /// before.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Read {
            let result = self.get_ref().shutdown(how);
            self.block().note_shutdown_error(Side::Rx, &result);
            return result;
        }
        self.sample_before_shutdown();
        let result = self.get_ref().shutdown(how);
        self.block().shut_down(&result);
        result
    }

    /// As [`TcpStream::set_read_timeout`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_read_timeout(timeout)
    }

    /// As [`TcpStream::read_timeout`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.get_ref().read_timeout()
    }

    /// As [`TcpStream::set_write_timeout`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_write_timeout(timeout)
    }

    /// As [`TcpStream::write_timeout`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.get_ref().write_timeout()
    }

    /// As [`TcpStream::set_nodelay`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.get_ref().set_nodelay(nodelay)
    }

    /// As [`TcpStream::nodelay`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.get_ref().nodelay()
    }

    /// As [`TcpStream::set_nonblocking`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.get_ref().set_nonblocking(nonblocking)
    }

    /// As [`TcpStream::set_ttl`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.get_ref().set_ttl(ttl)
    }

    /// As [`TcpStream::ttl`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn ttl(&self) -> io::Result<u32> {
        self.get_ref().ttl()
    }

    /// As [`TcpStream::take_error`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.get_ref().take_error()
    }
}

fn note_flush(block: &Block, result: &io::Result<()>) {
    if let Err(error) = result {
        block.note_error(Side::Tx, error);
    }
}

fn room_in(bufs: &[IoSliceMut<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}
