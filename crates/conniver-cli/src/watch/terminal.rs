//! The terminal, which is always given back as it was.

use std::{
    io::{self, BufWriter, Stdout, Write},
    panic,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        execute, queue,
        style::ResetColor,
        terminal::{
            Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
            enable_raw_mode,
        },
    },
};

/// Whether the terminal is not as it was.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// What a thread said that has no screen of its own, when it came to its end.
static LAST_WORDS: Mutex<Option<String>> = Mutex::new(None);

/// The terminal as long as something is drawn on it.
///
/// What is written is collected, so that each picture arrives at once.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Out>>,
}

/// What is drawn on, of which nobody needs to know any more whether it takes something when it was given
/// back: the library would complain on a standard error that has gone with it, and panic.
#[derive(Debug)]
struct Out(BufWriter<Stdout>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).or_else(|error| Self::unless_given_back(error).map(|()| bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().or_else(Self::unless_given_back)
    }
}

impl Out {
    fn unless_given_back(error: io::Error) -> io::Result<()> {
        if IS_TAKEN.load(Ordering::SeqCst) { Err(error) } else { Ok(()) }
    }
}

impl Screen {
    /// Takes the terminal. Whatever happens from now on, a panic included, it is given back.
    pub(crate) fn take() -> io::Result<Self> {
        give_back_on_panic();
        let screen = Self { terminal: blank()? };
        take()?;
        Ok(screen)
    }

    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(|_| ())
    }

    /// Gives the terminal back until it is [taken again](Self::resume).
    pub(crate) fn suspend(&mut self) {
        give_back();
    }

    /// Takes the terminal again, in whatever state somebody else left it.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.terminal = blank()?;
        // Whose mode is known is not put into raw mode again.
        let _ = disable_raw_mode();
        take()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// What another thread said when it panicked.
pub(crate) fn last_words() -> Option<String> {
    LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// As the terminal is when nothing is drawn on it.
fn blank() -> io::Result<Terminal<CrosstermBackend<Out>>> {
    let out = Out(BufWriter::with_capacity(64 << 10, io::stdout()));
    Terminal::new(CrosstermBackend::new(out))
}

/// Takes it, or takes it again: what was left on its other screen is seen by nobody in between.
fn take() -> io::Result<()> {
    // If one of them fails, the others are undone, too.
    let was_taken = IS_TAKEN.swap(true, Ordering::SeqCst);
    let taken = enable_raw_mode().and_then(|()| {
        let mut out = io::stdout().lock();
        if was_taken {
            queue!(out, LeaveAlternateScreen)?;
        }
        // The library's way to clear asks the terminal where the cursor is, and the answer would be
        // taken by who reads the keys.
        execute!(out, EnterAlternateScreen, Hide, Clear(ClearType::All))
    });
    if taken.is_err() {
        give_back();
    }
    taken
}

/// Once only: what came after would be written where the shell is.
fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // If the terminal has gone, there is nothing to give back.
        let _ = execute!(io::stdout(), ResetColor, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Before a panic is told of, the terminal must be able to show it.
fn give_back_on_panic() {
    let owner = thread::current().id();
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == owner {
            give_back();
            tell(panic);
        } else {
            // The owner may be drawing at this moment.
            *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic.to_string());
        }
    }));
}
