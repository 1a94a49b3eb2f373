use std::{error, fmt, ops::Range};

/// Why a text is no [`Filter`](crate::Filter), and where.
///
/// It shows the place in the text and what was expected there:
///
/// ```
/// let error = "dport = :443 or rtt > 100".parse::<sockdiag::Filter>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the filter cannot be read: expected a time with a unit, such as 100ms\n\
///      dport = :443 or rtt > 100\n\
///      \u{20}                     ^^^"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// Elsewhere, so that an answer without an error is not as long as one.
    inner: Box<Inner>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    text: String,
    place: Range<usize>,
    expected: String,
}

/// Of a text that is longer, what lies around the place is shown.
const SHOWN_CHARS: usize = 72;

impl FilterError {
    #[cold]
    pub(super) fn new(text: &str, place: Range<usize>, expected: impl Into<String>) -> Self {
        let inner = Inner { text: text.to_owned(), place, expected: expected.into() };
        Self { inner: Box::new(inner) }
    }

    /// The text that was read.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// The bytes of the [text](Self::text) that are not as expected; none at a place where something is
    /// missing.
    pub fn place(&self) -> Range<usize> {
        self.inner.place.clone()
    }

    /// What was expected there, without the text.
    pub fn expected(&self) -> &str {
        &self.inner.expected
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { text, place, expected } = &*self.inner;
        let part = |range: Range<usize>| text.get(range).unwrap_or_default();
        let before = part(0..place.start).chars().count();
        let marked = part(place.clone()).chars().count().clamp(1, SHOWN_CHARS);
        // The place in the middle, but no more cut off than need be.
        let skipped = match text.chars().count() {
            len if len <= SHOWN_CHARS => 0,
            len => before.saturating_sub(SHOWN_CHARS / 2).min(len - SHOWN_CHARS),
        };
        writeln!(f, "the filter cannot be read: {expected}")?;
        for char in text.chars().skip(skipped).take(SHOWN_CHARS) {
            // One column each, and nothing that a terminal obeys.
            let shown = if char.is_control() { ' ' } else { char };
            write!(f, "{shown}")?;
        }
        let column = before - skipped;
        let marked = marked.min(SHOWN_CHARS.saturating_sub(column)).max(1);
        write!(f, "\n{:column$}{:^<marked$}", "", "")
    }
}

impl error::Error for FilterError {}
