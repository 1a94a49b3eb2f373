//! What a recorder of the facade `metrics` gets of a tracker.
#![cfg(feature = "metrics")]

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use conniver::{Group, MetricsPublisher, Options, Role, Tracker};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, with_local_recorder,
};

/// Keeps everything that it is told, by name and labels.
#[derive(Default)]
struct Everything {
    cells: Mutex<BTreeMap<String, Arc<Cell>>>,
    described: Mutex<BTreeMap<String, (&'static str, Option<Unit>)>>,
}

#[derive(Default)]
struct Cell(Mutex<State>);

#[derive(Default, Clone, Debug, PartialEq)]
struct State {
    absolute: Option<u64>,
    set: Option<f64>,
    recorded: Vec<f64>,
}

impl CounterFn for Cell {
    fn increment(&self, _: u64) {
        panic!("sums are absolute");
    }

    fn absolute(&self, value: u64) {
        let before = self.0.lock().unwrap().absolute.replace(value);
        assert!(before.is_none_or(|before| before <= value), "a counter went backwards");
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        panic!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        panic!("gauges are set");
    }

    fn set(&self, value: f64) {
        self.0.lock().unwrap().set = Some(value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().recorded.push(value);
    }
}

impl Everything {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={:?}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.cells.lock().unwrap().entry(name).or_default())
    }

    fn get(&self, name: &str) -> State {
        let cells = self.cells.lock().unwrap();
        cells.get(name).map(|cell| cell.0.lock().unwrap().clone()).unwrap_or_default()
    }

    fn describe(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>) {
        let before = self.described.lock().unwrap().insert(name.as_str().to_owned(), (kind, unit));
        assert_eq!(before, None, "{name:?} is described twice");
    }
}

impl Recorder for Everything {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("counter", &name, unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("gauge", &name, unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("histogram", &name, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

#[test]
fn sums_are_published_and_ends_are_recorded() {
    let recorder = Everything::default();
    with_local_recorder(&recorder, || {
        let tracker = Tracker::new();
        let publisher = MetricsPublisher::new(&tracker);
        let options = Options::new().category("pair").tracker(&tracker).observer(publisher.clone());
        let listener = options.listener(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let mut client = options.connector().connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[1; 1000]).unwrap();
        server.read_exact(&mut [0; 1000]).unwrap();
        let counter = |name: &str, more: &str| {
            recorder.get(&format!("{name}{{category=\"pair\",role=\"client\"{more}}}")).absolute
        };
        let gauge =
            |name: &str| recorder.get(&format!("{name}{{category=\"pair\",role=\"client\"}}")).set;
        let recorded = |name: &str| {
            recorder.get(&format!("{name}{{category=\"pair\",role=\"client\"}}")).recorded
        };

        publisher.publish();
        assert_eq!(gauge("tcp_connection_count"), Some(1.0));
        assert_eq!(counter("tcp_connections_created_total", ""), Some(1));
        assert_eq!(counter("tcp_application_sent_bytes_total", ""), Some(1000));
        let local = ",reason=\"local_close\"";
        assert_eq!(counter("tcp_connections_closed_total", local), Some(0));
        assert_eq!(recorded("tcp_connection_duration_seconds"), []);
        if cfg!(target_os = "linux") {
            assert_eq!(counter("tcp_packets_retransmitted_total", ""), Some(0));
            assert!(gauge("tcp_peer_window_limited_seconds_total").is_some());
        }

        let handle = client.handle();
        let rtt = handle.tcp_info().and_then(|info| info.ok()?.rtt());
        drop(client);
        let lived = handle.ended_at().unwrap().since(handle.opened_at()).as_secs_f64();
        assert_eq!(recorded("tcp_connection_duration_seconds"), [lived]);
        let rtt: Vec<_> = rtt.iter().map(std::time::Duration::as_secs_f64).collect();
        assert_eq!(recorded("tcp_rtt_seconds"), rtt);
        assert_eq!(rtt.is_empty(), !cfg!(target_os = "linux"));

        drop(listener);
        options.connector().connect(address).unwrap_err();
        publisher.publish();
        assert_eq!(gauge("tcp_connection_count"), Some(0.0));
        assert_eq!(counter("tcp_connections_closed_total", local), Some(1));
        assert_eq!(counter("tcp_connections_failed_total", ",reason=\"refused\""), Some(1));
        drop(server);
    });
    let described = recorder.described.lock().unwrap();
    let of = |name: &str| described[name];
    assert_eq!(of("tcp_connections_created_total"), ("counter", Some(Unit::Count)));
    assert_eq!(of("tcp_application_sent_bytes_total"), ("counter", Some(Unit::Bytes)));
    assert_eq!(of("tcp_rtt_seconds"), ("histogram", Some(Unit::Seconds)));
    assert_eq!(of("tcp_peer_window_limited_seconds_total"), ("gauge", Some(Unit::Seconds)));
}

#[test]
fn what_no_kernel_told_is_absent() {
    let recorder = Everything::default();
    with_local_recorder(&recorder, || {
        let tracker = Tracker::new();
        let publisher = MetricsPublisher::new(&tracker);
        let options = Options::new().tracker(&tracker).observer(publisher.clone());
        drop(options.wrap_opaque(io::empty()));
        publisher.publish();
    });
    let none = |name| recorder.get(&format!("{name}{{category=\"\",role=\"\"}}"));
    assert_eq!(none("tcp_connection_duration_seconds").recorded.len(), 1);
    assert_eq!(none("tcp_connections_created_total").absolute, Some(1));
    for name in [
        "tcp_rtt_seconds",
        "tcp_packets_retransmitted_total",
        "tcp_bytes_retransmitted_total",
        "tcp_peer_window_limited_seconds_total",
        "tcp_send_buffer_limited_seconds_total",
    ] {
        assert_eq!(none(name), State::default(), "{name}");
    }
}

/// The observer bounds categories as the tracker does, also for connections that are not its own.
#[test]
fn categories_stay_bounded() {
    let recorder = Everything::default();
    let tracker = Tracker::builder().groups(2).build();
    let publisher = MetricsPublisher::new(&tracker);
    with_local_recorder(&recorder, || {
        for number in 0..1000 {
            let options = Options::new().category(number.to_string()).role(Role::Client);
            let options = if number % 2 == 0 { options.tracker(&tracker) } else { options };
            drop(options.observer(publisher.clone()).wrap_opaque(io::empty()));
        }
        publisher.publish();
    });
    let lived = |category: &str| {
        let labels = format!("{{category={category:?},role=\"client\"}}");
        recorder.get(&format!("tcp_connection_duration_seconds{labels}")).recorded.len()
    };
    assert_eq!((lived("0"), lived("1"), lived("2")), (1, 1, 0));
    assert_eq!(lived(Group::OTHER), 998);
}

/// A recorder that publishes while it is published to.
struct Impatient {
    publisher: MetricsPublisher,
    inner: Everything,
}

impl Recorder for Impatient {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.publisher.publish();
        self.inner.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.inner.register_histogram(key, metadata)
    }
}

#[test]
fn publishing_does_not_wait_for_itself() {
    let tracker = Tracker::new();
    let publisher = MetricsPublisher::new(&tracker);
    let recorder = Impatient { publisher: publisher.clone(), inner: Everything::default() };
    drop(Options::new().tracker(&tracker).wrap_opaque(io::empty()));
    with_local_recorder(&recorder, || publisher.publish());
    let created = recorder.inner.get("tcp_connections_created_total{category=\"\",role=\"\"}");
    assert_eq!(created.absolute, Some(1));
}

#[test]
fn a_connection_of_another_thread_is_published_too() {
    let recorder = Everything::default();
    let tracker = Tracker::new();
    let publisher = MetricsPublisher::new(&tracker);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let options = Options::new().tracker(&tracker);
    let conn = std::thread::scope(|scope| {
        scope.spawn(|| options.wrap(TcpStream::connect(address).unwrap())).join().unwrap()
    });
    with_local_recorder(&recorder, || publisher.publish());
    assert_eq!(recorder.get("tcp_connection_count{category=\"\",role=\"\"}").set, Some(1.0));
    drop(conn);
}
