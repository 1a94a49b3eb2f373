//! What upper layer protocols tell of themselves.

use std::sync::LazyLock;

use sockdiag::{MptcpSubflowInfo, Tell, TlsInfo, TlsPlace};

use super::{
    Column, Row, Unit, Value,
    catalogue::{hex, plain, told},
};

/// A column for each of their facts.
pub(crate) fn columns() -> &'static [Column] {
    static ALL: LazyLock<Vec<Column>> = LazyLock::new(of_tls_and_multipath);
    &ALL
}

fn tls(row: &Row<'_>) -> Option<TlsInfo> {
    row.entry.ulp()?.tls()
}

fn path(row: &Row<'_>) -> Option<MptcpSubflowInfo> {
    row.entry.ulp()?.mptcp()
}

fn place(place: Option<TlsPlace>) -> Value<'static> {
    match place {
        None => Value::Absent,
        Some(TlsPlace::Program) => Value::Word("program"),
        Some(TlsPlace::Software) => Value::Word("software"),
        Some(TlsPlace::Device) => Value::Word("device"),
        Some(TlsPlace::DeviceRecord) => Value::Word("device-record"),
        Some(TlsPlace::Unknown(number)) => Value::Number(u64::from(number)),
        Some(_) => Value::Word("unknown"),
    }
}

fn of_tls_and_multipath() -> Vec<Column> {
    use Unit::{Bytes, Count, Text};

    let of = |name, heading, help, unit, value| {
        told(Tell::INFO, plain(name, heading, help, unit, value))
    };
    vec![
        of("tls_version", "TLS-VERSION", "Version of TLS, such as 0x304 for 1.3", Text, |row| {
            hex(tls(row).and_then(|tls| tls.version).map(u64::from))
        }),
        of("tls_cipher", "TLS-CIPHER", "Number of the cipher (TLS_CIPHER_*)", Count, |row| {
            tls(row).and_then(|tls| tls.cipher).into()
        }),
        of("tls_tx", "TLS-TX", "Who encrypts what is sent", Text, |row| {
            place(tls(row).and_then(|tls| tls.tx))
        }),
        of("tls_rx", "TLS-RX", "Who decrypts what is received", Text, |row| {
            place(tls(row).and_then(|tls| tls.rx))
        }),
        of(
            "tls_zero_copy",
            "TLS-ZERO-COPY",
            "Whether files are sent without a copy",
            Text,
            |row| tls(row).map(|tls| tls.is_zero_copy).into(),
        ),
        of(
            "tls_without_padding",
            "TLS-NO-PADDING",
            "Whether the program promised that the peer does not pad",
            Text,
            |row| tls(row).map(|tls| tls.is_without_padding).into(),
        ),
        of(
            "tls_tx_max_payload_len",
            "TLS-MAX-PAYLOAD",
            "Most payload in a record that is sent",
            Bytes,
            |row| tls(row).and_then(|tls| tls.tx_max_payload_len).into(),
        ),
        of(
            "mptcp_remote_token",
            "MPTCP-REMOTE-TOKEN",
            "The peer's token of the whole connection; absent on the path that it began with",
            Text,
            |row| hex(path(row).and_then(|path| path.remote_token).map(u64::from)),
        ),
        of(
            "mptcp_local_token",
            "MPTCP-LOCAL-TOKEN",
            "Our token of the whole connection, which its other paths share",
            Text,
            |row| hex(path(row).and_then(|path| path.local_token).map(u64::from)),
        ),
        of(
            "mptcp_remote_id",
            "MPTCP-REMOTE-ID",
            "The peer's number of its address on this path",
            Count,
            |row| path(row).and_then(|path| path.remote_id).into(),
        ),
        of(
            "mptcp_local_id",
            "MPTCP-LOCAL-ID",
            "Our number of our address on this path",
            Count,
            |row| path(row).and_then(|path| path.local_id).into(),
        ),
        of(
            "mptcp_map_seq",
            "MPTCP-MAP-SEQ",
            "Where the present mapping begins in the whole connection's data",
            Count,
            |row| path(row).and_then(|path| path.map_sequence).into(),
        ),
        of(
            "mptcp_map_subflow_seq",
            "MPTCP-MAP-SUBFLOW-SEQ",
            "Where the present mapping begins in the path's data",
            Count,
            |row| path(row).and_then(|path| path.map_subflow_sequence).into(),
        ),
        of("mptcp_map_data_len", "MPTCP-MAP-LEN", "Length of the present mapping", Bytes, |row| {
            path(row).and_then(|path| path.map_data_len).into()
        }),
        of(
            "mptcp_subflow_offset",
            "MPTCP-OFFSET",
            "Sequence number of the path's first byte",
            Count,
            |row| path(row).and_then(|path| path.subflow_offset).into(),
        ),
        of(
            "mptcp_relative_write_seq",
            "MPTCP-WRITE-SEQ",
            "Sequence number of what is written, relative to the path's first",
            Count,
            |row| path(row).and_then(|path| path.relative_write_sequence).into(),
        ),
        of("mptcp_flags", "MPTCP-FLAGS", "What the path is (MPTCP_SUBFLOW_FLAG_*)", Text, |row| {
            hex(path(row).and_then(|path| path.flags).map(u64::from))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use sockdiag::Entry;

    use super::*;

    fn attribute(number: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + payload.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(number.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn what_is_told_of_tls_has_columns() {
        let numbers = [(1, 0x304_u16), (2, 51), (3, 2), (4, 9), (7, 16_384)];
        let mut told =
            numbers.map(|(name, number)| attribute(name, &number.to_ne_bytes())).concat();
        told.extend(attribute(6, &[]));
        let ulp = [attribute(1, b"tls\0"), attribute(2, &told)].concat();
        let mut bytes = vec![0; 72];
        bytes[0] = 2;
        bytes[1] = 1;
        let bare = bytes.clone();
        bytes.extend(attribute(19, &ulp));
        let shown = |bytes: &[u8]| {
            let row = Row::new(Entry::from_bytes(bytes).unwrap(), None);
            let values = columns().iter().filter_map(|column| {
                let mut out = Vec::new();
                (column.value)(&row).put_exact(&mut out);
                Some(format!("{} {}", column.name, String::from_utf8(out).unwrap()))
                    .filter(|value| !value.ends_with(" -"))
            });
            values.collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&bytes),
            [
                "tls_version 0x304",
                "tls_cipher 51",
                "tls_tx software",
                "tls_rx 9",
                "tls_zero_copy no",
                "tls_without_padding yes",
                "tls_tx_max_payload_len 16384",
            ]
        );
        assert!(shown(&bare).is_empty());
    }
}
