//! Wraps a connection and reports it once, at its end: bytes, times, errors, and what the kernel
//! knew about the socket when it opened and right before it closed.
//!
//! ```
//! use std::{io::Write, net::{TcpListener, TcpStream}};
//! use conniver::{Options, Report, Role};
//!
//! # let listener = TcpListener::bind("127.0.0.1:0").unwrap();
//! # let address = listener.local_addr().unwrap();
//! let options = Options::new()
//!     .role(Role::Client)
//!     .category("payments")
//!     .observer(|report: &Report| println!("{report}"));
//!
//! let mut conn = options.wrap(TcpStream::connect(address).unwrap());
//! conn.write_all(b"hello").unwrap();
//! // Dropping the connection prints one line, such as
//! // payments client 127.0.0.1:38652 -> 127.0.0.1:41371 1.2ms tx=5 rx=0 open_rtt=26µs/13µs …
//! ```
//!
//! # What is promised
//!
//! - Bytes are counted exactly: partial and vectored writes, errors after progress, half-closed and
//!   split connections, cancelled tasks.
//! - Every wrapped connection ends in exactly one [`Report`], however it ends; after
//!   [`Conn::into_inner`] the caller has it instead of the observers.
//! - The facts of the close are read while the descriptor is still open.
//! - A read or write is not slowed by an allocation, a lock or a log.
//! - An observer that panics harms nobody; one that takes time belongs behind [`report_channel`].
//!
//! # Every connection of a program
//!
//! A [`Tracker`] knows every connection that its [`Options`] wrap: a list at any moment, with fresh
//! kernel facts on request, totals that never go backwards, and the connections that ended last.
//! A [`Listener`] wraps what it accepts and a [`Connector`] what it makes, and both tell of what did
//! not come about.
//!
//! # Times
//!
//! The wall clock is read once, at the opening, and continued by the monotonic clock. Opening,
//! close, first byte and end of stream are exact; the *last* byte each way is known to the
//! scheduler's tick (1 to 10 ms on Linux), because that clock costs a fifth of the exact one. The
//! monotonic clock stands still while a machine sleeps, and so do these times.
//!
//! # Features
//!
//! - `axum08`: a [`Listener`] is one of axum 0.8, and handlers reach their connection.
//! - `hyper-util`: a [`Connector`] is one of hyper-util's client, and responses bring their handle.
//! - `sockdiag`: on Linux, the kernel's facts of connections that are only observed, and
//!   `LastWords`: what it knows after the close, such as whether the last write arrived.
//! - `tokio-rustls`: connections with TLS on either side; the facts are those of the socket below.
//! - `tonic014`: the connections of a [`Listener`] for tonic 0.14. Needs Rust 1.89.
//! - `tower`: layers for HTTP clients, servers and connectors.
//! - `tokio`: `AsyncRead` and `AsyncWrite`, and tokio's TCP streams with readiness and halves.
//! - `serde`: `Serialize` for reports.
//! - `prometheus-client`: `TrackerCollector`, a collector of that crate over a tracker.
//! - `metrics`: `MetricsPublisher`, which feeds a tracker's sums to that facade.
//! - `tracing`: `Tracing`, an observer that emits events, and `Handle::span`.
//!
//! Kernel facts exist on the systems that [`tcpinfo`] supports; elsewhere a report says that they
//! are missing.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

mod addresses;
#[cfg(feature = "axum08")]
pub mod axum08;
mod block;
mod clock;
mod close;
mod conn;
mod connector;
mod dial;
mod exchange;
mod export;
mod failure;
mod handle;
#[cfg(feature = "hyper-util")]
pub mod hyper_util;
#[cfg(feature = "serde")]
mod json;
#[cfg(feature = "sockdiag")]
mod last_words;
mod listener;
mod mark;
mod observer;
mod options;
mod reason;
mod report;
mod slot;
mod socket_options;
mod stable;
mod sync;
mod thread_token;
#[cfg(feature = "tonic014")]
pub mod tonic014;
#[cfg(feature = "tower")]
pub mod tower;
mod tracker;

pub use clock::Timestamp;
pub use close::Close;
pub use conn::Conn;
#[cfg(feature = "tokio")]
pub use conn::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use connector::{Connector, Target};
pub use dial::{Attempt, ConnectError, FailReason, FailedConn};
pub use exchange::Exchange;
#[cfg(feature = "metrics")]
pub use export::MetricsPublisher;
#[cfg(feature = "tracing")]
pub use export::Tracing;
#[cfg(feature = "prometheus-client")]
pub use export::TrackerCollector;
pub use failure::Failure;
pub use handle::{ConnId, Handle, Role};
#[cfg(feature = "sockdiag")]
pub use last_words::{Expected, Fate, LastWord, LastWords};
pub use listener::Listener;
pub use mark::{Difference, Mark};
pub use observer::{Observer, ReportSender, report_channel};
pub use options::Options;
pub use reason::CloseReason;
pub use report::{Report, Snapshot, Warning};
pub use socket_options::Keepalive;
pub use stable::StableSock;
pub use tracker::{
    Alarm, Connection, Group, Order, Query, Rate, Rates, Totals, Tracker, TrackerBuilder, Trouble,
    Watchdog,
};
