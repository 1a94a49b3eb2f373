//! Sockets of a file.

use std::{fs::File, io, ops::ControlFlow, path::Path};

use sockdiag::{Dump, Entry, EntryBuf, Lookup, Replay};

use crate::{
    cgroup,
    error::{Error, reason},
};

/// A file that is read once, from its beginning.
pub(crate) struct Recording {
    name: String,
    replay: Replay<Box<dyn io::Read>>,
}

impl Recording {
    /// Reads the beginning; "-" is the standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        cgroup::are_elsewhere();
        let (name, reader): (_, Box<dyn io::Read>) = if super::is_dash(path) {
            ("the standard input".to_owned(), Box::new(io::stdin().lock()))
        } else {
            let name = path.to_string_lossy().into_owned();
            let failed = |error| Error::failure(format!("cannot read {name}: {}", reason(&error)));
            let file = File::open(path).map_err(failed)?;
            (name, Box::new(file))
        };
        let replay = Replay::open(reader).map_err(|error| told(&name, error))?;
        Ok(Self { name, replay })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Gives every socket of a list to a function, until it has enough.
    pub(crate) fn for_each(
        &mut self,
        dump: &Dump,
        take: &mut dyn FnMut(Entry<'_>) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let name = &self.name;
        let mut entries = self.replay.dump(dump).map_err(|error| told(name, error))?;
        while let Some(entry) = entries.next() {
            if take(entry.map_err(|error| told(name, error))?)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The connection that is looked for.
    pub(crate) fn lookup(&mut self, lookup: &Lookup) -> Result<Option<EntryBuf>, Error> {
        let found = self.replay.lookup(lookup).map(|found| found.map(|entry| entry.to_buf()));
        found.map_err(|error| told(&self.name, error))
    }
}

/// In which file it is.
fn told(name: &str, error: sockdiag::Error) -> Error {
    match Error::from(error) {
        Error::Failure(why) => Error::Failure(format!("{name}: {why}")),
        other => other,
    }
}
