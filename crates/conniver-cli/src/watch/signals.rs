//! What others ask of this process.

use std::{io, sync::mpsc::Sender};

use super::Happening;

/// What others ask of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "there are no signals"))]
pub(crate) enum Signal {
    /// To end, by the signal of this number.
    End(u8),
    /// To stop until it is continued.
    Suspend,
    /// It was stopped, by whomever, and goes on.
    Continue,
}

/// Tells of every signal.
#[cfg(unix)]
pub(crate) fn listen(tell: Sender<Happening>) -> io::Result<()> {
    use std::{process, thread};

    use signal_hook::{
        consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP},
        iterator::Signals,
    };

    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGCONT])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for number in &mut signals {
            let signal = match number {
                SIGTSTP => Signal::Suspend,
                SIGCONT => Signal::Continue,
                number => Signal::End(u8::try_from(number).unwrap_or_default()),
            };
            let is_told = tell.send(Happening::Signal(signal)).is_ok();
            if let Signal::End(_) = signal {
                // A terminal that takes nothing any more must not keep this process alive.
                if is_told {
                    thread::sleep(PATIENCE);
                }
                process::exit(128 + number);
            }
        }
    })?;
    Ok(())
}

#[cfg(unix)]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// There are none.
#[cfg(not(unix))]
pub(crate) fn listen(_: Sender<Happening>) -> io::Result<()> {
    Ok(())
}

/// Stops this process, until somebody continues it.
pub(crate) fn stop() {
    #[cfg(unix)]
    {
        // If the system does not let it stop, it goes on.
        let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP);
    }
}
