//! Asks the Linux kernel about any TCP connection of the host, by netlink (`NETLINK_SOCK_DIAG`).
//!
//! A program reads the facts of its own sockets by their descriptors, as [`tcpinfo`] does. The kernel
//! tells the same of every socket of the network namespace, whoever owns it, to everybody: this crate
//! finds one connection by its two addresses, without a scan, lists all of them or those that a
//! [`Filter`] selects, tells of each when it [ends](Events), and decodes all that is told.
//!
//! ```
//! use std::net::{TcpListener, TcpStream};
//! use sockdiag::{Lookup, SockDiag};
//!
//! # if !sockdiag::is_supported() { return }
//! let listener = TcpListener::bind("127.0.0.1:0").unwrap();
//! let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
//!
//! let mut diag = SockDiag::open().unwrap();
//! let lookup = Lookup::new(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
//! match diag.lookup(&lookup).unwrap() {
//!     Some(entry) => {
//!         println!("{} held by inode {:?}, {:?}", entry.state(), entry.inode(), entry.timer());
//!         if let Some(info) = entry.tcp_info() {
//!             println!("round-trip time {:?}", info.rtt());
//!         }
//!     }
//!     None => println!("{lookup}: no such connection"),
//! }
//! ```
//!
//! All of them, or some:
//!
//! ```
//! use sockdiag::{Dump, SockDiag, States};
//!
//! # if !sockdiag::is_supported() { return }
//! let mut diag = SockDiag::open().unwrap();
//! let slow = Dump::new().states(States::CONNECTED).filter(&"rtt > 50ms".parse().unwrap());
//! let mut entries = diag.dump(&slow).unwrap();
//! while let Some(entry) = entries.next() {
//!     let entry = entry.unwrap();
//!     println!("{} -> {} {}", entry.local_addr(), entry.remote_addr(), entry.state());
//! }
//! ```
//!
//! # What is promised
//!
//! - A connection is the one that was asked for: the kernel's answer is compared with the question. The
//!   kernel would tell of a listener on the same port where there is no such connection.
//! - With a [cookie](Lookup::cookie) no later connection between the same addresses is mistaken for it.
//! - "No such connection" is told apart from a kernel that cannot tell, whose answer is the same.
//! - A list has no socket that was not asked for, and says when it is not whole. It is no snapshot: see
//!   [`SockDiag::dump`].
//! - Every end of a connection is told, or that some were [lost](Event::Lost).
//! - What is [recorded](Recorder), sockets of lists and ends of connections, is [replayed](Replay) as it was
//!   told, on any system: in lists with filters, and by lookups.
//! - Answers to other questions are never taken, and nothing waits for ever that was not told to.
//! - No bytes from the kernel, however broken, make it panic.
//!
//! # Who may ask
//!
//! Everybody, about every socket of the network namespace. Only the [mark](Entry::mark)
//! and [keys of signatures](Entry::md5_keys) are kept for `CAP_NET_ADMIN`. Other [namespaces](Namespace) need a socket that is opened there, and
//! `CAP_SYS_ADMIN` for that.
//!
//! # Platforms
//!
//! Linux and Android; most Androids forbid it to apps. On other systems [`SockDiag::open`] answers
//! [`ErrorKind::Unsupported`], and [`is_supported`] says so beforehand. [`Replay`],
//! [`Entry::from_bytes`] and [`messages`] read bytes on every host, of a machine with the same byte order.
//! Feature `serde` writes an [`Entry`] as JSON.
//!
//! # Cost
//!
//! A lookup is one `send` and one `recv`, which take one to four µs, and hardly more than they; no heap
//! allocation. A list takes the kernel one to two µs a socket, more than anything that is done with it
//! here; memory and heap allocations do not depend on the number of sockets. In the repository,
//! `cargo xtask bench sockdiag` times both beside the bare calls.

#![forbid(unsafe_code)]
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

mod attribute;
mod bytes;
mod cgroups;
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    allow(dead_code, reason = "nobody to talk with")
)]
mod conversation;
mod dump;
mod end;
mod entry;
mod error;
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    allow(dead_code, unreachable_code, reason = "nobody to listen to")
)]
mod events;
mod filter;
mod interfaces;
#[cfg(feature = "serde")]
mod json;
mod lookup;
mod message;
mod namespace;
mod options;
mod owners;
mod recording;
mod signatures;
mod socket;
mod states;
mod sys;
mod ulp;

pub use attribute::{Attribute, Attributes};
pub use cgroups::Cgroups;
#[doc(hidden)]
pub use conversation::list_of;
pub use dump::{Dump, Entries, Family, Protocol, Tell};
pub use end::End;
pub use entry::{Entry, EntryBuf, Shutdown, Timer, TimerKind};
pub use error::{Error, ErrorKind, Malformed};
pub use events::{Event, Events};
pub use filter::{Filter, FilterError, FilterFact, FilterNames, FilterUnit, NoNames, SystemNames};
pub use interfaces::{InterfaceName, Interfaces};
#[cfg(feature = "serde")]
pub use json::Named;
pub use lookup::Lookup;
pub use message::{Message, Messages, messages};
pub use namespace::Namespace;
pub use options::SocketOptions;
pub use owners::{Cgroup, Container, Gaps, Owner, Owners, Process};
pub use recording::{Recorder, Replay, Replayed};
pub use signatures::{Md5Key, Md5Keys};
pub use socket::{SharedSockDiag, SockDiag};
pub use states::States;
pub use ulp::{MptcpSubflowInfo, TlsInfo, TlsPlace, Ulp};

/// Whether this system can be asked at all.
pub const fn is_supported() -> bool {
    cfg!(any(target_os = "linux", target_os = "android"))
}
