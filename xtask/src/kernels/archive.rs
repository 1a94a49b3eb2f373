//! The archive that a kernel unpacks as its first root directory: cpio, the kind called newc.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use super::{Trouble, command::trouble};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

pub(super) struct Archive {
    out: BufWriter<File>,
    entries: u32,
    directories: BTreeSet<String>,
}

impl Archive {
    pub(super) fn create(path: &Path) -> Result<Self, Trouble> {
        let file = File::create(path).map_err(|error| trouble("create", path, &error))?;
        let (out, directories) = (BufWriter::new(file), BTreeSet::new());
        Ok(Self { out, entries: 0, directories })
    }

    /// A file that may be run; the directories above it are made.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), Trouble> {
        self.directories_above(name)?;
        self.entry(name, PROGRAM, bytes)
    }

    pub(super) fn directory(&mut self, name: &str) -> Result<(), Trouble> {
        self.directories_above(&format!("{name}/"))
    }

    /// A file or symbolic link of this machine's.
    pub(super) fn copy(&mut self, name: &str, from: &Path) -> Result<(), Trouble> {
        if let Ok(to) = fs::read_link(from) {
            self.directories_above(name)?;
            return self.entry(name, LINK, to.as_os_str().as_encoded_bytes());
        }
        let bytes = fs::read(from).map_err(|error| trouble("read", from, &error))?;
        self.file(name, &bytes)
    }

    pub(super) fn finish(mut self) -> Result<(), Trouble> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush().map_err(|error| failed(&error))
    }

    fn directories_above(&mut self, name: &str) -> Result<(), Trouble> {
        for (end, _) in name.match_indices('/') {
            let directory = name.get(..end).unwrap_or_default();
            if self.directories.insert(directory.to_owned()) {
                self.entry(directory, DIRECTORY, &[])?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) -> Result<(), Trouble> {
        self.entries += 1;
        let size = u32::try_from(bytes.len())
            .map_err(|_| Trouble::Failed(format!("{name} is too long for an archive")))?;
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // Inode, mode, owner, group, links, time, size, four of devices, length of the name, sum.
        let numbers = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0]
            .map(|n| format!("{n:08X}"));
        let head = format!("070701{}{name}\0", numbers.concat());
        self.padded(head.as_bytes())
            .and_then(|()| self.padded(bytes))
            .map_err(|error| failed(&error))
    }

    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        let padding = bytes.len().next_multiple_of(4) - bytes.len();
        self.out.write_all(bytes)?;
        self.out.write_all([0; 4].get(..padding).unwrap_or_default())?;
        Ok(())
    }
}

fn failed(error: &io::Error) -> Trouble {
    Trouble::Failed(format!("cannot write the first root directory: {error}"))
}
