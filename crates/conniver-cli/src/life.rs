//! `conniver life`: a line for each connection as it ends.
//!
//! One thread takes ends from the kernel and writes them, in pieces: whatever has come when nothing
//! more is there. Another looks up now and then who holds the connections that are open, because an
//! end does not tell.

mod column;
mod ended;
mod facts;
mod form;
mod known;
mod pace;
mod reason;
mod summary;

use std::{
    collections::{HashMap, VecDeque},
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use signal_hook::consts::{SIGINT, SIGTERM};
use sockdiag::{Entry, EntryBuf, Event, Events, Filter, Lookup, Namespace};

use crate::{
    cli::{LifeArgs, LifeFormat, Summary},
    column::Row,
    error::{Error, reason as words},
    output, process,
    run::complain,
    source, user,
};
use ended::{Ended, with_addresses};
use facts::{Age, Facts, Kind, Late};
use form::Form;
use known::{Known, Look, Looker, Looking, Seen, Whose};
use pace::{Pace, is_long_ago};
use reason::{Aftermath, Lateness, Room, Side};
use summary::Sums;

/// So much is written at once.
const PIECE_LEN: usize = 64 << 10;

/// So long it waits for an end before it looks whether it should end itself, or nobody reads any more.
const WAIT: Duration = Duration::from_millis(100);

/// So much later all is told that happened before an end.
const MOMENT: Duration = Duration::from_millis(20);

/// So often at most a loss is complained of.
const COMPLAINT: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &LifeArgs) -> Result<ExitCode, Error> {
    if arguments.columns.iter().any(|name| name == "help") {
        output::print(column::help())?;
        return Ok(ExitCode::SUCCESS);
    }
    let form = form(arguments)?;
    let filter = source::filter(&arguments.select())?;
    if filter.needs_kernel() {
        return Err(Error::usage("autobound can be asked of lists only: it is not told of an end"));
    }
    if filter.needs_net_admin() {
        return Err(Error::usage("fwmark can be asked of lists only: it is not told of an end"));
    }
    let namespace = arguments.netns.as_deref().map(source::namespace).transpose()?;
    // Of a process that is not there or not to be seen nothing would ever come.
    arguments.pid.map(process::inodes_of).transpose()?;
    let user = arguments.user.as_deref().map(user::wanted).transpose()?;
    let whose = Whose { pid: arguments.pid, user };
    let signals = Signals::new()?;
    let mut life = Life::begin(arguments, form, filter, whose, namespace)?;
    let stop = life.follow(arguments, &signals)?;
    life.end(arguments)?;
    Ok(stop)
}

fn form(arguments: &LifeArgs) -> Result<Form, Error> {
    let has_columns = arguments.no_header || !arguments.columns.is_empty();
    if arguments.format == LifeFormat::Jsonl && has_columns {
        let option = if arguments.no_header { "--no-header" } else { "--columns" };
        return Err(Error::usage(format!(
            "{option} is for the table and for csv; an object has all fields, by name"
        )));
    }
    if arguments.summary.is_some() && arguments.format == LifeFormat::Csv {
        return Err(Error::usage("a summary is text or jsonl"));
    }
    let is_csv = arguments.format == LifeFormat::Csv;
    let columns = column::named(&arguments.columns, is_csv)?;
    Ok(match arguments.format {
        _ if arguments.summary == Some(Summary::Only) => Form::Nothing,
        LifeFormat::Jsonl => Form::Jsonl,
        LifeFormat::Csv => Form::Csv(columns),
        LifeFormat::Table => {
            let width = output::width();
            match width.filter(|_| arguments.columns.is_empty()) {
                Some(width) => Form::table(column::fit(columns, width), Some(width)),
                None => Form::table(columns, width),
            }
        }
    })
}

/// What says from outside that it is over.
struct Signals {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let on = |signal| -> Result<Arc<AtomicBool>, Error> {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(|error| {
                Error::failure(format!("cannot listen for signals: {}", words(&error)))
            })?;
            Ok(flag)
        };
        Ok(Self { interrupt: on(SIGINT)?, terminate: on(SIGTERM)? })
    }

    /// The exit code, if one came.
    fn code(&self) -> Option<u8> {
        match () {
            () if self.interrupt.load(Ordering::Relaxed) => Some(130),
            () if self.terminate.load(Ordering::Relaxed) => Some(143),
            () => None,
        }
    }
}

/// Everything that is needed at an end.
struct Life {
    events: Events,
    pace: Pace,
    looking: Option<Looking>,
    known: Known,
    /// Whether it was said that not every process can be looked into, which once is enough.
    has_told_missed: bool,
    /// Ends of which more will be known in a moment.
    waiting: VecDeque<Waiting>,
    desk: Desk,
    begun: Instant,
    /// Losses that were not complained of yet, and when the last complaint was.
    owed: Option<Option<u64>>,
    complained: Option<Instant>,
}

/// What makes of an end what is shown.
struct Desk {
    looker: Looker,
    /// Ports of sockets that ended and may have listened, and when.
    once_listened: HashMap<u16, Instant>,
    /// When it was last looked who listens.
    listened: Instant,
    room: Room,
    lateness: Lateness,
    filter: Filter,
    whose: Whose,
    takes_all: bool,
    form: Form,
    sums: Sums,
    out: Vec<u8>,
    /// An end whose addresses were put back.
    patched: Vec<u8>,
    shown: u64,
}

/// When an end was told.
#[derive(Clone, Copy)]
struct Told {
    /// Since 1970.
    at: Duration,
    now: Instant,
    /// How long before it may have been, if that is not as usual.
    behind: Duration,
}

impl Told {
    /// Whether the machine may have forgotten of it by now.
    fn is_long_ago(self) -> bool {
        is_long_ago(self.behind + self.now.elapsed())
    }
}

struct Waiting {
    entry: EntryBuf,
    seen: Option<Seen>,
    told: Told,
}

impl Life {
    fn begin(
        arguments: &LifeArgs,
        form: Form,
        filter: Filter,
        whose: Whose,
        namespace: Option<Namespace>,
    ) -> Result<Self, Error> {
        // First of all, so that what ends while it looks around is told.
        let events = match &namespace {
            None => Events::open()?,
            Some(namespace) => Events::open_in(namespace)?,
        };
        let pace = Pace::new(Instant::now());
        let room = Room::new(match &arguments.netns {
            None => Some(PathBuf::from("/proc/thread-self/net/sockstat")),
            Some(pid) if pid.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(PathBuf::from(format!("/proc/{pid}/net/sockstat")))
            }
            Some(_) => None,
        });
        let mut looker = Looker::open(namespace, matches!(form, Form::Jsonl))?;
        let look = looker.look()?;
        let has_told_missed = tell_missed(&look);
        let mut known = Known::default();
        known.take(look);
        let looking = match arguments.refresh {
            Duration::ZERO => None,
            every => Some(Looking::begin(&looker, every)?),
        };
        let now = Instant::now();
        let desk = Desk {
            looker,
            once_listened: HashMap::new(),
            listened: now,
            room,
            lateness: Lateness::default(),
            filter,
            whose,
            takes_all: arguments.all,
            form,
            sums: Sums::default(),
            out: Vec::with_capacity(2 * PIECE_LEN),
            patched: Vec::new(),
            shown: 0,
        };
        let waiting = VecDeque::new();
        let (owed, complained) = (None, None);
        let begun = now;
        Ok(Self {
            events,
            pace,
            looking,
            known,
            has_told_missed,
            waiting,
            desk,
            begun,
            owed,
            complained,
        })
    }

    /// Takes ends until enough came, the time is over or a signal says so.
    fn follow(&mut self, arguments: &LifeArgs, signals: &Signals) -> Result<ExitCode, Error> {
        if !arguments.no_header {
            self.desk.form.put_header(&mut self.desk.out);
        }
        self.desk.flush()?;
        let most = arguments.count.unwrap_or(u64::MAX);
        let mut taken = 0_u64;
        let mut left = WAIT;
        loop {
            if taken.is_multiple_of(128) {
                if let Some(code) = signals.code() {
                    return Ok(ExitCode::from(code));
                }
                if output::is_unread() {
                    return Err(Error::Unwanted);
                }
                while let Some(look) = self.looking.as_ref().and_then(Looking::next) {
                    let look = look?;
                    self.has_told_missed = self.has_told_missed || tell_missed(&look);
                    self.known.take(look);
                }
                self.take_waiting(false, most);
                if self.complained.is_none_or(|complained| complained.elapsed() >= COMPLAINT) {
                    self.complain_of_losses();
                }
                if let Some(duration) = arguments.duration {
                    left = WAIT.min(duration.saturating_sub(self.begun.elapsed()));
                }
            }
            if self.desk.shown >= most {
                return Ok(ExitCode::SUCCESS);
            }
            if left.is_zero() {
                self.take_waiting(true, most);
                return Ok(ExitCode::SUCCESS);
            }
            taken += 1;
            // Whatever is there first, and then what it has come to is shown before it waits.
            let is_idle = !self.take(Duration::ZERO)?;
            if is_idle || self.desk.out.len() >= PIECE_LEN {
                self.desk.flush()?;
            }
            if is_idle {
                self.take(if self.waiting.is_empty() { left } else { left.min(MOMENT) })?;
                taken = 0;
            }
        }
    }

    /// Takes one event, and says whether there was one.
    fn take(&mut self, timeout: Duration) -> Result<bool, Error> {
        let event = self.events.next(Some(timeout))?;
        let now = Instant::now();
        self.pace.note(now, event.is_none());
        match event {
            None => return Ok(false),
            Some(Event::Ended(entry)) => {
                let told = Told { at: since_1970(), now, behind: self.pace.behind() };
                let seen = self.known.remove(entry.cookie());
                let is_clear = self.desk.take(&mut self.known, entry, seen.as_ref(), told, true);
                if !is_clear {
                    self.waiting.push_back(Waiting { entry: entry.to_buf(), seen, told });
                }
            }
            Some(Event::Lost { events, .. }) => self.lose(events),
            // Something that later versions tell of.
            Some(_) => {}
        }
        Ok(true)
    }

    /// Takes the ends that have waited for more to be known, while fewer were shown than that.
    fn take_waiting(&mut self, is_over: bool, most: u64) {
        while let Some(first) = self.waiting.front() {
            if self.desk.shown >= most || !is_over && first.told.now.elapsed() < MOMENT {
                return;
            }
            if let Some(Waiting { entry, seen, told }) = self.waiting.pop_front() {
                self.desk.take(&mut self.known, entry.entry(), seen.as_ref(), told, false);
            }
        }
    }

    fn lose(&mut self, events: Option<u32>) {
        self.desk.sums.lose(events);
        self.desk.form.put_loss(since_1970(), events, &mut self.desk.out);
        let events = events.map(u64::from);
        self.owed = Some(match self.owed {
            None => events,
            Some(before) => before.zip(events).map(|(before, events)| before + events),
        });
    }

    fn complain_of_losses(&mut self) {
        let Some(events) = self.owed.take() else { return };
        self.complained = Some(Instant::now());
        let what = match events {
            Some(1) => "the end of a socket was lost".to_owned(),
            Some(events) => format!("the ends of {events} sockets were lost"),
            None => "ends of sockets were lost".to_owned(),
        };
        complain(&format!(
            "{what}: they came faster than they were taken, and the kernel's buffer of {} bytes is \
             full; --summary=only takes them faster",
            self.events.buffer_bytes()
        ));
    }

    /// Says what is still to be said.
    fn end(mut self, arguments: &LifeArgs) -> Result<(), Error> {
        self.complain_of_losses();
        let Self { mut desk, begun, .. } = self;
        if arguments.summary.is_some() {
            let time = begun.elapsed();
            let text = match arguments.format {
                LifeFormat::Jsonl => desk.sums.json(time),
                LifeFormat::Table | LifeFormat::Csv => {
                    let is_below = desk.shown > 0 && !matches!(desk.form, Form::Nothing);
                    let gap = if is_below { "\n" } else { "" };
                    gap.to_owned() + &desk.sums.text(time)
                }
            };
            desk.out.extend_from_slice(text.as_bytes());
        }
        desk.flush()
    }
}

impl Desk {
    /// Shows an end, if it is wanted. Says no if that must wait, which it may be asked not to.
    fn take(
        &mut self,
        known: &mut Known,
        entry: Entry<'_>,
        seen: Option<&Seen>,
        told: Told,
        may_wait: bool,
    ) -> bool {
        let Some(info) = entry.native_tcp_info() else { return true };
        let facts = Facts::of(&info);
        let kind = facts.kind();
        let is_connection = matches!(kind, Kind::Connection | Kind::Aborted);
        if kind == Kind::Unused && entry.local_addr().port() != 0 {
            self.once_listened.insert(entry.local_addr().port(), told.now);
        }
        if !is_connection && !self.takes_all {
            return true;
        }
        if may_wait {
            self.lateness.note(&facts, told.now);
        }
        if !self.whose.includes(seen) {
            return true;
        }
        let late = self.lateness.at_most(&facts);
        let mut after = After { desk: self, known, entry, facts, late, told, may_wait };
        let Some(reason) = reason::reason(&facts, seen, &mut after) else { return false };
        let shown = match seen {
            Some(seen) if with_addresses(&entry, seen, &mut self.patched) => {
                Entry::from_bytes(&self.patched).unwrap_or(entry)
            }
            _ => entry,
        };
        if self.filter.matches(&shown) {
            let late = if reason.is_in_order() { Late::SinceAck } else { Late::AtMost(late) };
            let age = is_connection.then(|| age(&facts, seen, told, late));
            let holding = seen.and_then(|seen| seen.holding.as_ref());
            let row = Row { entry: shown, info: Some(info), holders: None };
            let end = Ended { row, at: told.at, age, reason, holding, facts };
            self.form.put(&end, &mut self.out);
            self.sums.take(&end);
            self.shown += 1;
        }
        true
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.out.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.out.clear();
        written.map_err(|error| output::failed(&error))
    }
}

/// Says why processes of connections were not found, if there are any.
fn tell_missed(look: &Look) -> bool {
    look.missed().inspect(|missed| complain(missed)).is_some()
}

/// How long a connection lived, by its last facts or by when it was seen.
fn age(facts: &Facts, seen: Option<&Seen>, told: Told, late: Late) -> Age {
    let earlier = match late {
        Late::SinceAck => facts.since_ack,
        Late::AtMost(late) => late.min(facts.since_ack),
    };
    let ended = told.now.checked_sub(earlier + told.behind).unwrap_or(told.now);
    let since_seen = seen.map(|seen| match seen.age(ended) {
        Age::Exact(time) if !told.behind.is_zero() => Age::AtLeast(time),
        age => age,
    });
    match (facts.age(late), since_seen) {
        (Age::Exact(time), _) | (_, Some(Age::Exact(time))) => Age::Exact(time),
        (Age::AtLeast(one), Some(Age::AtLeast(other))) => Age::AtLeast(one.max(other)),
        (least, None) => least,
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// What the machine says after the end of one connection.
struct After<'l, 'e> {
    desk: &'l mut Desk,
    known: &'l mut Known,
    entry: Entry<'e>,
    facts: Facts,
    late: Duration,
    told: Told,
    may_wait: bool,
}

impl Aftermath for After<'_, '_> {
    fn is_kept_back(&mut self) -> Option<bool> {
        let mut lookup = Lookup::new(self.entry.local_addr(), self.entry.remote_addr());
        if let Some(index) = self.entry.interface() {
            lookup = lookup.interface(index);
        }
        match self.desk.looker.diag().lookup(&lookup) {
            Ok(Some(entry)) if entry.is_mini() => Some(true),
            // Others use the addresses again already.
            Ok(Some(_)) | Err(_) => None,
            // They are not for ever.
            Ok(None) if self.told.is_long_ago() => None,
            Ok(None) => (!self.desk.room.is_scarce()).then_some(false),
        }
    }

    fn told_late(&self) -> Duration {
        self.late
    }

    fn side(&mut self) -> Side {
        let port = self.entry.local_addr().port();
        if self.known.listens(port) {
            return Side::Accepted;
        }
        if self.told.is_long_ago() {
            return Side::NotKnown;
        }
        if let Some(until) = self.desk.once_listened.get(&port) {
            // Of a listener that was there when the connection began.
            let (Age::Exact(age) | Age::AtLeast(age)) = self.facts.age(Late::AtMost(self.late));
            let begun = self.told.now.checked_sub(age);
            return if begun.is_some_and(|begun| begun <= *until) {
                Side::Accepted
            } else {
                Side::NotKnown
            };
        }
        if self.may_wait {
            return Side::Later;
        }
        if self.desk.listened < self.told.now {
            let Ok(listening) = self.desk.looker.listening() else { return Side::NotKnown };
            self.known.set_listening(listening);
            self.desk.listened = Instant::now();
            if self.known.listens(port) {
                return Side::Accepted;
            }
        }
        Side::Connected
    }
}
