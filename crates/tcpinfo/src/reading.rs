/// The answer to one question about one socket.
///
/// Three things a kernel can say stay apart, so that "absent" is never mistaken for zero.
///
/// ```
/// use tcpinfo::Reading;
///
/// let retransmits: Reading<u32> = Reading::Value(0);
/// assert_eq!(retransmits.value(), Some(0)); // measured, and it is zero
///
/// let rtt: Reading<u32> = Reading::Unset;
/// assert_eq!(rtt.value(), None); // the kernel has the field but no sample yet
/// assert!(!rtt.is_absent());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "three answers are the whole contract")]
pub enum Reading<T> {
    /// The running kernel or operating system does not have this field.
    Absent,
    /// The field exists, but nothing was measured yet, no limit is in force, or the socket's state
    /// gives the field no meaning.
    Unset,
    /// A measured value.
    Value(T),
}

impl<T> Reading<T> {
    /// The value, with both kinds of "no answer" folded into `None`.
    #[inline]
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Unset => None,
        }
    }

    /// Whether the running kernel lacks the field altogether.
    #[inline]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Converts the value and leaves the two other answers as they are.
    #[inline]
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Absent => Reading::Absent,
            Self::Unset => Reading::Unset,
            Self::Value(value) => Reading::Value(convert(value)),
        }
    }

    /// Takes the value back where it has no meaning.
    #[inline]
    pub(crate) fn unset_if(self, meaningless: bool) -> Self {
        match self {
            Self::Value(_) if meaningless => Self::Unset,
            other => other,
        }
    }
}
