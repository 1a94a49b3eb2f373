use std::fmt;

use crate::{
    AsSock, CongestionName, Error, System, TcpInfo,
    native::{ByteOrder, Native, linux::LinuxTcpInfo},
    sys,
};

/// The facts of one socket at their smallest, for keeping many of them.
///
/// Nothing is lost: [`unpack`](Self::unpack) gives the facts back as they were read. Most of a
/// kernel's structure is zero for most of a connection's life, so zero words are left out.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use tcpinfo::{Packed, TcpInfo};
///
/// let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let info = TcpInfo::read(&socket).unwrap();
/// let packed = Packed::from(&info);
/// assert!(packed.heap_bytes() < 128);
/// assert_eq!(packed.unpack(), info);
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Packed {
    /// Header, bitmap of the words that are not zero, these words, congestion control name.
    bytes: Box<[u8]>,
}

impl Packed {
    /// Asks the kernel about one socket: two system calls and one heap allocation.
    ///
    /// # Errors
    ///
    /// As of [`TcpInfo::read`].
    #[inline]
    pub fn read(sock: &(impl AsSock + ?Sized)) -> Result<Self, Error> {
        let sock = sock.as_sock();
        let answer = sys::tcp_info(sock);
        match &answer {
            // Borrowed, because taking it out of the answer would move half a kilobyte.
            Ok(native) => Ok(Self::new(native, sys::congestion_name(sock).ok())),
            Err(_) => answer.map(|native| Self::new(&native, None)),
        }
    }

    /// Packs a structure and the congestion control name that belongs to it.
    #[inline]
    pub fn new(native: &Native, congestion: Option<CongestionName>) -> Self {
        let native_bytes = native.as_bytes();
        let mut words = [[0; WORD]; MAX_WORDS];
        let mut count = 0;
        let mut bitmap = 0u64;
        let mut add = |index: usize, word: [u8; WORD]| {
            // Stored always and kept if not zero: a branch here could not be predicted.
            if let Some(slot) = words.get_mut(count % MAX_WORDS) {
                *slot = word;
            }
            let is_kept = u64::from_ne_bytes(word) != 0;
            bitmap |= u64::from(is_kept) << index;
            count += usize::from(is_kept);
        };
        let whole = native_bytes.chunks_exact(WORD);
        let rest = whole.remainder();
        let mut index = 0;
        for chunk in whole {
            if let Some(word) = chunk.first_chunk() {
                add(index, *word);
                index += 1;
            }
        }
        if !rest.is_empty() {
            let mut word = [0; WORD];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            add(index, word);
        }
        let [len_low, len_high] =
            u16::try_from(native_bytes.len()).unwrap_or_default().to_le_bytes();
        let kind = Kind { system: native.system(), order: native.byte_order() };
        let kernel_major = match native {
            Native::Linux(info) => info.kernel_major(),
            _ => 0,
        };
        let named = u8::from(congestion.is_some());
        let header = [len_low, len_high, kind.to_byte(), kernel_major, named];
        let name = congestion.as_ref().map_or(&[][..], CongestionName::as_bytes);
        let words = words.get(..count).unwrap_or_default().as_flattened();
        let mut bytes = Vec::with_capacity(HEADER + words.len() + name.len());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&bitmap.to_le_bytes());
        bytes.extend_from_slice(words);
        bytes.extend_from_slice(name);
        Self { bytes: bytes.into_boxed_slice() }
    }

    /// The facts as they were read.
    pub fn unpack(&self) -> TcpInfo {
        let (native, congestion) =
            self.native().unwrap_or((Native::Linux(LinuxTcpInfo::EMPTY), None));
        TcpInfo::from_native(native, congestion)
    }

    /// Size of the one heap allocation that this holds.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn native(&self) -> Option<(Native, Option<CongestionName>)> {
        let (&[len_low, len_high, kind, kernel_major, named], rest) =
            self.bytes.split_first_chunk()?;
        let (bitmap, mut rest) = rest.split_first_chunk()?;
        let bitmap = u64::from_le_bytes(*bitmap);
        let mut bytes = [0; MAX_WORDS * WORD];
        for (index, slot) in bytes.chunks_exact_mut(WORD).enumerate() {
            if bitmap >> index & 1 == 1 {
                let (word, after) = rest.split_first_chunk::<WORD>()?;
                slot.copy_from_slice(word);
                rest = after;
            }
        }
        let len = usize::from(u16::from_le_bytes([len_low, len_high]));
        let Kind { system, order } = Kind::from_byte(kind)?;
        let native = match Native::from_bytes_in(system, bytes.get(..len)?, order) {
            Native::Linux(info) => Native::Linux(info.with_kernel_major(kernel_major)),
            other => other,
        };
        let congestion = (named != 0).then(|| CongestionName::from_bytes(rest));
        Some((native, congestion))
    }
}

impl From<&TcpInfo> for Packed {
    fn from(info: &TcpInfo) -> Self {
        Self::new(info.native(), info.congestion())
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unpack().fmt(f)
    }
}

/// Bytes of a word that is either kept or left out.
const WORD: usize = 8;

/// One bit of a 64-bit map for each word of the largest structure.
const MAX_WORDS: usize = LinuxTcpInfo::CAPACITY / WORD;

/// Which structure it is, in one byte: the system's place in [`System::ALL`], and the byte order.
struct Kind {
    system: System,
    order: ByteOrder,
}

impl Kind {
    const BIG: u8 = 0x80;

    #[inline]
    fn to_byte(&self) -> u8 {
        let big = if self.order == ByteOrder::Big { Self::BIG } else { 0 };
        self.system as u8 | big
    }

    fn from_byte(byte: u8) -> Option<Self> {
        let system = *System::ALL.get(usize::from(byte & !Self::BIG))?;
        let order = if byte & Self::BIG == 0 { ByteOrder::Little } else { ByteOrder::Big };
        Some(Self { system, order })
    }
}

/// Returned length, kind, kernel version, whether there is a name; bitmap.
const HEADER: usize = 5 + 8;

const _: () = assert!(MAX_WORDS == u64::BITS as usize);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packing_loses_nothing(
            bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..=512),
            big in any::<bool>(),
            major in any::<u8>(),
            name in prop_oneof![Just(None), "[a-z]{1,15}".prop_map(Some)],
        ) {
            let order = if big { ByteOrder::Big } else { ByteOrder::Little };
            let info = LinuxTcpInfo::from_bytes_in(&bytes, order).with_kernel_major(major);
            let name = name.map(|name| CongestionName::from_bytes(name.as_bytes()));
            let portable = TcpInfo::from_native(Native::Linux(info), name);
            let packed = Packed::from(&portable);
            prop_assert!(packed.heap_bytes() <= HEADER + bytes.len().next_multiple_of(WORD) + 16);
            prop_assert_eq!(packed.unpack(), portable);
        }
    }
}
