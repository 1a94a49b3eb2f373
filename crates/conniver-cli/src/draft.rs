//! A file that is there when it is complete, or not at all.

#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsRawFd as _;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// What becomes a file, and takes the place of another, when it is [published](Self::publish).
///
/// Until then it has no name where the system has such files, so that nothing is left behind however this
/// process ends. Elsewhere it has one beside the file, which is removed also if a signal ends the process.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    target: PathBuf,
    /// Its name until then, if it has one.
    partial: Option<PathBuf>,
}

impl Draft {
    pub(crate) fn of(target: &Path) -> io::Result<Self> {
        let target = target.to_owned();
        if let Some(file) = unnamed(&target) {
            return Ok(Self { file, target, partial: None });
        }
        #[cfg(unix)]
        let ends = signals::Ends::listen()?;
        let (file, partial) = beside(&target, |path| File::create_new(path))?;
        let draft = Self { file, target, partial: Some(partial.clone()) };
        #[cfg(unix)]
        ends.remove(partial)?;
        Ok(draft)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if self.partial.is_none() && link(&self.file, &self.target).is_ok() {
            return Ok(());
        }
        // The name of a file that is there cannot be given but by way of another.
        if self.partial.is_none() {
            let ((), partial) = beside(&self.target, |path| link(&self.file, path))?;
            self.partial = Some(partial);
        }
        if let Some(partial) = &self.partial {
            fs::rename(partial, &self.target)?;
            self.partial = None;
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // Nothing better can be done about a file that cannot be removed.
            let _ = fs::remove_file(partial);
        }
    }
}

/// Makes something under a name beside the file that nothing has, also where a killed process with the
/// same number, as in a container, has left one.
fn beside<T>(target: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    let mut number = std::process::id();
    loop {
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{number}.partial"));
        let path = PathBuf::from(name);
        match make(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = number.wrapping_add(1);
            }
            made => return Ok((made?, path)),
        }
    }
}

/// A file without a name in the folder of this one, if there can be such, and one can be given later.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn unnamed(target: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};

    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = open(folder.unwrap_or(Path::new(".")), flags, Mode::from_raw_mode(0o666)).ok()?;
    let file = File::from(file);
    shown(&file).symlink_metadata().is_ok().then_some(file)
}

/// Gives it a name, which no other file may have.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};

    Ok(linkat(CWD, shown(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn shown(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn unnamed(_: &Path) -> Option<File> {
    None
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
mod signals {
    use std::{fs, io, path::PathBuf, thread};

    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM},
        iterator::Signals,
        low_level::emulate_default_handler,
    };

    /// Signals that end this process, which they do as ever after a file was removed.
    pub(super) struct Ends(Signals);

    impl Ends {
        pub(super) fn listen() -> io::Result<Self> {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            Signals::new(heeded(&status)).map(Self)
        }

        /// Removes the file at the first that comes, or has come.
        pub(super) fn remove(mut self, path: PathBuf) -> io::Result<()> {
            let work = move || {
                if let Some(signal) = self.0.forever().next() {
                    let _ = fs::remove_file(path);
                    let _ = emulate_default_handler(signal);
                }
            };
            thread::Builder::new().name("signals".to_owned()).spawn(work).map(drop)
        }
    }

    /// Those that are not ignored, as in the background or under `nohup`, which to take over would undo.
    /// Where that is not told, SIGHUP is left alone.
    fn heeded(status: &str) -> Vec<i32> {
        let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
        let ignored = set.unwrap_or(1 << (SIGHUP - 1));
        let all = [SIGHUP, SIGINT, SIGTERM];
        all.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn signals_that_are_ignored_stay_so() {
            assert_eq!(heeded("Name:\tx\nSigIgn:\t0000000000001000\n"), [SIGHUP, SIGINT, SIGTERM]);
            assert_eq!(heeded("SigIgn:\t0000000000001003\n"), [SIGTERM]);
            assert_eq!(heeded(""), [SIGINT, SIGTERM]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_draft_is_there_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("list");
        let named = |target: &Path| {
            let (file, partial) = beside(target, |path| File::create_new(path)).unwrap();
            Draft { file, target: target.to_owned(), partial: Some(partial) }
        };
        let usual = |target: &Path| Draft::of(target).unwrap();
        for (make, text) in [(usual as fn(&Path) -> Draft, "one"), (named, "two"), (usual, "three")]
        {
            let draft = make(&target);
            draft.file().write_all(text.as_bytes()).unwrap();
            draft.publish().unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
            assert_eq!(names(folder.path()), ["list"]);
            let drafts = [usual(&target), named(&target), named(&target)];
            drafts.iter().for_each(|draft| draft.file().write_all(b"half").unwrap());
            drop(drafts);
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
            assert_eq!(names(folder.path()), ["list"]);
        }
        assert_eq!(
            Draft::of(&folder.path().join("none/list")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
