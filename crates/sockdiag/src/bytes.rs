//! Numbers in the kernel's bytes, in this machine's byte order. What is missing reads as zero; whoever
//! asks has looked at the length.

#[inline(always)]
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

#[inline(always)]
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_ne_bytes(array_at(bytes, offset))
}

#[inline(always)]
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_ne_bytes(array_at(bytes, offset))
}

/// A number of bytes as the next message or attribute is aligned behind it: `NLMSG_ALIGN`.
#[inline(always)]
pub(crate) const fn aligned(len: usize) -> usize {
    len.saturating_add(3) & !3
}
