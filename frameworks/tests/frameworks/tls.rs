//! tokio-rustls above our connections, on either side.

use std::{sync::Arc, time::Duration};

use super::log::Log;
use conniver::{CloseReason, FailReason, Listener, Options, Role, Tracker};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

struct Ends {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    name: ServerName<'static>,
}

fn ends() -> Ends {
    let (client, server) = conniver_frameworks::tls().unwrap();
    Ends {
        connector: TlsConnector::from(Arc::new(client)),
        acceptor: TlsAcceptor::from(Arc::new(server)),
        name: "localhost".try_into().unwrap(),
    }
}

async fn listener(options: &Options) -> Listener<TcpListener> {
    options.listener(TcpListener::bind("127.0.0.1:0").await.unwrap())
}

#[tokio::test]
async fn facts_reach_through_tls_on_both_sides() {
    const SIZE: usize = 1_000_000;
    let Ends { connector, acceptor, name } = ends();
    let (ours, theirs) = (Log::default(), Log::default());
    let listener = listener(&Options::new().observer(theirs.clone())).await;
    let address = listener.local_addr().unwrap();
    let server = async {
        let (conn, _) = listener.accept().await.unwrap();
        let mut stream = listener.handshake(conn, &acceptor).await.unwrap();
        stream.write_all(&vec![b'x'; SIZE]).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        stream
    };
    let options = Options::new().observer(ours.clone());
    let client = async {
        let ours = options.connector();
        let mut stream = ours.connect_tls(address, &connector, name).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(all.len(), SIZE);
        stream
    };
    let (server, client) = tokio::join!(server, client);
    let (server_handle, client_handle) = (server.get_ref().0.handle(), client.get_ref().0.handle());
    assert!(server_handle.tx_bytes() > (SIZE + SIZE / 1000) as u64, "{server_handle:?}");
    assert_eq!(client_handle.rx_bytes(), server_handle.tx_bytes());
    assert_eq!(client_handle.tx_bytes(), server_handle.rx_bytes());
    assert!(client_handle.tcp_info().unwrap().unwrap().rtt().is_some());
    drop((server, client));
    let (ours, theirs) = (ours.closed(1).await.remove(0), theirs.closed(1).await.remove(0));
    assert_eq!((ours.role, theirs.role), (Some(Role::Client), Some(Role::Server)));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_a_failure_of_tls() {
    let (ours, theirs) = (Log::default(), Log::default());
    let tracker = Tracker::new();
    // Two pairs: this client trusts another server.
    let (client, server) = (ends(), ends());
    let listener = listener(&Options::new().observer(theirs.clone())).await;
    let address = listener.local_addr().unwrap();
    let accept = async {
        let (conn, _) = listener.accept().await.unwrap();
        listener.handshake(conn, &server.acceptor).await.unwrap_err()
    };
    let options = Options::new().category("shop").tracker(&tracker).observer(ours.clone());
    let target = ("localhost", address.port());
    let connector = options.connector();
    let connect = connector.connect_tls(target, &client.connector, client.name.clone());
    let (_, error) = tokio::join!(accept, connect);
    let error = error.unwrap_err();
    assert_eq!(error.reason(), FailReason::Tls);
    let text = error.to_string();
    assert!(text.contains("localhost") && text.contains("certificate"), "{text}");

    let failed = ours.failed().remove(0);
    assert_eq!((failed.reason, failed.category()), (FailReason::Tls, Some("shop")));
    assert_eq!(failed.target, Some(format!("localhost:{}", address.port())));
    assert_eq!(failed.attempts[0].addr, address);
    let failed = theirs.failed().remove(0);
    assert_eq!((failed.reason, failed.role()), (FailReason::Tls, Some(Role::Server)));

    // There was a connection all the same.
    let totals = tracker.totals();
    assert_eq!((totals.opened, totals.closed(), totals.failed_by(FailReason::Tls)), (1, 1, 1));
    ours.closed(1).await;
    theirs.closed(1).await;
}

#[tokio::test]
async fn who_speaks_no_tls_or_nothing_is_told_of() {
    let Ends { connector, acceptor, name } = ends();
    let log = Log::default();
    let listener = listener(&Options::new().observer(log.clone())).await;
    let address = listener.local_addr().unwrap();

    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let (conn, _) = listener.accept().await.unwrap();
    listener.handshake(conn, &acceptor).await.unwrap_err();

    let gone = TcpStream::connect(address).await.unwrap();
    let (conn, _) = listener.accept().await.unwrap();
    drop(gone);
    listener.handshake(conn, &acceptor).await.unwrap_err();

    let silent = TcpStream::connect(address).await.unwrap();
    let (conn, peer) = listener.accept().await.unwrap();
    let patience = Duration::from_millis(50);
    tokio::time::timeout(patience, listener.handshake(conn, &acceptor)).await.unwrap_err();
    drop(silent);

    // Its task was aborted before it ran.
    let unheard = TcpStream::connect(address).await.unwrap();
    let (conn, unheard_from) = listener.accept().await.unwrap();
    drop(listener.handshake(conn, &acceptor));
    drop(unheard);

    let reasons: Vec<_> = log.failed().iter().map(|failed| failed.reason).collect();
    use FailReason::{Cancelled, Tls};
    assert_eq!(reasons, [Tls, Tls, Cancelled, Cancelled]);
    let failed = log.failed();
    assert!(failed.iter().all(|failed| failed.attempts.len() == 1), "{failed:?}");
    let given_up = [&failed[2], &failed[3]].map(|failed| failed.attempts[0].addr);
    assert_eq!(given_up, [peer, unheard_from]);
    let reports = log.closed(4).await;
    assert_eq!(reports[0].rx_bytes, 18, "the first record that was none");
    assert_eq!(reports[1].reason, CloseReason::PeerClose);

    // A listener that never accepts: the handshake has the same patience as the connection.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let log = Log::default();
    let impatient = Options::new().observer(log.clone()).connector().timeout(patience);
    let target = silent.local_addr().unwrap();
    let error = impatient.connect_tls(target, &connector, name).await.unwrap_err();
    assert_eq!(error.reason(), FailReason::TimedOut);
    assert!(error.to_string().contains("handshake"), "{error}");
    log.closed(1).await;
}
