//! What tracking every connection on both sides does to requests of hyper's client and server.

use std::{convert::Infallible, io, net::SocketAddr, time::Instant};

use conniver::{
    Connector, Exchange, Handle, Observer, Options, Report, Role, Tracker, tower::ExchangeLayer,
};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{self as client, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::bench::{
    cost::{Cost, Trouble},
    counting_allocator::allocations_in,
    timing::{ROUNDS, Rounds},
};

const BODY: &[u8] = &[b'x'; 1024];

/// Requests of a round.
const REQUESTS: u32 = 20;

/// Rounds with the same connections: two of them differ by more than tracking costs.
const ROUNDS_A_CONNECTION: usize = 10;

/// Bare beside tracked and observed on both sides, where each response brings its handle.
pub(super) fn requests() -> Result<Cost, Trouble> {
    compare(false, |client| client)
}

/// The same with an exchange for each request on both sides, and the kernel's facts for it.
pub(super) fn exchanges() -> Result<Cost, Trouble> {
    compare(true, |client| ExchangeLayer::new(Role::Client).layer(client))
}

type Tracked = Client<Connector, Empty<Bytes>>;

fn compare<C>(exchanges: bool, layered: impl Fn(Tracked) -> C) -> Result<Cost, Trouble>
where
    C: Service<Request<Empty<Bytes>>, Response = Response<Incoming>, Error = client::Error>,
{
    // As most programs have it; in one thread alone a request takes half as long.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let tracker = Tracker::new();
    let options = Options::new().category("bench").tracker(&tracker).observer(Watch);
    let bare = runtime.block_on(serve_bare())?;
    let tracked = runtime.block_on(serve_tracked(&options, exchanges))?;
    let mut rounds = Rounds::default();
    let mut allocations = 0;
    while rounds.len() < ROUNDS {
        let builder = Client::builder(TokioExecutor::new());
        let mut client = builder.build(HttpConnector::new());
        let mut layered = layered(builder.build(options.connector()));
        // The first makes the connection.
        round(&runtime, &mut client, bare)?;
        round(&runtime, &mut layered, tracked)?;
        for _ in 0..ROUNDS_A_CONNECTION {
            let (floor, fewer) = allocations_in(|| round(&runtime, &mut client, bare));
            let (subject, more) = allocations_in(|| round(&runtime, &mut layered, tracked));
            rounds.add(floor?, subject?);
            allocations += more.saturating_sub(fewer);
        }
    }
    let each = allocations as f64 / (rounds.len() as f64 * f64::from(REQUESTS));
    // Which thread frees what is a matter of chance.
    Ok(Cost::timed(rounds.timing(), (each * 10.0).round() / 10.0))
}

/// Everything that an observer can see, but for each read and write.
struct Watch;

impl Observer for Watch {
    fn opened(&self, conn: &Handle) {
        std::hint::black_box(conn);
    }

    fn closed(&self, report: &Report) {
        std::hint::black_box(report);
    }
}

/// Nanoseconds a request.
fn round<C>(runtime: &Runtime, client: &mut C, server: SocketAddr) -> io::Result<f64>
where
    C: Service<Request<Empty<Bytes>>, Response = Response<Incoming>, Error = client::Error>,
{
    let uri: Uri = format!("http://{server}/").parse().map_err(io::Error::other)?;
    let start = Instant::now();
    runtime.block_on(async {
        for _ in 0..REQUESTS {
            let request = Request::get(&uri).body(Empty::new()).map_err(io::Error::other)?;
            let response = client.call(request).await.map_err(io::Error::other)?;
            response.into_body().collect().await.map_err(io::Error::other)?;
        }
        io::Result::Ok(())
    })?;
    Ok(start.elapsed().as_nanos() as f64 / f64::from(REQUESTS))
}

async fn serve_bare() -> Result<SocketAddr, Trouble> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|_| async { respond() });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

async fn serve_tracked(options: &Options, exchanges: bool) -> Result<SocketAddr, Trouble> {
    let listener = options.listener(TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((conn, _)) = listener.accept().await {
            let handle = conn.handle();
            let service = service_fn(move |_| {
                let exchange = exchanges.then(|| Exchange::begin(&handle));
                async {
                    drop(exchange);
                    respond()
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(conn), service));
        }
    });
    Ok(address)
}

fn respond() -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(BODY)))
}
