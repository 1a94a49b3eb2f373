//! Comma-separated values (RFC 4180, with the line ends of this system): numbers without unit, times
//! in nanoseconds, which their names say; nothing where nothing is known.

use crate::{
    column::{Column, Row, Unit},
    text::Put as _,
};

/// How they are written.
#[derive(Debug)]
pub(crate) struct Csv {
    pub(crate) columns: Vec<Column>,
    pub(crate) has_header: bool,
}

impl Csv {
    pub(crate) fn put_header(&self, out: &mut Vec<u8>) {
        if !self.has_header {
            return;
        }
        for (position, column) in self.columns.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            out.put(column.name);
            if column.unit == Unit::Time {
                out.put("_ns");
            }
        }
        out.push(b'\n');
    }

    #[inline]
    pub(crate) fn put(&self, row: &Row<'_>, out: &mut Vec<u8>) {
        for (position, column) in self.columns.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            (column.value)(row).put_field(out);
        }
        out.push(b'\n');
    }
}
