//! What interfaces are called in the network namespace that is looked at. A process looks at one.

use std::sync::OnceLock;

use sockdiag::{Filter, Interfaces};

use crate::{cli::SelectArgs, error::Error, source};

static UNNAMED: Interfaces = Interfaces::unnamed();
static NAMES: OnceLock<Interfaces> = OnceLock::new();

/// The names; none before it was said where sockets come from.
pub(crate) fn names() -> &'static Interfaces {
    NAMES.get().unwrap_or(&UNNAMED)
}

/// The names where these sockets come from. A file has none, and those of this machine may be others.
pub(crate) fn names_of(select: &SelectArgs) -> Result<&'static Interfaces, Error> {
    let interfaces = match (&select.netns, &select.from) {
        (Some(name), _) => Interfaces::of(source::namespace(name)?),
        (None, Some(_)) => Interfaces::unnamed(),
        (None, None) => Interfaces::of_thread(),
    };
    Ok(NAMES.get_or_init(|| interfaces))
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
