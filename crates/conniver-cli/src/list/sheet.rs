//! What is written: as it comes, or when everything has come and is in order.

use std::{
    cmp::Ordering,
    io::{self, Write as _},
    mem,
    ops::ControlFlow,
    sync::{
        Barrier, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use sockdiag::Entry;

use super::{
    form::Form,
    table::{Extent, Layout},
};
use crate::{
    column::{self, Column, Key, Row},
    error::Error,
    output,
    process::Processes,
    source::{Source, Work},
};

/// So much is written at once.
const PIECE_LEN: usize = 128 << 10;

/// So many sockets each part keeps before it decides how wide columns are.
const KEPT: usize = 4_096;

/// By what sockets are ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sort {
    pub(crate) column: Column,
    is_descending: bool,
}

impl Sort {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (name, is_descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        Ok(Self { column: *column::find(name)?, is_descending })
    }

    fn compare(&self, left: &Key, right: &Key) -> Ordering {
        left.compare(right, self.is_descending)
    }
}

/// What is written of all sockets.
#[derive(Debug)]
pub(crate) struct Sheet {
    form: Form,
    sort: Option<Sort>,
    limit: Option<usize>,
    processes: Option<Processes>,
    least_extents: Vec<Extent>,
    /// Where parts wait until each knows how wide its columns are.
    meeting: OnceLock<Barrier>,
    extents: Mutex<Vec<Extent>>,
    layout: OnceLock<Layout>,
    /// Whether something was written.
    has_begun: Mutex<bool>,
    /// Whether something could not be written, so that nothing may follow: half a line may be there.
    is_broken: AtomicBool,
}

/// What one part has made and not yet written.
#[derive(Debug, Default)]
pub(crate) struct Part {
    bytes: Vec<u8>,
    /// Where each socket ends that is kept, and what orders it.
    ends: Vec<usize>,
    keys: Vec<Key>,
    extents: Vec<Extent>,
    taken: usize,
    is_streaming: bool,
    /// Cells of a line that is about to be written.
    cells: Vec<u8>,
}

impl Sheet {
    pub(crate) fn new(
        form: Form,
        sort: Option<Sort>,
        limit: Option<usize>,
        processes: Option<Processes>,
    ) -> Self {
        let least_extents = match &form {
            Form::Table(table) => table.least_extents(),
            _ => Vec::new(),
        };
        Self {
            form,
            sort,
            limit,
            processes,
            extents: Mutex::new(least_extents.clone()),
            least_extents,
            meeting: OnceLock::new(),
            layout: OnceLock::new(),
            has_begun: Mutex::new(false),
            is_broken: AtomicBool::new(false),
        }
    }

    /// Writes all sockets of the source.
    pub(crate) fn write(&self, source: &Source) -> Result<(), Error> {
        let most_parts = match (self.limit, self.sort) {
            // No other could know that there are enough.
            (Some(_), None) => 1,
            _ => thread::available_parallelism().map_or(1, usize::from).min(MOST_PARTS),
        };
        let parts = source.work(self, most_parts)?;
        self.write_kept(&parts)?;
        let mut has_begun = self.lock();
        let mut end = Vec::new();
        if !*has_begun {
            self.put_beginning(&mut end);
        }
        if matches!(self.form, Form::Json) {
            end.extend_from_slice(if *has_begun { b"\n]\n" } else { b"]\n" });
        }
        *has_begun = true;
        self.write_on(&end)
    }

    /// Why processes that were asked for are not there, if some are not.
    pub(crate) fn missed(&self) -> Option<String> {
        self.processes.as_ref()?.missed()
    }

    /// Whether every socket is kept until the last has come.
    fn keeps_all(&self) -> bool {
        let fits_terminal = matches!(&self.form, Form::Table(table) if table.width.is_some());
        self.sort.is_some() || fits_terminal
    }

    /// What comes before the first socket.
    fn put_beginning(&self, out: &mut Vec<u8>) {
        match &self.form {
            Form::Table(table) => table.put_header(self.layout(), out),
            Form::Csv(csv) => csv.put_header(out),
            Form::Json => out.push(b'['),
            Form::Long(_) | Form::Jsonl => {}
        }
    }

    /// How wide columns are, from what all parts have seen so far.
    fn layout(&self) -> &Layout {
        self.layout.get_or_init(|| {
            let extents = self.extents.lock().unwrap_or_else(PoisonError::into_inner);
            match &self.form {
                Form::Table(table) => table.layout(&extents),
                _ => Layout::default(),
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.has_begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes whole sockets, before or after those of other parts, never between.
    fn flush(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut has_begun = self.lock();
        let mut from = 0;
        if !*has_begun {
            let mut beginning = Vec::new();
            self.put_beginning(&mut beginning);
            self.write_on(&beginning)?;
            // Each object has a comma in front, which the first does not need.
            from = usize::from(matches!(self.form, Form::Json));
        }
        *has_begun = true;
        self.write_on(&bytes[from..])?;
        bytes.clear();
        Ok(())
    }

    /// Writes behind what is there, unless that is not whole; whoever failed then says so.
    fn write_on(&self, bytes: &[u8]) -> Result<(), Error> {
        if self.is_broken.load(Relaxed) {
            return Ok(());
        }
        write(bytes).inspect_err(|_| self.is_broken.store(true, Relaxed))
    }

    /// From now on lines are written as they come.
    fn begin_streaming(&self, part: &mut Part) -> Result<(), Error> {
        self.meet(part);
        part.is_streaming = true;
        let (kept, ends) = (mem::take(&mut part.bytes), mem::take(&mut part.ends));
        part.keys.clear();
        let mut start = 0;
        for end in ends {
            self.put_line(&kept[start..end], &mut part.bytes);
            start = end;
        }
        self.flush(&mut part.bytes)
    }

    /// Waits until all parts have seen many sockets, or all of theirs.
    fn meet(&self, part: &Part) {
        {
            let mut extents = self.extents.lock().unwrap_or_else(PoisonError::into_inner);
            for (all, part) in extents.iter_mut().zip(&part.extents) {
                all.width = all.width.max(part.width);
                all.is_filled |= part.is_filled;
            }
        }
        if let Some(meeting) = self.meeting.get() {
            meeting.wait();
        }
    }

    fn put_line(&self, kept: &[u8], out: &mut Vec<u8>) {
        match &self.form {
            Form::Table(table) => table.put_line(kept, self.layout(), out),
            _ => out.extend_from_slice(kept),
        }
    }

    /// Leaves out what will not be among those that are shown.
    fn prune(&self, part: &mut Part) {
        let (Some(limit), Some(sort)) = (self.limit, &self.sort) else { return };
        if part.ends.len() < 2 * limit + 1_000 {
            return;
        }
        let mut order: Vec<usize> = (0..part.ends.len()).collect();
        order.select_nth_unstable_by(limit, |left, right| {
            sort.compare(&part.keys[*left], &part.keys[*right])
        });
        order.truncate(limit);
        let mut kept = Part::default();
        for index in order {
            kept.bytes.extend_from_slice(part.socket(index));
            kept.ends.push(kept.bytes.len());
            kept.keys.push(part.keys[index].clone());
        }
        part.bytes = kept.bytes;
        part.ends = kept.ends;
        part.keys = kept.keys;
    }

    /// Writes what was kept, in order if that is wanted.
    fn write_kept(&self, parts: &[Part]) -> Result<(), Error> {
        let mut sockets: Vec<_> = parts
            .iter()
            .flat_map(|part| (0..part.ends.len()).map(move |index| (part, index)))
            .collect();
        sockets.sort_by(|(left, at), (right, other)| {
            let (left, right) = (&left.keys[*at], &right.keys[*other]);
            match &self.sort {
                Some(sort) => sort.compare(left, right),
                None => left.cmp(right),
            }
        });
        if let Some(limit) = self.limit {
            sockets.truncate(limit);
        }
        let mut out = Vec::with_capacity(PIECE_LEN + 4096);
        for (part, index) in sockets {
            self.put_line(part.socket(index), &mut out);
            if out.len() >= PIECE_LEN {
                self.flush(&mut out)?;
            }
        }
        self.flush(&mut out)
    }
}

/// More would walk the kernel's table more often than they save.
const MOST_PARTS: usize = 4;

impl Part {
    fn socket(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

impl Work for Sheet {
    type Part = Part;

    fn begin(&self, parts: usize) -> Part {
        self.meeting.get_or_init(|| Barrier::new(parts));
        Part { extents: self.least_extents.clone(), ..Part::default() }
    }

    fn take(&self, part: &mut Part, entry: Entry<'_>) -> Result<ControlFlow<()>, Error> {
        if self.limit == Some(0) {
            return Ok(ControlFlow::Break(()));
        }
        let holders = self.processes.as_ref().map(|processes| processes.holders(entry.inode()));
        let row = Row::new(entry, holders);
        part.taken += 1;
        match &self.form {
            Form::Table(table) if part.is_streaming && !table.has_color => {
                table.put(&row, self.layout(), &mut part.bytes);
            }
            _ if part.is_streaming => {
                part.cells.clear();
                self.form.put(&row, &mut part.cells, &mut part.extents);
                self.put_line(&part.cells, &mut part.bytes);
            }
            _ => self.form.put(&row, &mut part.bytes, &mut part.extents),
        }
        let is_kept = self.keeps_all() || matches!(self.form, Form::Table(_)) && !part.is_streaming;
        if is_kept {
            part.ends.push(part.bytes.len());
            match &self.sort {
                Some(sort) => {
                    part.keys.push((sort.column.value)(&row).key());
                    self.prune(part);
                }
                None if part.ends.len() >= KEPT && !self.keeps_all() => {
                    self.begin_streaming(part)?;
                }
                None => part.keys.push(Key::of_ends(&row.entry)),
            }
        } else if part.bytes.len() >= PIECE_LEN {
            self.flush(&mut part.bytes)?;
        }
        Ok(match (self.limit, self.sort) {
            // The first that come are all that is wanted.
            (Some(limit), None) if part.taken >= limit => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }

    fn end(&self, part: &mut Part) -> Result<(), Error> {
        if !part.is_streaming {
            self.meet(part);
        }
        if part.ends.is_empty() { self.flush(&mut part.bytes) } else { Ok(()) }
    }
}

fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| match output::failed(&error) {
        Error::Failure(why) => Error::Failure(format!("{why}; the list is not complete")),
        unwanted => unwanted,
    })
}
