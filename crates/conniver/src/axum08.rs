//! For axum 0.8: a [`Listener`] of tokio is a listener of `axum::serve`, and handlers reach the
//! connection of their request.
//!
//! ```no_run
//! use axum::{Extension, Router, routing::get};
//! use conniver::{Handle, Options, axum08::make_service};
//! use tokio::net::TcpListener;
//!
//! # async fn serve() -> std::io::Result<()> {
//! let app = Router::new().route("/", get(|Extension(conn): Extension<Handle>| async move {
//!     format!("you sent {} bytes so far", conn.rx_bytes())
//! }));
//! let listener = Options::new().listener(TcpListener::bind("127.0.0.1:8080").await?);
//! axum::serve(listener, make_service(app)).await
//! # }
//! ```
//!
//! With [`make_service`] handlers have `Extension<Handle>`, and `ConnectInfo<SocketAddr>` as with
//! axum's own listener. `into_make_service_with_connect_info::<Handle>()` gives `ConnectInfo<Handle>`
//! instead.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    net::SocketAddr,
    task::{Context, Poll},
};

use axum::{
    Extension,
    extract::connect_info::{ConnectInfo, Connected},
    middleware::AddExtension,
    serve::{self, IncomingStream, TapIo},
};
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer as _;

use crate::{Conn, Handle, Listener};

/// Goes on after any error, as axum's listeners do: as if with
/// [`back_off`](Listener::back_off), and observers are told of each.
impl serve::Listener for Listener<TcpListener> {
    type Io = Conn<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Conn<TcpStream>, SocketAddr) {
        self.accept_always().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

impl Connected<IncomingStream<'_, Listener<TcpListener>>> for Handle {
    fn connect_info(stream: IncomingStream<'_, Listener<TcpListener>>) -> Self {
        stream.io().handle()
    }
}

impl<F> Connected<IncomingStream<'_, TapIo<Listener<TcpListener>, F>>> for Handle
where
    F: FnMut(&mut Conn<TcpStream>) + Send + 'static,
{
    fn connect_info(stream: IncomingStream<'_, TapIo<Listener<TcpListener>, F>>) -> Self {
        stream.io().handle()
    }
}

/// Serves every connection of a [`Listener`] with clones of a service, such as a `Router`, whose
/// requests carry `Extension<Handle>` and `ConnectInfo<SocketAddr>`.
pub fn make_service<S: Clone>(service: S) -> MakeService<S> {
    MakeService { service }
}

/// What [`make_service`] gives, for `axum::serve`.
#[derive(Debug, Clone)]
pub struct MakeService<S> {
    service: S,
}

impl<S: Clone> tower_service::Service<IncomingStream<'_, Listener<TcpListener>>>
    for MakeService<S>
{
    type Response = AddExtension<AddExtension<S, Handle>, ConnectInfo<SocketAddr>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: IncomingStream<'_, Listener<TcpListener>>) -> Self::Future {
        let service = Extension(stream.io().handle()).layer(self.service.clone());
        ready(Ok(Extension(ConnectInfo(*stream.remote_addr())).layer(service)))
    }
}
