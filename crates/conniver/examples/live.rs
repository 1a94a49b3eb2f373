//! A server that shows all its live connections once a second, with what the kernel knows of each.
//!
//!     cargo run -p conniver --example live [ADDRESS]
//!
//! Connect with `nc`, `curl` or a browser; whatever is sent comes back.

use std::{env, io, net::TcpListener, thread, time::Duration};

use conniver::{Options, Order, Query, Rates, Report, Tracker, Watchdog};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let tracker = Tracker::new();
    let bare = TcpListener::bind(&address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address:?}: {error}"))
    })?;
    let listener = Options::new()
        .category("echo")
        .tracker(&tracker)
        .observer(|report: &Report| println!("ended: {report}"))
        .listener(bare)
        .back_off(true);
    println!("listening on {}", listener.local_addr()?);

    thread::spawn(move || show(&tracker));
    for conn in listener.incoming() {
        let conn = conn?;
        thread::spawn(move || io::copy(&mut &conn, &mut &conn));
    }
    Ok(())
}

fn show(tracker: &Tracker) {
    let query = Query::new().facts(true).order(Order::Oldest);
    let mut rates = Rates::new(tracker);
    let mut watchdog = Watchdog::new(tracker)
        .idle(Duration::from_secs(30))
        .half_closed(Duration::from_secs(10))
        .stalled(Duration::from_secs(5));
    loop {
        thread::sleep(Duration::from_secs(1));
        for (conn, rate) in rates.look(&query) {
            let rate = rate.map_or(0.0, |rate| rate.rx_bytes);
            println!("{conn} {rate:.0} B/s received");
        }
        watchdog.watch(|alarm| println!("attention: {alarm}"));
    }
}
