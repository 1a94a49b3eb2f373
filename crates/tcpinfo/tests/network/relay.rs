//! The middle of a path: copies packets between two devices, late, in another order, or not at all.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    ledger::{Ledger, Segment},
    namespace::Namespace,
};

const NEAR: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 2);

/// What happens to the data that goes from the near end to the far one. Nothing happens to
/// acknowledgements but the delay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Of every packet, each way.
    pub(crate) delay: Duration,
    /// Of a thousand packets with data.
    pub(crate) lost: u64,
    /// Of a thousand packets with data, and how much longer they take.
    pub(crate) held_back: u64,
    pub(crate) longer: Duration,
    /// The same seed gives the same fate to the n-th packet with data.
    pub(crate) seed: u64,
    /// Whether the ends use TCP timestamps. A receiver that does discards what comes after a later
    /// retransmission that filled a hole before it (RFC 7323, PAWS), so that more is lost on a path
    /// with another order than the path loses.
    pub(crate) timestamps: bool,
}

impl Weather {
    pub(crate) const CLEAR: Self = Self {
        delay: Duration::from_millis(25),
        lost: 0,
        held_back: 0,
        longer: Duration::ZERO,
        seed: 1,
        timestamps: true,
    };
}

/// Two network namespaces and what lies between them.
pub(crate) struct Path {
    near: Namespace,
    far: Namespace,
    shared: Arc<Shared>,
    relay: Option<JoinHandle<()>>,
}

struct Shared {
    /// From the near end to the far one.
    ledger: Mutex<Ledger>,
    /// When a packet last came or went.
    last: Mutex<Instant>,
    /// When the near end first sent a SYN, and when it first got one.
    handshake: Mutex<[Option<Instant>; 2]>,
    closed: AtomicBool,
    done: AtomicBool,
}

impl Path {
    pub(crate) fn try_once() -> Result<(), String> {
        Self::new(Weather { timestamps: false, ..Weather::CLEAR }).map(drop)
    }

    pub(crate) fn new(weather: Weather) -> Result<Self, String> {
        let (near, near_device) = Namespace::with_device(NEAR, FAR)?;
        let (far, far_device) = Namespace::with_device(FAR, NEAR)?;
        if !weather.timestamps {
            for namespace in [&near, &far] {
                let setting = "/proc/sys/net/ipv4/tcp_timestamps";
                namespace
                    .within(|| std::fs::write(setting, "0"))
                    .map_err(|error| format!("{setting}: {error}"))?;
            }
        }
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            last: Mutex::new(Instant::now()),
            handshake: Mutex::default(),
            closed: AtomicBool::new(false),
            done: AtomicBool::new(false),
        });
        let relay = Relay {
            devices: [near_device.into(), far_device.into()],
            weather,
            random: Random::new(weather.seed),
            shared: Arc::clone(&shared),
            under_way: BinaryHeap::new(),
            count: 0,
        };
        Ok(Self { near, far, shared, relay: Some(thread::spawn(move || relay.run())) })
    }

    /// A listener at the far end.
    pub(crate) fn listener(&self) -> TcpListener {
        self.at_far(|ip| TcpListener::bind((ip, 0)).unwrap())
    }

    /// A connection from the near end.
    pub(crate) fn connect(&self, to: SocketAddr) -> TcpStream {
        self.at_near(|_| TcpStream::connect(to).unwrap())
    }

    /// Does something at the near end, which has this address.
    pub(crate) fn at_near<T: Send>(&self, work: impl FnOnce(Ipv4Addr) -> T + Send) -> T {
        self.near.within(|| work(NEAR))
    }

    /// Does something at the far end, which has this address.
    pub(crate) fn at_far<T: Send>(&self, work: impl FnOnce(Ipv4Addr) -> T + Send) -> T {
        self.far.within(|| work(FAR))
    }

    /// Lets nothing pass any more in either direction, or all again.
    pub(crate) fn close(&self, closed: bool) {
        self.shared.closed.store(closed, Relaxed);
    }

    /// What passed, once nothing is under way and nothing more comes.
    pub(crate) fn at_rest<T>(&self, mut read: impl FnMut() -> T) -> (Ledger, T) {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < Duration::from_secs(60), "the path never came to rest");
            thread::sleep(Duration::from_millis(20));
            let before = self.ledger();
            let answer = read();
            let silence = self.shared.last.lock().unwrap().elapsed();
            if silence > Duration::from_millis(200) && before == self.ledger() {
                return (before, answer);
            }
        }
    }

    /// How long the first connection from the near end took to be established, as seen just outside
    /// of that end.
    #[allow(dead_code, reason = "the tests of httpstat need it")]
    pub(crate) fn handshake(&self) -> Option<Duration> {
        let [sent, answered] = *self.shared.handshake.lock().unwrap();
        Some(answered?.duration_since(sent?))
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.shared.ledger.lock().unwrap().clone()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.shared.done.store(true, Relaxed);
        let ended = self.relay.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the relay failed");
    }
}

/// A packet on its way: when it is due, which was read when, where it goes.
type UnderWay = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Relay {
    /// Of the near end and of the far one.
    devices: [File; 2],
    weather: Weather,
    random: Random,
    shared: Arc<Shared>,
    under_way: BinaryHeap<UnderWay>,
    count: u64,
}

const NEAR_END: usize = 0;
const FAR_END: usize = 1;

impl Relay {
    fn run(mut self) {
        while !self.shared.done.load(Relaxed) {
            self.deliver();
            self.wait();
            for end in [NEAR_END, FAR_END] {
                self.take_in(end);
            }
        }
    }

    /// Until a packet is due or comes in, a while at most.
    fn wait(&self) {
        let longest = Duration::from_millis(10);
        let wait = self.under_way.peek().map_or(longest, |Reverse((due, ..))| {
            due.saturating_duration_since(Instant::now()).min(longest)
        });
        let mut polled = [&self.devices[0], &self.devices[1]].map(|device| libc::pollfd {
            fd: device.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) as _ };
        // SAFETY: the two descriptors and the time live through the call; there is no signal mask.
        unsafe { libc::ppoll(polled.as_mut_ptr(), 2, &raw const timeout, std::ptr::null()) };
    }

    fn take_in(&mut self, from: usize) {
        let mut buffer = [0; 2048];
        loop {
            let packet = match (&self.devices[from]).read(&mut buffer) {
                Ok(len) => &buffer[..len],
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("reading the device: {error}"),
            };
            // IPv6 announces itself on every device.
            let Some(segment) = Segment::parse(packet) else { continue };
            let now = Instant::now();
            *self.shared.last.lock().unwrap() = now;
            if from == NEAR_END && segment.is_syn() {
                self.shared.handshake.lock().unwrap()[0].get_or_insert(now);
            }
            let closed = self.shared.closed.load(Relaxed);
            let mut delay = self.weather.delay;
            if from == NEAR_END {
                let mut ledger = self.shared.ledger.lock().unwrap();
                ledger.sent(&segment);
                let (mut lost, mut held_back) = (false, false);
                if segment.has_payload() {
                    lost = self.random.of_thousand() < self.weather.lost;
                    held_back = self.random.of_thousand() < self.weather.held_back;
                }
                if lost || closed {
                    ledger.dropped(&segment);
                    continue;
                }
                if held_back {
                    ledger.held_back += 1;
                    delay += self.weather.longer;
                }
            } else if closed {
                continue;
            }
            self.count += 1;
            let due = Instant::now() + delay;
            self.under_way.push(Reverse((due, self.count, from, packet.to_vec())));
        }
    }

    fn deliver(&mut self) {
        while let Some(Reverse((due, ..))) = self.under_way.peek() {
            if *due > Instant::now() {
                return;
            }
            let Some(Reverse((_, _, from, packet))) = self.under_way.pop() else { return };
            let now = Instant::now();
            *self.shared.last.lock().unwrap() = now;
            let segment = Segment::parse(&packet).unwrap();
            if from == NEAR_END {
                self.shared.ledger.lock().unwrap().arrived(&segment);
            } else {
                if segment.is_syn() {
                    self.shared.handshake.lock().unwrap()[1].get_or_insert(now);
                }
                self.shared.ledger.lock().unwrap().acknowledged(&packet);
            }
            (&self.devices[1 - from]).write_all(&packet).unwrap();
        }
    }
}

/// A generator whose numbers follow from its seed (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn of_thousand(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % 1000
    }
}
