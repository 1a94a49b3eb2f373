//! `/api/connections`: the sockets themselves, as `list --format json` has them.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use sockdiag::Tell;
use tokio::sync::mpsc;

use crate::{cli::SelectArgs, column::Row, error::Error, json, process::Processes, source::Source};

/// Which sockets a client wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    select: SelectArgs,
    limit: Option<usize>,
    with_process: bool,
}

/// A part of the answer.
#[derive(Debug)]
pub(super) enum Piece {
    Text(Bytes),
    End,
    Failure(Error),
}

/// So much is sent at once.
const PIECE_LEN: usize = 32 << 10;

/// So long an answer may take.
const PATIENCE: Duration = Duration::from_secs(300);

impl Question {
    /// Reads what is behind the question mark of an address.
    pub(super) fn parse(query: Option<&str>, netns: Option<&str>) -> Result<Self, String> {
        let mut question = Self::default();
        question.select.netns = netns.map(str::to_owned);
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value)
                .decode_utf8()
                .map_err(|_| format!("the value of {name} is not text"))?;
            match name {
                "filter" => question.select.filter = vec![value.into_owned()],
                "limit" => {
                    let limit = value.parse().map_err(|_| {
                        format!("limit is {value:?}, not a number from 0 to {}", usize::MAX)
                    })?;
                    question.limit = Some(limit);
                }
                "process" => {
                    question.with_process = match &*value {
                        "" | "1" | "true" => true,
                        "0" | "false" => false,
                        _ => return Err(format!("{value:?} is neither true nor false")),
                    };
                }
                _ => {
                    return Err(format!("{name:?} is none of filter, limit and process"));
                }
            }
        }
        Ok(question)
    }

    /// Sends the answer, as fast as the client takes it, and stops if it goes away.
    pub(super) fn answer(&self, pieces: &mpsc::Sender<Piece>) {
        let last = match self.list(pieces) {
            Ok(()) => Piece::End,
            Err(error) => Piece::Failure(error),
        };
        let _ = pieces.blocking_send(last);
    }

    fn list(&self, pieces: &mpsc::Sender<Piece>) -> Result<(), Error> {
        let source = Source::new(&self.select, Tell::ALL)?;
        let processes = self.with_process.then(Processes::scan).transpose()?;
        let deadline = Instant::now() + PATIENCE;
        let mut text = Vec::with_capacity(PIECE_LEN + (8 << 10));
        text.push(b'[');
        let mut left = self.limit.unwrap_or(usize::MAX);
        let mut is_first = true;
        if left > 0 {
            source.for_each(|entry| {
                text.extend_from_slice(if is_first { b"\n" } else { b",\n" });
                is_first = false;
                let holders = processes.as_ref().map(|all| all.holders(entry.inode()));
                json::put(&Row::new(entry, holders), &mut text);
                left -= 1;
                if text.len() >= PIECE_LEN {
                    let piece = Piece::Text(Bytes::copy_from_slice(&text));
                    text.clear();
                    if pieces.blocking_send(piece).is_err() {
                        return Err(Error::Unwanted);
                    }
                    if Instant::now() > deadline {
                        return Err(Error::failure("the client takes too long"));
                    }
                }
                Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        text.extend_from_slice(if is_first { b"]\n" } else { b"\n]\n" });
        let _ = pieces.blocking_send(Piece::Text(text.into()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let question = |text| Question::parse(Some(text), None);
        let all = question("filter=dport+%3D+%3A443&limit=7&process=1").unwrap();
        assert_eq!(all.select.filter, ["dport = :443"]);
        assert_eq!((all.limit, all.with_process), (Some(7), true));
        assert!(question("").unwrap().select.filter.is_empty());
        assert!(!question("process=false&&").unwrap().with_process);
        let beyond = question("limit=99999999999999999999").unwrap_err();
        assert!(beyond.contains(&format!("from 0 to {}", usize::MAX)), "{beyond}");
        for wrong in ["limit=", "limit=-1", "limit=x", "process=no", "filter=%ff", "what=ever"] {
            assert!(question(wrong).is_err(), "{wrong}");
        }
    }
}
