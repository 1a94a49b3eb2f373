//! Systems whose sockets cannot be asked yet.

use crate::{
    CongestionName, Error, Queues, Sock, SocketMemory, congestion::CcInfo, native::Native,
};

pub(crate) const SUPPORTED: bool = false;

pub(crate) fn tcp_info(_: Sock<'_>) -> Result<Native, Error> {
    Err(Error::unsupported("TCP_INFO"))
}

pub(crate) fn congestion_name(_: Sock<'_>) -> Result<CongestionName, Error> {
    Err(Error::unsupported("TCP_CONGESTION"))
}

pub(crate) fn congestion_info(_: Sock<'_>) -> Result<CcInfo, Error> {
    Err(Error::unsupported("TCP_CC_INFO"))
}

pub(crate) fn queues(_: Sock<'_>) -> Result<Queues, Error> {
    Err(Error::unsupported("the queue lengths"))
}

pub(crate) fn memory(_: Sock<'_>) -> Result<SocketMemory, Error> {
    Err(Error::unsupported("SO_MEMINFO"))
}

pub(crate) fn cookie(_: Sock<'_>) -> Result<u64, Error> {
    Err(Error::unsupported("SO_COOKIE"))
}

pub(crate) fn is_mptcp(_: Sock<'_>) -> Result<bool, Error> {
    Err(Error::unsupported("TCP_IS_MPTCP"))
}
