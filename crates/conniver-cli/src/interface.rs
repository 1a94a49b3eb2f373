//! What interfaces are called in the network namespace that is looked at. A process looks at one.

use std::sync::OnceLock;

use sockdiag::{Filter, Interfaces, Namespace};

use crate::{cli::SelectArgs, error::Error, source};

static UNNAMED: Interfaces = Interfaces::unnamed();
static NAMES: OnceLock<Interfaces> = OnceLock::new();

/// The names; none before it was said where sockets come from.
pub(crate) fn names() -> &'static Interfaces {
    NAMES.get().unwrap_or(&UNNAMED)
}

/// The names where these sockets come from.
pub(crate) fn names_of(select: &SelectArgs) -> Result<&'static Interfaces, Error> {
    if select.netns.is_none() && select.from.is_some() {
        return Ok(names_of_file());
    }
    let namespace = select.netns.as_deref().map(source::namespace).transpose()?;
    Ok(names_in(namespace))
}

/// A file has none, and those of this machine may be others.
pub(crate) fn names_of_file() -> &'static Interfaces {
    NAMES.get_or_init(Interfaces::unnamed)
}

/// Those of a network namespace, or else of that in which the command runs.
pub(crate) fn names_in(namespace: Option<Namespace>) -> &'static Interfaces {
    NAMES.get_or_init(|| namespace.map_or_else(Interfaces::of_thread, Interfaces::of))
}

/// The number of an interface of the network namespace that is looked at, by its name, its number, or as
/// it is shown if it has no name.
pub(crate) fn number(text: &str) -> Option<u32> {
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| Some(text).filter(is_number)?.parse().ok();
    let known = names().index(text).or_else(|| number(text));
    let known = known.or_else(|| number(text.strip_prefix("if")?));
    known.filter(|index| *index != 0)
}

/// Reads a filter in which interfaces are called as they are there.
pub(crate) fn filter(text: &str, select: &SelectArgs) -> Result<Filter, Error> {
    Filter::parse(text, names_of(select)?).or_else(|error| {
        // It may be that nobody could be asked.
        if let Some(name) = &select.netns {
            source::open(Some(&source::namespace(name)?))?;
        }
        Err(Error::Unreadable(error.to_string()))
    })
}
