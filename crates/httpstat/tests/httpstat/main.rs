//! The command against real servers on loopback.

mod authority;
#[path = "../../src/tls/backend/mod.rs"]
mod backend;
mod certificates;
mod failures;
mod mutual;
mod output;
mod proxies;
mod redirects;
mod repeat;
mod server;
mod sessions;
mod success;
mod tls;
mod tool;
