//! The response body, and the rest of the request while it arrives.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use h3::{
    client::{RequestStream, SendRequest},
    error::StreamError,
};
use hyper::body::Frame;

use super::{
    failure::Broken,
    stream::{Backlog, Opener, Receiving},
};

/// The request body on its way.
pub(super) type Upload = Pin<Box<dyn Future<Output = Result<(), Unsent>> + Send>>;

/// Why a request body was not sent to its end.
pub(super) enum Unsent {
    /// It could not be read.
    Data(io::Error),
    /// The server wants no more of it, or is gone; the response will tell.
    Stream,
}

/// A response body as it arrives, with its trailers.
pub(crate) struct Body {
    stream: RequestStream<Receiving, Bytes>,
    upload: Option<Upload>,
    /// Bytes still to come, where the head said how many.
    missing: Option<u64>,
    backlog: Backlog,
    connection: quinn::Connection,
    /// When the last one goes, HTTP/3 ends.
    _keeper: SendRequest<Opener, Bytes>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Data,
    Trailers,
    Ended,
}

impl Body {
    pub(super) fn new(
        stream: RequestStream<Receiving, Bytes>,
        upload: Option<Upload>,
        missing: Option<u64>,
        backlog: Backlog,
        (connection, keeper): (quinn::Connection, SendRequest<Opener, Bytes>),
    ) -> Self {
        Self { stream, upload, missing, backlog, connection, _keeper: keeper, stage: Stage::Data }
    }

    /// Whether no data is left; trailers may be.
    pub(crate) fn is_empty(&self) -> bool {
        self.missing == Some(0)
    }

    fn broken(&self, error: StreamError) -> Broken {
        Broken::Stream { error, closed: self.connection.close_reason() }
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        let Poll::Ready(sent) = upload.as_mut().poll(cx) else { return Ok(()) };
        self.upload = None;
        match sent {
            Err(Unsent::Data(why)) => Err(Broken::Data(why)),
            Err(Unsent::Stream) | Ok(()) => Ok(()),
        }
    }

    /// Checks the length that the head promised, as RFC 9114, section 4.1.2 demands.
    fn count(&mut self, length: usize) -> Result<(), Broken> {
        let Some(missing) = &mut self.missing else { return Ok(()) };
        *missing = missing.checked_sub(length as u64).ok_or(Broken::Long)?;
        Ok(())
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        this.poll_upload(cx)?;
        if let Stage::Data = this.stage {
            let data = ready!(this.stream.poll_recv_data(cx));
            let data = data.map(|data| data.map(|mut data| data.copy_to_bytes(data.remaining())));
            match data {
                Ok(Some(data)) => {
                    this.backlog.clear();
                    this.count(data.len())?;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(None) => this.stage = Stage::Trailers,
                Err(error) => return Poll::Ready(Some(Err(this.broken(error)))),
            }
        }
        if let Stage::Trailers = this.stage {
            let trailers = ready!(this.stream.poll_recv_trailers(cx));
            this.stage = Stage::Ended;
            if this.missing.is_some_and(|missing| missing > 0) {
                return Poll::Ready(Some(Err(Broken::Short)));
            }
            match trailers {
                Ok(Some(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(this.broken(error)))),
            }
        }
        Poll::Ready(None)
    }
}
