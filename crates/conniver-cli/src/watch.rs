//! `conniver watch`: connections as they are now, again and again, in a terminal.

mod connection;
mod draw;
mod field;
mod history;
mod line;
mod look;
mod signals;
mod state;
mod terminal;
#[cfg(test)]
mod tests;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anstream::ColorChoice;
use ratatui::crossterm::event::{self, Event};

use crate::{
    cli::{Color, WatchArgs},
    error::{Error, reason},
    output,
    process::Processes,
    run::complain,
};
use draw::Style;
use field::Field;
use look::{Look, Looker, Wanted};
use signals::Signal;
use state::{Sort, State, Wish};
use terminal::Screen;

pub(crate) fn run(arguments: &WatchArgs) -> Result<ExitCode, Error> {
    if arguments.columns.iter().any(|name| name == "help") {
        output::print(Field::help())?;
        return Ok(ExitCode::SUCCESS);
    }
    let fields = Field::named(&arguments.columns, arguments.process)?;
    let sort = Sort::parse(&arguments.sort)?;
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Error::usage(
            "watch needs a terminal for its input and output; elsewhere use \"conniver list\"",
        ));
    }
    let style = Style::new(output::has_color(match arguments.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::AlwaysAnsi,
        Color::Never => ColorChoice::Never,
    }));
    let filter = arguments.select.filter.join(" ");
    let mut watch = Watch {
        state: State::new(fields, sort, filter, arguments.interval),
        arguments: arguments.clone(),
        style,
        is_looking: false,
        next: Instant::now(),
    };
    // What makes no sense or is not permitted is said before the terminal is taken.
    let mut looker = Looker::default();
    let first = looker.look(&watch.wanted())?;
    watch.take_look(first);
    // Rates need a second one, for which nobody waits longer than he must.
    watch.next = Instant::now() + arguments.interval.min(Duration::from_secs(1));
    let ended = watch.run(looker);
    if let Some(why) = watch.state.processes().and_then(Processes::missed) {
        complain(&why);
    }
    ended
}

/// What happens.
#[derive(Debug)]
enum Happening {
    Input(Event),
    /// There is no input any more.
    InputLost(io::Error),
    #[cfg_attr(not(unix), allow(dead_code, reason = "there are none"))]
    Signal(Signal),
    Look(Result<Look, Error>),
    /// A thread has come to its end, which none does by itself.
    Broken,
}

/// Everything but the terminal.
#[derive(Debug)]
struct Watch {
    state: State,
    arguments: WatchArgs,
    style: Style,
    is_looking: bool,
    /// When to look.
    next: Instant,
}

impl Watch {
    fn run(&mut self, looker: Looker) -> Result<ExitCode, Error> {
        let (tell, happenings) = mpsc::channel();
        let (ask, wanted) = mpsc::channel();
        signals::listen(tell.clone()).map_err(|error| {
            Error::failure(format!("cannot listen to signals: {}", reason(&error)))
        })?;
        let mut screen = Screen::take().map_err(|error| lost(&error))?;
        start("look", &tell, move |tell| {
            looker.serve(&wanted, |look| drop(tell.send(Happening::Look(look))));
        })?;
        start("input", &tell, read_input)?;
        let ended = self.follow(&mut screen, &happenings, &ask);
        drop(screen);
        if let Some(words) = terminal::last_words() {
            complain(&words);
            return Ok(ExitCode::from(PANICKED));
        }
        ended
    }

    /// Does what happens asks for, until it is over.
    fn follow(
        &mut self,
        screen: &mut Screen,
        happenings: &Receiver<Happening>,
        ask: &Sender<Wanted>,
    ) -> Result<ExitCode, Error> {
        loop {
            screen
                .draw(|frame| draw::draw(&mut self.state, self.style, frame))
                .map_err(|error| lost(&error))?;
            let mut happening = self.wait(happenings, ask);
            while let Some(what) = happening {
                if let Some(code) = self.take(what, screen)? {
                    return Ok(code);
                }
                // What has happened meanwhile is drawn at once.
                happening = happenings.try_recv().ok();
            }
        }
    }

    /// Waits for something to happen, and sees to it that looks are taken in time.
    fn wait(
        &mut self,
        happenings: &Receiver<Happening>,
        ask: &Sender<Wanted>,
    ) -> Option<Happening> {
        loop {
            let now = Instant::now();
            let is_due = !self.is_looking && !self.state.is_paused();
            if is_due && self.next <= now {
                self.is_looking = true;
                self.next = now + self.arguments.interval;
                // If nobody takes it, that has been told.
                let _ = ask.send(self.wanted());
            }
            let timeout = match is_due && !self.is_looking {
                true => self.next.saturating_duration_since(now).min(LONGEST_WAIT),
                false => LONGEST_WAIT,
            };
            match happenings.recv_timeout(timeout) {
                Ok(happening) => return Some(happening),
                Err(RecvTimeoutError::Timeout) if timeout < LONGEST_WAIT => {}
                // It may be that the terminal has gone, which shows when something is drawn.
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return Some(Happening::Broken),
            }
        }
    }

    fn take(
        &mut self,
        happening: Happening,
        screen: &mut Screen,
    ) -> Result<Option<ExitCode>, Error> {
        let wish = match happening {
            Happening::Input(Event::Key(key)) => self.state.take_key(key),
            Happening::Input(Event::Resize(..)) => {
                self.state.scroll.widths.clear();
                Wish::Nothing
            }
            Happening::Input(_) => Wish::Nothing,
            Happening::InputLost(error) => return Err(lost(&error)),
            Happening::Signal(signal) => match signal {
                Signal::End(number) => return Ok(Some(ExitCode::from(128 + number))),
                Signal::Suspend => Wish::Suspend,
                Signal::Continue => Wish::Redraw,
            },
            Happening::Look(look) => {
                self.is_looking = false;
                match look {
                    // Of one that was under way when it was paused nothing is shown.
                    Ok(_) if self.state.is_paused() => {}
                    Ok(look) => self.take_look(look),
                    Err(error) => self.state.fail(error.to_string()),
                }
                Wish::Nothing
            }
            Happening::Broken => return Ok(Some(ExitCode::from(PANICKED))),
        };
        match wish {
            Wish::Nothing => {}
            Wish::Look => self.next = Instant::now(),
            Wish::Redraw => screen.resume().map_err(|error| lost(&error))?,
            Wish::Suspend => {
                screen.suspend();
                signals::stop();
                screen.resume().map_err(|error| lost(&error))?;
                self.next = Instant::now();
            }
            Wish::Quit => return Ok(Some(ExitCode::SUCCESS)),
            Wish::Interrupt => return Ok(Some(ExitCode::from(130))),
        }
        Ok(None)
    }

    fn take_look(&mut self, look: Look) {
        // Where a look takes longer than the time between looks, half of the time is left to others.
        self.next = self.next.max(Instant::now() + look.took.min(LONGEST_WAIT));
        self.state.apply(look);
    }

    fn wanted(&self) -> Wanted {
        let mut select = self.arguments.select.clone();
        select.filter = vec![self.state.filter().to_owned()];
        Wanted { select, has_holders: self.state.needs_holders(), filter: self.state.filters() }
    }
}

/// As Rust's runtime ends a program that panicked.
const PANICKED: u8 = 101;

const LONGEST_WAIT: Duration = Duration::from_secs(5);

fn lost(error: &io::Error) -> Error {
    Error::failure(format!("the terminal is lost: {}", reason(error)))
}

fn read_input(tell: &Sender<Happening>) {
    loop {
        let happening = match event::read() {
            Ok(event) => Happening::Input(event),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = tell.send(Happening::InputLost(error));
                return;
            }
        };
        if tell.send(happening).is_err() {
            return;
        }
    }
}

/// Starts a thread, whose panic is told.
fn start(
    name: &str,
    tell: &Sender<Happening>,
    work: impl FnOnce(&Sender<Happening>) + Send + 'static,
) -> Result<(), Error> {
    struct Telling(Sender<Happening>);
    impl Drop for Telling {
        fn drop(&mut self) {
            if thread::panicking() {
                let _ = self.0.send(Happening::Broken);
            }
        }
    }
    let telling = Telling(tell.clone());
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let telling = telling;
        work(&telling.0);
    });
    started
        .map(drop)
        .map_err(|error| Error::failure(format!("cannot start a thread: {}", reason(&error))))
}
