//! What a network namespace calls its interfaces.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use crate::{Namespace, sys::Links};

/// How the interfaces of a network namespace are called, of which the kernel tells the
/// [numbers](crate::Entry::interface).
///
/// Nothing is opened or asked before the first question, and an answer is kept for a second: names come
/// and go. For text see [`Entry::local_end`](crate::Entry::local_end), and
/// [`Filter::parse`](crate::Filter::parse) for the other way.
///
/// ```
/// use sockdiag::Interfaces;
///
/// let interfaces = Interfaces::of_thread();
/// if let Some(index) = interfaces.index("lo") {
///     assert_eq!(interfaces.name(index).unwrap(), "lo");
/// }
/// assert_eq!(Interfaces::unnamed().name(1), None);
/// ```
#[derive(Debug)]
pub struct Interfaces {
    place: Place,
    /// None in it if nobody can be asked.
    links: OnceLock<Option<Links>>,
    known: Mutex<Known>,
}

#[derive(Debug)]
enum Place {
    Nowhere,
    Thread,
    In(Namespace),
}

#[derive(Debug)]
struct Known {
    since: Option<Instant>,
    names: BTreeMap<u32, Option<InterfaceName>>,
}

/// So long a name is taken for what the interface is called.
const KEPT: Duration = Duration::from_secs(1);

impl Interfaces {
    /// Names that nobody knows, for sockets of another machine.
    pub const fn unnamed() -> Self {
        Self::at(Place::Nowhere)
    }

    /// Those of the network namespace in which the thread is that asks first.
    pub const fn of_thread() -> Self {
        Self::at(Place::Thread)
    }

    /// Those of another network namespace. Where it cannot be entered, no name is known.
    pub const fn of(namespace: Namespace) -> Self {
        Self::at(Place::In(namespace))
    }

    const fn at(place: Place) -> Self {
        let known = Known { since: None, names: BTreeMap::new() };
        Self { place, links: OnceLock::new(), known: Mutex::new(known) }
    }

    fn links(&self) -> Option<&Links> {
        let open = || match &self.place {
            Place::Nowhere => None,
            Place::Thread => Links::open(),
            Place::In(namespace) => namespace.within(|| Ok(Links::open())).ok().flatten(),
        };
        self.links.get_or_init(open).as_ref()
    }

    /// What the interface of this number is called; `None` if there is none such any more, or nobody can
    /// be asked.
    pub fn name(&self, index: u32) -> Option<InterfaceName> {
        let links = self.links()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.since.is_none_or(|since| since.elapsed() > KEPT) {
            known.names.clear();
            known.since = Some(Instant::now());
        }
        let ask = || links.name(index, InterfaceName::new).flatten();
        *known.names.entry(index).or_insert_with(ask)
    }

    /// The number of the interface that is called so now.
    pub fn index(&self, name: &str) -> Option<u32> {
        self.links()?.index(name)
    }
}

/// The name of a network interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterfaceName {
    bytes: [u8; Self::MOST_BYTES],
    len: u8,
}

impl InterfaceName {
    /// `IFNAMSIZ` without the zero at the end.
    const MOST_BYTES: usize = 15;

    fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; Self::MOST_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self { bytes, len: u8::try_from(name.len()).ok()? })
    }

    /// As text. Whoever names an interface may have put control characters there.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl PartialEq<str> for InterfaceName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for InterfaceName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
