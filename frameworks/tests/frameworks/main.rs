//! Each integration against the real framework, over loopback.

mod axum;
mod hyper;
mod log;
mod reqwest;
mod tls;
mod tonic;
mod websocket;
