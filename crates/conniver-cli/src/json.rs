//! The JSON of a socket: what the library makes of it, and the programs that hold it.

mod serializer;

pub(crate) use serializer::put_text;

use crate::{column::Row, interface};

/// Appends the object.
pub(crate) fn put(row: &Row<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    if serializer::put(&row.entry.named(interface::names()), out).is_err() {
        // Memory takes everything, and every key is text.
        out.truncate(start);
        out.extend_from_slice(b"{}");
    }
    if let Some(holders) = row.holders {
        let end = out.pop();
        out.extend_from_slice(if out.last() == Some(&b'{') { b"\"" } else { b",\"" });
        out.extend_from_slice(b"process\":");
        holders.put_json(out);
        out.extend(end);
    }
}
