//! The command against real servers on loopback.

mod authority;
#[path = "../../src/tls/backend/mod.rs"]
mod backend;
mod bodies;
mod certificates;
mod failures;
mod hostile;
mod http2;
#[cfg(feature = "http3")]
mod http3;
mod measured;
mod mutual;
mod names;
#[cfg(not(feature = "http3"))]
mod no_http3;
mod once;
mod output;
mod proxies;
mod redirects;
mod repeat;
mod server;
mod sessions;
mod success;
mod tls;
mod tool;
mod wishes;
