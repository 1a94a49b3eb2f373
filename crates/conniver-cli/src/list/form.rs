//! The forms in which sockets are written.

use sockdiag::Tell;

use super::{Csv, Long, Table, table::Extent, told};
use crate::{column::Row, json};

/// In which form sockets are written.
#[derive(Debug)]
pub(crate) enum Form {
    Table(Table),
    Long(Long),
    Csv(Csv),
    Json,
    Jsonl,
}

impl Form {
    /// What the kernel has to be asked for.
    pub(crate) fn tell(&self) -> Tell {
        match self {
            Self::Table(table) => told(&table.columns),
            Self::Csv(csv) => told(&csv.columns),
            Self::Long(_) | Self::Json | Self::Jsonl => Tell::ALL,
        }
    }

    /// Whether columns show who holds a socket.
    pub(crate) fn needs_holders(&self) -> bool {
        let columns = match self {
            Self::Table(table) => &*table.columns,
            Self::Csv(csv) => &*csv.columns,
            Self::Long(_) | Self::Json | Self::Jsonl => &[],
        };
        columns.iter().any(|column| column.needs_holders)
    }

    /// Appends a socket, as far as that goes without knowing of the others.
    #[inline]
    pub(crate) fn put(&self, row: &Row<'_>, out: &mut Vec<u8>, extents: &mut [Extent]) {
        match self {
            Self::Table(table) => table.put_cells(row, out, extents),
            Self::Long(long) => long.put(row, out),
            Self::Csv(csv) => csv.put(row, out),
            Self::Json => {
                out.extend_from_slice(b",\n");
                json::put(row, out);
            }
            Self::Jsonl => {
                json::put(row, out);
                out.push(b'\n');
            }
        }
    }
}
