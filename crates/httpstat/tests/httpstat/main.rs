//! The command against real servers on loopback.

#[path = "../../src/tls/backend/mod.rs"]
mod backend;
mod failures;
mod output;
mod proxies;
mod redirects;
mod server;
mod success;
mod tls;
mod tool;
