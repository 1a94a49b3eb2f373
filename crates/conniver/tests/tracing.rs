//! What a subscriber of `tracing` gets of connections.
#![cfg(feature = "tracing")]

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
};

use conniver::{Options, Role, Tracing};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::{Interest, with_default},
};

/// Keeps every event and every new span down to a level.
#[derive(Clone)]
struct Everything {
    level: Level,
    told: Arc<Mutex<Vec<Told>>>,
}

#[derive(Debug, Clone)]
struct Told {
    name: &'static str,
    target: String,
    level: Level,
    fields: BTreeMap<&'static str, String>,
}

impl Everything {
    fn down_to(level: Level) -> Self {
        Self { level, told: Arc::default() }
    }

    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().unwrap()
    }

    /// The only event that has this message.
    fn only(&self, message: &str) -> Told {
        let told = self.told();
        let found: Vec<_> =
            told.iter().filter(|told| told.get("message") == Some(message)).collect();
        assert_eq!(found.len(), 1, "{message}: {told:?}");
        found[0].clone()
    }

    fn add(&self, metadata: &'static Metadata<'static>, record: impl FnOnce(&mut dyn Visit)) {
        let mut fields = Fields::default();
        record(&mut fields);
        self.told().push(Told {
            name: metadata.name(),
            target: metadata.target().to_owned(),
            level: *metadata.level(),
            fields: fields.0,
        });
    }
}

impl Told {
    fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let before = self.0.insert(field.name(), format!("{value:?}"));
        assert_eq!(before, None, "{field} twice");
    }
}

impl Subscriber for Everything {
    /// Asked each time, because other tests have subscribers of their own.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.add(span.metadata(), |fields| span.record(fields));
        Id::from_u64(self.told().len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.add(event.metadata(), |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_connection_is_told_from_its_opening_to_its_end() {
    let subscriber = Everything::down_to(Level::DEBUG);
    with_default(subscriber.clone(), || {
        let options =
            Options::new().category("billing").role(Role::Client).observer(Tracing::new());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut conn = options.connector().connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        conn.write_all(b"hello").unwrap();
        peer.read_exact(&mut [0; 5]).unwrap();
        let handle = conn.handle();
        let span = handle.span();
        let retransmitted = handle.tcp_info().and_then(|info| info.ok()?.retransmitted_segs());
        drop(conn);

        let (local, remote) = (handle.local_addr().unwrap(), handle.remote_addr().unwrap());
        let common = [
            ("conn.id", handle.id().to_string()),
            ("conn.category", "billing".to_owned()),
            ("conn.role", "client".to_owned()),
            ("network.local.address", "127.0.0.1".to_owned()),
            ("network.local.port", local.port().to_string()),
            ("network.peer.address", "127.0.0.1".to_owned()),
            ("network.peer.port", remote.port().to_string()),
        ];
        let opened = subscriber.only("connection opened");
        let closed = subscriber.only("connection closed");
        assert_eq!((opened.level, closed.level), (Level::DEBUG, Level::INFO));
        for told in [&opened, &closed] {
            assert_eq!(told.target, "conniver");
            for (field, value) in &common {
                assert_eq!(told.get(field), Some(value.as_str()), "{field}");
            }
        }
        assert_eq!(closed.get("conn.reason"), Some("local_close"));
        assert_eq!(closed.get("conn.tx_bytes"), Some("5"));
        assert_eq!(
            (closed.get("conn.rx_bytes"), closed.get("conn.tx_ops")),
            (Some("0"), Some("1"))
        );
        let lived = handle.ended_at().unwrap().since(handle.opened_at()).as_secs_f64();
        assert_eq!(closed.get("conn.duration_s"), Some(format!("{lived:?}").as_str()));
        let retransmitted = retransmitted.map(|segs| segs.to_string());
        assert_eq!(closed.get("tcp.packets_retransmitted"), retransmitted.as_deref());
        assert_eq!(closed.get("tcp.rtt_s").is_some(), cfg!(target_os = "linux"));
        for absent in ["conn.rx_error", "conn.tx_error", "conn.close_error", "conn.warnings"] {
            assert_eq!(closed.get(absent), None);
        }

        let told = subscriber.told();
        let span_told = told.iter().find(|told| told.name == "conn").expect("the span");
        assert!(!span.is_disabled());
        assert_eq!(span_told.level, Level::INFO);
        assert_eq!(span_told.fields, common.into_iter().collect());
    });
}

/// A stream that was reset.
struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn an_end_in_an_error_and_a_failure_are_warnings() {
    let subscriber = Everything::down_to(Level::WARN);
    with_default(subscriber.clone(), || {
        let options = Options::new().observer(Tracing::new());
        let mut conn = options.wrap_opaque(Failing);
        let error = conn.read(&mut [0]).unwrap_err();
        drop(conn);
        let closed = subscriber.only("connection closed");
        assert_eq!(closed.level, Level::WARN);
        assert_eq!(closed.get("conn.reason"), Some("reset_received"));
        assert_eq!(closed.get("conn.rx_error"), Some(error.to_string().as_str()));
        assert_eq!(closed.get("conn.category"), None, "absent is not recorded");

        // Nobody listens at the other end of a connection.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = options.connector().connect(address).unwrap_err();
        let failed = subscriber.only("connection failed");
        assert_eq!(failed.level, Level::WARN);
        assert_eq!(failed.get("conn.reason"), Some("refused"));
        assert_eq!(failed.get("network.peer.port"), Some(address.port().to_string().as_str()));
        assert_eq!(failed.get("conn.attempts"), Some("1"));
        assert_eq!(failed.get("error"), Some(error.io_error().to_string().as_str()));
        assert_eq!(subscriber.told().len(), 2, "openings are of no interest");
    });
}

#[test]
fn what_deserves_attention_is_a_warning() {
    let subscriber = Everything::down_to(Level::WARN);
    with_default(subscriber.clone(), || {
        let options = Options::new().observer(Tracing::new());
        drop(options.wrap_opaque(io::empty()));
        assert_eq!(subscriber.told().len(), 0, "an orderly end is none");
        let conn = options.wrap_opaque(io::empty());
        conn.set_reconnects(3);
        drop(conn);
    });
    let closed = subscriber.only("connection closed");
    assert_eq!(closed.get("conn.warnings"), Some("reconnects=3"));
    assert_eq!(closed.get("conn.reconnects"), Some("3"));
    assert_eq!(closed.get("network.peer.address"), None);
}

#[test]
fn without_a_subscriber_nothing_is_made() {
    let observer = Tracing::new();
    let options = Options::new().observer(observer.clone());
    let conn = options.wrap_opaque(io::empty());
    assert!(conn.handle().span().is_disabled());
    drop(conn);
    assert_eq!(options.observer_panics(), 0);
}
