//! Interim responses (100 to 199): what the server says before its answer.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{
    StatusCode,
    body::{Body, Frame, SizeHint},
    header::{EXPECT, HeaderMap},
};
use tokio::sync::oneshot;

use crate::payload::Upload;

/// An interim response and when it was there.
#[derive(Clone, Debug)]
pub(crate) struct Interim {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) at: Instant,
}

/// The interim responses of one exchange, shared with what receives them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interims(Arc<Mutex<Received>>);

#[derive(Debug, Default)]
struct Received {
    kept: Vec<Interim>,
    kept_bytes: usize,
    count: u64,
    /// Waits for the server's word to go on.
    waiting: Option<oneshot::Sender<()>>,
}

impl Interims {
    /// Takes note of one. Of very many, or very long ones, the first are kept.
    pub(crate) fn push(&self, status: StatusCode, headers: &HeaderMap) {
        self.with(|received| {
            received.count += 1;
            let length = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
            let total = length.fold(received.kept_bytes, usize::saturating_add);
            if received.kept.len() < MAX_KEPT && total <= MAX_KEPT_BYTES {
                received.kept_bytes = total;
                let headers = headers.clone();
                received.kept.push(Interim { status, headers, at: Instant::now() });
            }
            if status == StatusCode::CONTINUE
                && let Some(waiting) = received.waiting.take()
            {
                // A body that waited long enough has gone already.
                let _ = waiting.send(());
            }
        });
    }

    /// Those that were kept, in order.
    pub(crate) fn kept(&self) -> Vec<Interim> {
        self.with(|received| received.kept.clone())
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.with(|received| received.count)
    }

    /// The payload, which waits for 100 (Continue) if the request's header says so.
    pub(crate) fn hold(&self, payload: Upload, headers: &HeaderMap) -> Held {
        let expects = headers.get(EXPECT).is_some_and(|value| {
            value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"100-continue")
        });
        let gate = (expects && payload.len() > 0).then(|| -> Gate {
            let (sender, go_on) = oneshot::channel();
            self.with(|received| received.waiting = Some(sender));
            Box::pin(async {
                if let Ok(Err(_)) = tokio::time::timeout(PATIENCE, go_on).await {
                    // The answer is there without having seen the body.
                    std::future::pending::<()>().await;
                }
            })
        });
        Held { payload, gate }
    }

    /// The final response is there: a payload that still waits is not wanted.
    pub(crate) fn answered(&self) {
        self.with(|received| received.waiting = None);
    }

    fn with<T>(&self, look: impl FnOnce(&mut Received) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request body that may have to wait.
pub(crate) struct Held {
    payload: Upload,
    gate: Option<Gate>,
}

type Gate = Pin<Box<dyn Future<Output = ()> + Send>>;

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("payload", &self.payload).finish_non_exhaustive()
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        if let Some(gate) = &mut self.gate {
            std::task::ready!(gate.as_mut().poll(cx));
            self.gate = None;
        }
        Pin::new(&mut self.payload).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.payload.size_hint()
    }
}

/// How long a body waits for 100 (Continue), as curl's does. RFC 9110, section 10.1.1, asks not to
/// wait for ever.
const PATIENCE: Duration = Duration::from_secs(1);
const MAX_KEPT: usize = 16;
const MAX_KEPT_BYTES: usize = 64 * 1024;
