//! Where sockets come from: the kernel, here or in another network namespace, or a recording.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use sockdiag::{Dump, Entry, Filter, Namespace, Recorder, SockDiag, States, Tell};

use crate::{
    cli::{EndArgs, Family, Network, Ports, SelectArgs},
    draft::Draft,
    error::Error,
    interface, output, process, user,
};
use halves::{SAMPLE, halves};
pub(crate) use recording::Recording;

mod halves;
mod recording;

/// Sockets that are meant, and what is to be told of them.
#[derive(Debug)]
pub(crate) struct Source {
    dump: Dump,
    filter: Filter,
    place: Place,
    /// Those of one process are meant.
    inodes: Option<BTreeSet<u32>>,
}

/// Why nobody is looked for who holds a socket of a file.
pub(crate) const NOT_RECORDED: &str = "a file does not say which processes held its sockets, and on this machine other sockets may \
     have their numbers; leave --process, --pid and columns of processes out";

/// Where sockets are.
#[derive(Debug)]
enum Place {
    /// In the kernel, in this network namespace or another.
    Kernel(Option<Namespace>),
    Recorded(PathBuf),
}

/// What becomes of sockets: of all in one go, or in several parts at the same time.
pub(crate) trait Work: Sync {
    /// What one part has made so far.
    type Part: Send;

    /// Begins, one of so many parts.
    fn begin(&self, parts: usize) -> Self::Part;

    /// Takes one more socket, and says whether more are wanted.
    fn take(&self, part: &mut Self::Part, entry: Entry<'_>) -> Result<ControlFlow<()>, Error>;

    /// Sees the end of the part, whether or not something failed.
    fn end(&self, part: &mut Self::Part) -> Result<(), Error>;
}

impl Source {
    /// The sockets that these arguments mean, each told of as far as is wanted.
    pub(crate) fn new(select: &SelectArgs, tell: Tell) -> Result<Self, Error> {
        let mut dump = Dump::new().states(states(select)?).tell(tell);
        match select.family.chosen() {
            Some(Family::Ipv4) => dump = dump.family(sockdiag::Family::Ipv4),
            Some(Family::Ipv6) => dump = dump.family(sockdiag::Family::Ipv6),
            None => {}
        }
        if select.pid.is_some() && select.from.is_some() {
            return Err(Error::usage(NOT_RECORDED));
        }
        let inodes = select.pid.map(process::inodes_of).transpose()?;
        let place = match (&select.netns, &select.from) {
            (Some(name), _) => Place::Kernel(Some(namespace(name)?)),
            (None, Some(path)) => Place::Recorded(path.clone()),
            (None, None) => Place::Kernel(None),
        };
        Ok(Self { dump, filter: filter(select)?, place, inodes })
    }

    /// Gives every socket to a function, until it has enough.
    pub(crate) fn for_each(
        &self,
        mut take: impl FnMut(Entry<'_>) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        self.take_all(&self.filter, &AtomicBool::new(false), &mut take)
    }

    /// Does the work with every socket, in up to so many parts at the same time.
    ///
    /// Most of the time goes by in the kernel, which goes through its table for one caller as fast as
    /// for several.
    pub(crate) fn work<W: Work>(&self, work: &W, most_parts: usize) -> Result<Vec<W::Part>, Error> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let sample = if most_parts.min(processors) < 2 { None } else { self.sample()? };
        let filters = match sample {
            None => vec![self.filter.clone()],
            Some(mut ports) => halves(&mut ports).map(|half| self.filter.clone().and(half)).into(),
        };
        let is_over = AtomicBool::new(false);
        let parts = filters.len();
        let do_part = |filter: &Filter| {
            let mut part = work.begin(parts);
            let taken = self.take_all(filter, &is_over, &mut |entry| work.take(&mut part, entry));
            if taken.is_err() {
                is_over.store(true, Ordering::Relaxed);
            }
            let ended = work.end(&mut part);
            taken.and(ended).map(|()| part)
        };
        let Some((first, others)) = filters.split_first() else { return Ok(Vec::new()) };
        let done: Vec<_> = thread::scope(|scope| {
            let others: Vec<_> =
                others.iter().map(|filter| scope.spawn(|| do_part(filter))).collect();
            let first = do_part(first);
            let others = others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            [first].into_iter().chain(others).collect()
        });
        done.into_iter().collect()
    }

    /// The ports of the first sockets that come, local and remote. None if they are so few that one part
    /// has them sooner than two would, or lie in a file, which is read once.
    fn sample(&self) -> Result<Option<[Vec<u16>; 2]>, Error> {
        let Place::Kernel(namespace) = &self.place else { return Ok(None) };
        let mut diag = open(namespace.as_ref())?;
        // Whatever the filter is: it may have the kernel look long for few.
        let mut entries = diag.dump(&self.dump.clone().tell(Tell::NOTHING))?;
        let mut ports = [(); 2].map(|()| Vec::with_capacity(SAMPLE));
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let [local, remote] = &mut ports;
            local.push(entry.local_addr().port());
            remote.push(entry.remote_addr().port());
            if local.len() == SAMPLE {
                return Ok(Some(ports));
            }
        }
        Ok(None)
    }

    fn take_all(
        &self,
        filter: &Filter,
        is_over: &AtomicBool,
        take: &mut dyn FnMut(Entry<'_>) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let mut take = |entry: Entry<'_>| {
            if let Some(inodes) = &self.inodes
                && !entry.inode().is_some_and(|inode| inodes.contains(&inode))
            {
                return Ok(ControlFlow::Continue(()));
            }
            if is_over.load(Ordering::Relaxed) { Ok(ControlFlow::Break(())) } else { take(entry) }
        };
        let dump = self.dump.clone().filter(filter);
        let mut diag = match &self.place {
            Place::Kernel(namespace) => open(namespace.as_ref())?,
            Place::Recorded(path) => return Recording::open(path)?.for_each(&dump, &mut take),
        };
        let mut entries = diag.dump(&dump)?;
        while let Some(entry) = entries.next() {
            if take(entry?)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Writes what is told of every socket to a file, which is there when it is complete, or with "-" to
    /// the standard output.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        if is_dash(path) {
            let failed = |error: io::Error| output::failed(&error);
            return self.record(io::stdout().lock(), &failed).map(drop);
        }
        let failed = |error: io::Error| Error::output(&path.display().to_string(), &error);
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            // A pipe or a device.
            let file = File::options().write(true).open(path).map_err(failed)?;
            return self.record(file, &failed).map(drop);
        }
        let draft = Draft::of(path).map_err(failed)?;
        self.record(draft.file(), &failed)?;
        draft.publish().map_err(failed)
    }

    fn record<W: io::Write>(
        &self,
        writer: W,
        failed: &dyn Fn(io::Error) -> Error,
    ) -> Result<W, Error> {
        let writer = BufWriter::with_capacity(128 << 10, writer);
        let mut recorder = Recorder::new(writer, &self.dump);
        self.for_each(|entry| {
            recorder.write(&entry).map_err(failed)?;
            Ok(ControlFlow::Continue(()))
        })?;
        let writer = recorder.finish().map_err(failed)?;
        writer.into_inner().map_err(|error| failed(error.into_error()))
    }
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A socket for questions, in this network namespace or another.
pub(crate) fn open(namespace: Option<&Namespace>) -> Result<SockDiag, Error> {
    Ok(match namespace {
        None => SockDiag::open()?,
        Some(namespace) => SockDiag::open_in(namespace)?,
    })
}

trait FromText {
    fn text(text: &str) -> Self;
}

impl FromText for Filter {
    /// A text that was put together of numbers, which is understood.
    fn text(text: &str) -> Self {
        text.parse().unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }
}

/// The states that are meant: those that `ss` shows, too, if nothing is said.
fn states(select: &SelectArgs) -> Result<States, Error> {
    use tcpinfo::State::{Listen, NewSynRecv, SynRecv, TimeWait};

    let mut states = States::NONE;
    for name in &select.states {
        states |= States::named(name.trim()).ok_or_else(|| {
            let all: Vec<_> = States::ALL.iter().map(|state| state.name()).collect();
            Error::usage(format!(
                "there is no state {name:?}; there are {}, and the groups all, connected, \
                 synchronized, bucket and big",
                all.join(", ")
            ))
        })?;
    }
    Ok(match states {
        some if !some.is_empty() => some,
        _ if select.listening => States::of(Listen),
        _ if select.all || names_states(&select.filter) => States::ALL,
        _ => [TimeWait, SynRecv, NewSynRecv]
            .into_iter()
            .fold(States::CONNECTED, |states, state| states.without(States::of(state))),
    })
}

/// Whether a filter chooses states itself.
fn names_states(filter: &[String]) -> bool {
    let is_of_states = |word: &str| matches!(word, "state" | "exclude");
    filter.iter().flat_map(|part| part.split([' ', '\t', '\n', '(', ')', '!'])).any(is_of_states)
}

/// All conditions in one.
pub(crate) fn filter(select: &SelectArgs) -> Result<Filter, Error> {
    let mut filter = interface::filter(&select.filter.join(" "), select)?;
    let either = |local: Filter, remote: Filter| local.or(remote);
    let EndArgs { port, local_port, remote_port, address, local, remote } = select.ends;
    let ports = [
        port.map(|ports| either(local_ports(ports), remote_ports(ports))),
        local_port.map(local_ports),
        remote_port.map(remote_ports),
    ];
    let networks = [
        address.map(|network| either(local_network(network), remote_network(network))),
        local.map(local_network),
        remote.map(remote_network),
    ];
    for condition in ports.into_iter().chain(networks).flatten() {
        filter = filter.and(condition);
    }
    if let Some(name) = &select.user {
        filter = filter.and(Filter::text(&format!("uid = {}", user::wanted(name)?)));
    }
    Ok(filter)
}

fn local_ports(Ports { first, last }: Ports) -> Filter {
    match first == last {
        true => Filter::local_port(first),
        false => Filter::text(&format!("sport >= :{first} and sport <= :{last}")),
    }
}

fn remote_ports(Ports { first, last }: Ports) -> Filter {
    match first == last {
        true => Filter::remote_port(first),
        false => Filter::text(&format!("dport >= :{first} and dport <= :{last}")),
    }
}

fn local_network(Network { address, len }: Network) -> Filter {
    Filter::local_net(address, len)
}

fn remote_network(Network { address, len }: Network) -> Filter {
    Filter::remote_net(address, len)
}

/// A process by its number, a path, or a name of `ip netns`.
pub(crate) fn namespace(name: &str) -> Result<Namespace, Error> {
    if name.contains('/') {
        return Ok(Namespace::at(name));
    }
    if let Ok(pid) = name.parse() {
        return Ok(Namespace::of_process(pid));
    }
    Namespace::named(name)
        .ok_or_else(|| Error::usage(format!("{name:?} is not the name of a network namespace")))
}
