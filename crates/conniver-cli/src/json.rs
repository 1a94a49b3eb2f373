//! The JSON of a socket: what the library makes of it, and the programs that hold it.

mod serializer;

pub(crate) use serializer::put_text;

use crate::{cgroup, column::Row, interface};

/// Appends the object.
pub(crate) fn put(row: &Row<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    if serializer::put(&row.entry.named(interface::names()), out).is_err() {
        // Memory takes everything, and every key is text.
        out.truncate(start);
        out.extend_from_slice(b"{}");
    }
    if let Some(id) = row.entry.cgroup_id() {
        cgroup::with_path(id, |path| add(out, "cgroup", |out| put_text(path, out)));
    }
    if let Some(holders) = row.holders {
        add(out, "process", |out| holders.put_json(out));
    }
}

/// Adds a key to the object at the end.
fn add(out: &mut Vec<u8>, key: &str, put: impl FnOnce(&mut Vec<u8>)) {
    let end = out.pop();
    out.extend_from_slice(if out.last() == Some(&b'{') { b"\"" } else { b",\"" });
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    put(out);
    out.extend(end);
}
