//! Where the response body goes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use hyper::header::HeaderMap;
use tokio::task::spawn_blocking;

use crate::{
    disposition,
    error::{Error, Kind, reason},
    target::Target,
};

/// Takes the body piece by piece.
#[derive(Debug, Default)]
pub(crate) enum Sink {
    /// Counted and forgotten.
    #[default]
    Discard,
    /// The same with what a redirect says to people, of which a part is enough.
    Skim {
        left: usize,
    },
    /// A file that shall have the name that the response gives it.
    Unnamed,
    Stdout,
    /// A new file that appears under its name only when it is complete.
    File(Draft),
    /// A device or pipe, which cannot be replaced and is written as it is.
    Device {
        file: Arc<File>,
        path: PathBuf,
    },
}

impl Sink {
    /// The destination for `--output`.
    ///
    /// A named pipe keeps the caller waiting for its reader.
    pub(crate) fn open(output: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = output else { return Ok(Self::Discard) };
        if is_stdout(path) {
            return Ok(Self::Stdout);
        }
        let opened = Draft::is_for(path).and_then(|is_file| match is_file {
            false => OpenOptions::new()
                .write(true)
                .open(path)
                .map(|file| Self::Device { file: Arc::new(file), path: path.to_owned() }),
            true => Draft::create(path).map(Self::File),
        });
        opened.map_err(|error| unwritable(path, &error))
    }

    /// Opens the file that gets its name from this response, if there is one to be named.
    pub(crate) fn name(&mut self, headers: &HeaderMap, target: &Target) -> Result<(), Error> {
        if !matches!(self, Self::Unnamed) {
            return Ok(());
        }
        let name = disposition::file_name(headers, target).ok_or_else(|| {
            let message = "neither response nor URL names a file for -O; give one with -o";
            Error::new(Kind::Output, message)
        })?;
        let path = PathBuf::from(name);
        let draft = Draft::create_new(&path).map_err(|error| unwritable(&path, &error))?;
        *self = Self::File(draft);
        Ok(())
    }

    /// Where the body goes, unless it goes nowhere.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Discard | Self::Skim { .. } | Self::Unnamed => None,
            Self::Stdout => Some(Path::new("-")),
            Self::File(draft) => Some(&draft.shown),
            Self::Device { path, .. } => Some(path),
        }
    }

    /// Whether the body appears on a terminal, where a progress bar would disturb it.
    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Device { file, .. } => file.is_terminal(),
            Self::Discard | Self::Skim { .. } | Self::Unnamed | Self::File(_) => false,
        }
    }

    /// For the body of a response that leads elsewhere.
    pub(crate) fn skim() -> Self {
        Self::Skim { left: MAX_SKIMMED_LEN }
    }

    /// Takes a piece, and says whether more is wanted.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<ControlFlow<()>, Error> {
        let written = match self {
            Self::Discard | Self::Unnamed => Ok(()),
            Self::Skim { left } => match left.checked_sub(bytes.len()) {
                Some(less) => {
                    *left = less;
                    Ok(())
                }
                None => return Ok(ControlFlow::Break(())),
            },
            Self::Stdout => written_aside(move || {
                let mut stdout = io::stdout().lock();
                // Otherwise the start of a slow body would wait for its next line feed.
                stdout.write_all(&bytes).and_then(|()| stdout.flush())
            })
            .await
            .map_err(|error| unwritable(Path::new("-"), &error)),
            Self::File(draft) => {
                draft.file.write_all(&bytes).map_err(|error| unwritable(&draft.target, &error))
            }
            Self::Device { file, path } => {
                let file = Arc::clone(file);
                written_aside(move || (&*file).write_all(&bytes))
                    .await
                    .map_err(|error| unwritable(path, &error))
            }
        };
        written.map(ControlFlow::Continue)
    }

    /// Makes what was written visible under its name; without this call a file is removed again.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self {
            Self::Discard
            | Self::Skim { .. }
            | Self::Unnamed
            | Self::Stdout
            | Self::Device { .. } => Ok(()),
            Self::File(draft) => draft.publish(),
        }
    }
}

/// Writes a file at once, so that it appears under its name complete or not at all. Devices and
/// pipes are written as they are.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let written = Draft::is_for(path).and_then(|is_file| match is_file {
        false => {
            let mut device = OpenOptions::new().write(true).open(path)?;
            device.write_all(text.as_bytes())
        }
        true => {
            let mut draft = Draft::create(path)?;
            draft.file.write_all(text.as_bytes())?;
            draft.appear()
        }
    });
    written.map_err(|error| unwritten(path, &error))
}

/// Finds out whether a file could be written, as far as that can be told without changing anything:
/// of devices and pipes it is not, for their other end may not be there yet.
pub(crate) fn check_writable(path: &Path) -> Result<(), Error> {
    match Draft::is_for(path) {
        Ok(false) => Ok(()),
        found => {
            let created = found.and_then(|_| Draft::create(path).map(drop));
            created.map_err(|error| unwritten(path, &error))
        }
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::Output, format!("cannot write {}: {}", path.display(), reason(error)))
}

/// Whether this `--output` means the standard output.
///
/// Its other name must not be taken for a file to replace where it has been redirected to one.
pub(crate) fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout"].map(Path::new).contains(&path)
}

/// Writes where a reader may keep the writer waiting, while limits and signals still count.
async fn written_aside(write: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    spawn_blocking(write).await.map_err(io::Error::other)?
}

/// A file under a temporary name beside the one it shall have.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    /// As the user knows it.
    shown: PathBuf,
    /// Whether it may take the place of another.
    replaces: bool,
    published: bool,
}

impl Draft {
    /// Whether this is a file, or none yet, and so not a device or pipe that is written as it is.
    fn is_for(path: &Path) -> io::Result<bool> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) => Ok(found.is_file()),
            Err(_) => Ok(true),
        }
    }

    fn create(path: &Path) -> io::Result<Self> {
        // Through a symbolic link, the file it points to is replaced and not the link. Where it points
        // to nothing, neither the link's place nor that of its choice is what was asked for.
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(_) if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) => {
                let why = "it is a symbolic link that leads to no file; name the file itself";
                return Err(io::Error::new(io::ErrorKind::NotFound, why));
            }
            Err(_) => path.to_owned(),
        };
        // What may not be written may not be replaced either.
        let replaced = match OpenOptions::new().write(true).open(&target) {
            Ok(file) => Some(file.metadata()?.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if target.as_os_str().to_string_lossy().ends_with(std::path::is_separator) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (file, temporary) = create_beside(&target)?;
        let shown = path.to_owned();
        let draft = Self { file, temporary, target, shown, replaces: true, published: false };
        if let Some(permissions) = replaced {
            draft.file.set_permissions(permissions)?;
        }
        Ok(draft)
    }

    /// A file that takes no other's place.
    fn create_new(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut draft = Self::create(path)?;
        draft.replaces = false;
        Ok(draft)
    }

    fn publish(self) -> Result<(), Error> {
        let target = self.target.clone();
        self.appear().map_err(|error| unwritable(&target, &error))
    }

    fn appear(mut self) -> io::Result<()> {
        match self.replaces {
            true => fs::rename(&self.temporary, &self.target),
            false => self.rename_to_new(),
        }?;
        self.published = true;
        Ok(())
    }

    /// A second name cannot be given that exists, which a rename would not mind; where files cannot
    /// have two names, looking first is the best that can be done.
    fn rename_to_new(&self) -> io::Result<()> {
        match fs::hard_link(&self.temporary, &self.target) {
            Ok(()) => fs::remove_file(&self.temporary),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(_) if fs::symlink_metadata(&self.target).is_ok() => {
                Err(io::ErrorKind::AlreadyExists.into())
            }
            Err(_) => fs::rename(&self.temporary, &self.target),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // Nothing better can be done about a file that cannot be removed.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A new file with a name of its own, also where a killed process with the same number, as in a
/// container, has left one.
fn create_beside(target: &Path) -> io::Result<(File, PathBuf)> {
    let mut number = std::process::id();
    loop {
        let path = target.with_file_name(format!(".httpstat-{number}.part"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = number.wrapping_add(1);
            }
            created => return Ok((created?, path)),
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    let name = match is_stdout(path) {
        true => "the standard output".to_owned(),
        false => path.display().to_string(),
    };
    let why = match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "the file exists; remove it, or give another name with -o".to_owned()
        }
        _ => reason(error),
    };
    let message = format!("cannot write to {name}: {why}");
    Error::new(Kind::Output, message)
}

/// Far more than the few lines that such a body has.
const MAX_SKIMMED_LEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_file_appears_only_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        let mut sink = Sink::open(Some(&path)).unwrap();
        assert!(sink.write(Bytes::from_static(b"whole")).await.unwrap().is_continue());
        assert!(!path.exists());
        sink.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["body"]);
    }

    #[tokio::test]
    async fn an_abandoned_download_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        fs::write(&path, "old").unwrap();
        let mut sink = Sink::open(Some(&path)).unwrap();
        assert!(sink.write(Bytes::from_static(b"half")).await.unwrap().is_continue());
        drop(sink);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["body"]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_device_is_written_and_a_link_followed_instead_of_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut sink = Sink::open(Some(&link)).unwrap();
        assert!(sink.write(Bytes::from_static(b"new")).await.unwrap().is_continue());
        sink.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(matches!(Sink::open(Some(Path::new("/dev/null"))), Ok(Sink::Device { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_neither_followed_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).unwrap();
        for refused in
            [Sink::open(Some(&link)).map(drop), check_writable(&link), write_whole(&link, "text")]
        {
            let error = refused.unwrap_err();
            assert_eq!(error.kind, Kind::Output);
            assert!(error.message.contains("a symbolic link that leads to no file"), "{error}");
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["link"]);
    }

    #[test]
    fn looking_whether_a_file_can_be_written_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        fs::write(&old, "old").unwrap();
        check_writable(&new).unwrap();
        check_writable(&old).unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["old"]);
        for bad in [folder.path().to_owned(), old.join("page"), folder.path().join("no/page")] {
            assert_eq!(check_writable(&bad).unwrap_err().kind, Kind::Output);
        }
    }

    #[tokio::test]
    async fn of_a_redirects_body_a_part_is_enough() {
        let mut sink = Sink::skim();
        let piece = Bytes::from(vec![0; MAX_SKIMMED_LEN]);
        assert!(sink.write(piece).await.unwrap().is_continue());
        assert!(sink.write(Bytes::from_static(b"more")).await.unwrap().is_break());
    }

    #[test]
    fn what_a_killed_process_left_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        let left = create_beside(&path).unwrap().1;
        Sink::open(Some(&path)).unwrap().finish().unwrap();
        assert!(path.exists() && left.exists());
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Sink::open(Some(folder.path())).unwrap_err().kind, Kind::Output);
        let slash = folder.path().join("missing/");
        assert_eq!(Sink::open(Some(&slash)).unwrap_err().kind, Kind::Output);
        let inside = folder.path().join("missing").join("body");
        assert_eq!(Sink::open(Some(&inside)).unwrap_err().kind, Kind::Output);
    }
}
