//! What is known and what is shown of it: changed by looks and by keys, never by the terminal.

mod keys;

pub(crate) use keys::HELP;

use std::{ops::Range, sync::Arc, time::Duration};

use sockdiag::{Filter, FilterError};
use tcpinfo::State as TcpState;

use super::{
    connection::Connection,
    field::{Cells, Field},
    history::{Histories, Point},
    line::Line,
    look::Look,
};
use crate::{column::Key, error::Error, process::Processes};

/// What is known and what is shown of it.
#[derive(Debug)]
pub(crate) struct State {
    /// By cookie.
    connections: Vec<Connection>,
    /// Those that the last look did not find any more.
    ended: Vec<Connection>,
    /// The order in which they are shown: live ones by their place, then the ended.
    order: Vec<usize>,
    processes: Option<Arc<Processes>>,
    /// As they were when the ended ones were still there.
    processes_before: Option<Arc<Processes>>,
    histories: Histories,
    totals: Totals,
    fields: Vec<Field>,
    sort: Sort,
    selected: Option<Selected>,
    mode: Mode,
    detail: Option<Detail>,
    is_paused: bool,
    /// What was typed last and understood.
    filter: String,
    /// Counts the filters there have been.
    filters: u64,
    /// Of what is shown while it is paused, only this.
    view: Option<Filter>,
    /// Whether nothing was seen yet with this filter.
    is_awaited: bool,
    /// What went wrong at the last look.
    trouble: Option<String>,
    interval: Duration,
    pub(crate) scroll: Scroll,
}

/// By what connections are ordered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sort {
    pub(crate) field: Field,
    pub(crate) is_descending: bool,
}

impl Sort {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (name, is_descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        Ok(Self { field: Field::find(name)?, is_descending })
    }
}

/// The connection that a person looks at.
#[derive(Clone, Copy, Debug)]
struct Selected {
    cookie: u64,
    /// Where it stood last.
    place: usize,
}

/// What the keys are for.
#[derive(Debug)]
pub(crate) enum Mode {
    Table,
    /// A filter is being typed; the last attempt may have been refused.
    Filter {
        line: Line,
        complaint: Option<Complaint>,
    },
    Help {
        scroll: usize,
    },
    Choice(Choice),
}

/// Why a filter is not taken that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// It is none.
    Unreadable(FilterError),
    /// What was seen last does not tell.
    Unanswerable(&'static str),
}

impl Complaint {
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Unreadable(error) => error.expected(),
            Self::Unanswerable(words) => words,
        }
    }

    /// The bytes that it is about.
    pub(crate) fn place(&self) -> Option<Range<usize>> {
        match self {
            Self::Unreadable(error) => Some(error.place()),
            Self::Unanswerable(_) => None,
        }
    }
}

/// One field of all is being chosen.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) purpose: Purpose,
    /// Among those that match the search.
    pub(crate) cursor: usize,
    pub(crate) search: Line,
}

/// What a field is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Columns,
    Sort,
}

impl Choice {
    /// The fields that match the search.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let search = self.search.text().to_lowercase();
        let matches = |field: &Field| {
            field.name().contains(&search) || field.heading().to_lowercase().contains(&search)
        };
        Field::all().filter(matches).collect()
    }
}

/// The pane with everything about the selected connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Detail {
    pub(crate) scroll: usize,
    pub(crate) has_focus: bool,
}

/// Which part of what there is is visible. Drawing knows how much fits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scroll {
    /// The first line of the table.
    pub(crate) top: usize,
    /// How many columns are left out behind the fixed ones.
    pub(crate) left: usize,
    /// How many lines fit.
    pub(crate) page: usize,
    /// How wide columns are, which only grows, so that they do not jump.
    pub(crate) widths: Vec<usize>,
}

/// All connections in sum.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// The most frequent first.
    pub(crate) states: Vec<(TcpState, usize)>,
    pub(crate) count: usize,
    pub(crate) new: usize,
    pub(crate) ended: usize,
    /// Bytes a second.
    pub(crate) tx: Option<f64>,
    pub(crate) rx: Option<f64>,
    /// Segments a second that were sent again.
    pub(crate) retrans: Option<f64>,
    /// Of the bytes sent.
    pub(crate) retrans_share: Option<f64>,
    pub(crate) took: Duration,
    pub(crate) own_share: Option<f64>,
}

/// What is to be done outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    /// Look now.
    Look,
    /// Draw everything again.
    Redraw,
    Suspend,
    Quit,
    Interrupt,
}

/// One that is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) has_ended: bool,
}

impl State {
    pub(crate) fn new(fields: Vec<Field>, sort: Sort, filter: String, interval: Duration) -> Self {
        Self {
            connections: Vec::new(),
            ended: Vec::new(),
            order: Vec::new(),
            processes: None,
            processes_before: None,
            histories: Histories::default(),
            totals: Totals::default(),
            fields,
            sort,
            selected: None,
            mode: Mode::Table,
            detail: None,
            is_paused: false,
            filter,
            filters: 0,
            view: None,
            is_awaited: true,
            trouble: None,
            interval,
            scroll: Scroll::default(),
        }
    }

    /// Takes over what was seen.
    pub(crate) fn apply(&mut self, look: Look) {
        if look.filter != self.filters {
            // Another was asked for meanwhile.
            return;
        }
        let is_first = self.totals.count == 0 && self.connections.is_empty();
        let mut connections = look.connections;
        self.ended.clear();
        let mut before = std::mem::take(&mut self.connections).into_iter().peekable();
        for connection in &mut connections {
            while let Some(gone) = before.next_if(|old| old.cookie() < connection.cookie()) {
                self.ended.push(gone);
            }
            match before.next_if(|old| old.cookie() == connection.cookie()) {
                Some(old) => connection.follow(&old),
                None if !is_first => connection.mark_new(),
                None => {}
            }
        }
        self.ended.extend(before);
        self.connections = connections;
        self.processes_before = std::mem::replace(&mut self.processes, look.processes);
        self.trouble = None;
        self.is_awaited = false;
        self.histories.note(&self.connections);
        self.count(look.took, look.own_share);
        self.reorder();
    }

    /// The next look cannot be compared with this one: other connections are meant.
    fn begin_anew(&mut self) {
        self.filters += 1;
        self.scroll.widths.clear();
        self.scroll.top = 0;
    }

    /// A look failed; what was seen before is still shown.
    pub(crate) fn fail(&mut self, trouble: String) {
        self.trouble = Some(trouble);
    }

    fn count(&mut self, took: Duration, own_share: Option<f64>) {
        let mut totals = Totals {
            count: self.connections.len(),
            ended: self.ended.len(),
            took,
            own_share,
            ..Totals::default()
        };
        let add = |sum: &mut Option<f64>, rate: Option<f64>| {
            if let Some(rate) = rate {
                *sum = Some(sum.unwrap_or(0.0) + rate);
            }
        };
        let (mut sent, mut resent) = (0, 0);
        for connection in &self.connections {
            let state = connection.entry().state();
            match totals.states.iter_mut().find(|(known, _)| *known == state) {
                Some((_, count)) => *count += 1,
                None => totals.states.push((state, 1)),
            }
            totals.new += usize::from(connection.is_new());
            let Some(change) = connection.change() else { continue };
            add(&mut totals.tx, change.tx);
            add(&mut totals.rx, change.rx);
            add(&mut totals.retrans, change.retrans);
            sent += change.new_sent.unwrap_or(0);
            resent += change.new_resent.unwrap_or(0);
        }
        totals.states.sort_by(|(left, count), (right, other)| {
            other.cmp(count).then_with(|| left.name().cmp(right.name()))
        });
        totals.retrans_share = (sent > 0).then(|| resent as f64 / sent as f64);
        self.totals = totals;
    }

    /// Puts connections in order; those that are equal keep the order of their cookies.
    fn reorder(&mut self) {
        let Sort { field, is_descending } = self.sort;
        let shown = self.connections.iter().chain(&self.ended).enumerate();
        let mut keys: Vec<(Key, u64, usize)> = shown
            .filter(|(_, connection)| {
                self.view.as_ref().is_none_or(|view| view.matches(&connection.entry()))
            })
            .map(|(place, connection)| {
                let has_ended = place >= self.connections.len();
                let key = field.key(connection, self.processes_of(has_ended));
                (key, connection.cookie(), place)
            })
            .collect();
        keys.sort_unstable_by(|(left, cookie, _), (right, other, _)| {
            left.compare(right, is_descending).then(cookie.cmp(other))
        });
        self.order.clear();
        self.order.extend(keys.into_iter().map(|(_, _, place)| place));
        self.find_selected();
    }

    /// The selected one may stand elsewhere now, or another has to take its place.
    fn find_selected(&mut self) {
        let Some(selected) = self.selected else { return };
        let place = (0..self.order.len()).find(|place| {
            self.shown(*place).is_some_and(|shown| shown.connection.cookie() == selected.cookie)
        });
        match place {
            Some(place) => self.selected = Some(Selected { place, ..selected }),
            None => self.select(selected.place),
        }
    }

    /// Selects what stands there, or the last.
    fn select(&mut self, place: usize) {
        let place = place.min(self.order.len().saturating_sub(1));
        self.selected =
            self.shown(place).map(|shown| Selected { cookie: shown.connection.cookie(), place });
        if let Some(Selected { cookie, .. }) = self.selected {
            self.histories.select(cookie);
        }
        if let Some(detail) = &mut self.detail {
            // It is of another now, and stays at the field that is being looked at.
            detail.has_focus &= self.selected.is_some();
        }
    }

    /// How many are shown.
    pub(crate) const fn len(&self) -> usize {
        self.order.len()
    }

    /// What stands there.
    pub(crate) fn shown(&self, place: usize) -> Option<Shown<'_>> {
        let index = *self.order.get(place)?;
        match self.connections.get(index) {
            Some(connection) => Some(Shown { connection, has_ended: false }),
            None => {
                let connection = self.ended.get(index - self.connections.len())?;
                Some(Shown { connection, has_ended: true })
            }
        }
    }

    /// Where the selected one stands.
    pub(crate) fn selected_place(&self) -> Option<usize> {
        self.selected.map(|selected| selected.place)
    }

    pub(crate) fn selected(&self) -> Option<Shown<'_>> {
        self.shown(self.selected_place()?)
    }

    /// What has become of the selected one, the oldest first.
    pub(crate) fn history(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.selected.into_iter().flat_map(|selected| self.histories.of(selected.cookie))
    }

    #[cfg(test)]
    pub(crate) const fn histories(&self) -> &Histories {
        &self.histories
    }

    pub(crate) const fn totals(&self) -> &Totals {
        &self.totals
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) const fn sort(&self) -> Sort {
        self.sort
    }

    pub(crate) const fn mode(&self) -> &Mode {
        &self.mode
    }

    pub(crate) const fn mode_mut(&mut self) -> &mut Mode {
        &mut self.mode
    }

    pub(crate) const fn detail(&self) -> Option<&Detail> {
        self.detail.as_ref()
    }

    pub(crate) const fn detail_mut(&mut self) -> Option<&mut Detail> {
        self.detail.as_mut()
    }

    pub(crate) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    pub(crate) const fn filters(&self) -> u64 {
        self.filters
    }

    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether what is shown is all that there is.
    pub(crate) const fn is_complete(&self) -> bool {
        !self.is_awaited && self.trouble.is_none()
    }

    pub(crate) const fn interval(&self) -> Duration {
        self.interval
    }

    pub(crate) fn processes(&self) -> Option<&Processes> {
        self.processes.as_deref()
    }

    /// The same for a connection that has ended, or has not.
    fn processes_of(&self, has_ended: bool) -> Option<&Processes> {
        if has_ended { self.processes_before.as_deref() } else { self.processes() }
    }

    /// What the cells of one that is shown are made of.
    pub(crate) fn cells<'a>(&'a self, shown: Shown<'a>) -> Cells<'a> {
        Cells::new(shown.connection, self.processes_of(shown.has_ended))
    }

    /// Whether it has to be found out which programs hold sockets.
    pub(crate) fn needs_holders(&self) -> bool {
        let is_any = self.fields.iter().any(Field::needs_holders);
        is_any || self.sort.field.needs_holders() || self.detail.is_some()
    }

    /// What a connection that is not found any more is: one that does not match a filter of facts has
    /// not ended by that.
    pub(crate) fn word_of_end(&self) -> &'static str {
        if self.filter.trim().is_empty() { "ended" } else { "gone" }
    }
}
