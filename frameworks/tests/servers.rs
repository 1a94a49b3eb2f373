//! Against real servers of databases, where they are installed.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use conniver::{CloseReason, Options, Report, Tracker};
use libtest_mimic::{Arguments, Trial};
use redis::{
    AsyncCommands as _, AsyncConnectionConfig, RedisConnectionInfo, aio::MultiplexedConnection,
};
use tempfile::TempDir;
use tokio_postgres::{Config, NoTls};

fn main() {
    let trial = |name, is_there: bool, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
        .with_ignored_flag(!is_there)
    };
    let trials = vec![
        trial("postgres_over_a_wrapped_connection", postgres_programs().is_some(), postgres),
        trial("redis_over_a_wrapped_connection", program("redis-server").is_some(), redis),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Where a program is, if it is installed.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Where Debian keeps the programs of the newest PostgreSQL.
fn postgres_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("initdb").is_file()).max()
}

/// A server that lives as long as this does, in a folder of its own.
struct Server {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log"));
            eprintln!("what the server at {} said: {}", self.address, log.unwrap_or_default());
        }
    }
}

impl Server {
    /// Starts a server on a port that is free, and waits until it answers.
    fn start(folder: TempDir, command: impl Fn(&Path, u16) -> Command) -> Self {
        let address = free_address();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = command(folder.path(), address.port());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = spawn(&mut command);
        let mut server = Self { child, address, folder };
        let began = Instant::now();
        while !answers(address) {
            let is_over = server.child.try_wait().unwrap().is_some();
            if is_over || began.elapsed() > Duration::from_secs(30) {
                let log = fs::read_to_string(server.folder.path().join("log")).unwrap();
                panic!("the server does not answer at {address}: {log}");
            }
            sleep(Duration::from_millis(20));
        }
        server
    }
}

/// What is started while a port is looked for would inherit what listens there, and answer until it has
/// become another program.
static STARTING: Mutex<()> = Mutex::new(());

fn free_address() -> SocketAddr {
    let _nobody_starts = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn spawn(command: &mut Command) -> Child {
    let _nobody_listens = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap()
}

/// Whether somebody does, and not the one that asks: where nobody listens on a port that programs are
/// given to connect from, a connection can be with itself, and then keeps the server from the port.
fn answers(address: SocketAddr) -> bool {
    std::net::TcpStream::connect(address)
        .is_ok_and(|stream| stream.local_addr().is_ok_and(|own| own != address))
}

/// Keeps the reports.
fn reports() -> (Arc<Mutex<Vec<Report>>>, impl Fn(&Report) + Send + Sync + 'static) {
    let reports = Arc::<Mutex<Vec<Report>>>::default();
    let sink = Arc::clone(&reports);
    (reports, move |report: &Report| sink.lock().unwrap().push(report.clone()))
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}

fn postgres() {
    let programs = postgres_programs().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL refuses to run as the superuser.
    let is_root = nobody_owns(folder.path());
    let command = |name| {
        let mut command = Command::new(programs.join(name));
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let mut initdb = command("initdb");
    initdb.args(["--auth=trust", "--username=conniver", "--no-sync", "--pgdata"]);
    initdb.arg(folder.path().join("data")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let made = spawn(&mut initdb).wait_with_output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Server::start(folder, |folder, port| {
        let mut command = command("postgres");
        command.arg("-D").arg(folder.join("data")).arg("-F").arg("-k").arg(folder);
        command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        command
    });

    let (reports, observer) = reports();
    let tracker = Tracker::new();
    let options = Options::new().category("postgres").tracker(&tracker).observer(observer);
    run(async {
        let mut config = Config::new();
        config.user("conniver").dbname("postgres");
        let connector = options.connector().nodelay(true);
        // It answers connections before it is ready for users.
        let began = Instant::now();
        let (client, driver, handle) = loop {
            let conn = connector.connect_tokio(server.address).await.unwrap();
            let handle = conn.handle();
            match config.connect_raw(conn, NoTls).await {
                Ok((client, driver)) => break (client, driver, handle),
                Err(error) if began.elapsed() > Duration::from_secs(30) => panic!("{error:?}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        let driver = tokio::spawn(driver);

        let mark = handle.mark();
        let row =
            client.query_one("SELECT repeat('x', 1000000), pg_sleep(0.1)", &[]).await.unwrap();
        let difference = mark.difference();
        assert_eq!(row.get::<_, &str>(0).len(), 1_000_000);
        assert!((1_000_000..1_010_000).contains(&difference.rx_bytes), "{difference:?}");
        assert!(difference.took >= Duration::from_millis(100), "{difference:?}");
        assert!(!difference.is_shared);

        // The server's own opinion of who we are.
        let row = client.query_one("SELECT inet_client_port()", &[]).await.unwrap();
        let port: i32 = row.get(0);
        assert_eq!(handle.local_addr().map(|addr| i32::from(addr.port())), Some(port));
        drop(client);
        driver.await.unwrap().unwrap();
    });
    let reports = reports.lock().unwrap();
    // The server closes when it is told goodbye, and so do we.
    let reason = reports.last().unwrap().reason;
    assert!([CloseReason::LocalClose, CloseReason::PeerClose].contains(&reason), "{reason:?}");
    assert_eq!(tracker.totals().closed(), reports.len() as u64);
}

fn redis() {
    let server = Server::start(tempfile::tempdir().unwrap(), |folder, port| {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]);
        command.arg(folder);
        command
    });
    let (reports, observer) = reports();
    let options = Options::new().category("redis").observer(observer);
    let mut attempts = 1;
    run(async {
        let connector = options.connector().nodelay(true);
        let info = RedisConnectionInfo::default();
        // It, too, answers before it is ready.
        let began = Instant::now();
        let (handle, mut redis, driver) = loop {
            let conn = connector.connect_tokio(server.address).await.unwrap();
            let handle = conn.handle();
            let config = AsyncConnectionConfig::new();
            match MultiplexedConnection::new_with_config(&info, conn, config).await {
                Ok((redis, driver)) => break (handle, redis, driver),
                Err(error) => {
                    assert!(began.elapsed() < Duration::from_secs(30), "{error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    attempts += 1;
                }
            }
        };
        let driver = tokio::spawn(driver);
        let mark = handle.mark();
        redis.set::<_, _, ()>("key", vec![b'x'; 100_000]).await.unwrap();
        let value: Vec<u8> = redis.get("key").await.unwrap();
        assert_eq!(value.len(), 100_000);
        let difference = mark.difference();
        assert!((100_000..100_200).contains(&difference.tx_bytes), "{difference:?}");
        assert!((100_000..100_200).contains(&difference.rx_bytes), "{difference:?}");

        // The server's own opinion of who we are.
        let who: String = redis::cmd("CLIENT").arg("INFO").query_async(&mut redis).await.unwrap();
        assert!(who.contains(&format!(" addr={} ", handle.local_addr().unwrap())), "{who}");
        drop(redis);
        driver.await.unwrap();
    });
    assert_eq!(reports.lock().unwrap().len(), attempts);
}

const NOBODY: u32 = 65534;

/// Gives a folder to the user nobody, if we may; that is, if we are the superuser.
fn nobody_owns(folder: &Path) -> bool {
    std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).is_ok()
}
