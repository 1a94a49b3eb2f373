//! One request over HTTP/2.
//!
//! On h2 itself, because hyper's client passes over interim responses in silence.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http_body_util::BodyExt as _;
use hyper::{
    Request, Response,
    body::Body as _,
    header::{CONNECTION, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE},
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    failure::Cause,
    interim::{Held, Interims},
    stamp::Stamps,
};

/// Begins to speak HTTP/2 on the stream.
pub(crate) async fn open(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Bytes>, Cause> {
    let (sender, connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(WINDOW_LEN)
        .initial_connection_window_size(WINDOW_LEN)
        .max_header_list_size(MAX_HEADER_LIST_LEN)
        .max_send_buffer_size(MAX_UNSENT_LEN)
        .handshake(stream)
        .await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends the request and waits for the head of the response.
pub(crate) async fn ask(
    sender: &mut SendRequest<Bytes>,
    request: Request<Held>,
    interims: &Interims,
    stamps: &Stamps,
) -> Result<Response<RecvStream>, h2::Error> {
    let (mut head, payload) = request.into_parts();
    remove_what_is_of_http1(&mut head.headers);
    let head = Request::from_parts(head, ());
    // What the connection cannot take has not reached the server.
    let ready = poll_fn(|cx| sender.poll_ready(cx)).await;
    let begun = ready.and_then(|()| sender.send_request(head, payload.is_end_stream()));
    let (response, sending) = begun.inspect_err(|_| stamps.refused())?;
    if !payload.is_end_stream() {
        tokio::spawn(send(payload, sending, stamps.clone()));
    }
    let mut response = pin!(response);
    poll_fn(|cx| poll_head(response.as_mut(), interims, stamps, cx)).await
}

fn poll_head(
    mut response: Pin<&mut ResponseFuture>,
    interims: &Interims,
    stamps: &Stamps,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<RecvStream>, h2::Error>> {
    while let Some(interim) = std::task::ready!(response.poll_informational(cx)) {
        let interim = interim?;
        stamps.interim();
        interims.push(interim.status(), interim.headers());
    }
    response.poll(cx)
}

/// Sends the body as fast as the server's window lets it.
async fn send(mut payload: Held, mut stream: SendStream<Bytes>, stamps: Stamps) {
    while let Some(frame) = payload.frame().await {
        let mut data = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => {
                stamps.payload_failed(Arc::new(error));
                stream.send_reset(Reason::CANCEL);
                return;
            }
        };
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            // The server may end the stream before it has read everything.
            let Some(Ok(capacity)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
            let piece = data.split_to(capacity.min(data.len()));
            let is_last = data.is_empty() && payload.is_end_stream();
            if stream.send_data(piece, is_last).is_err() {
                return;
            }
        }
    }
}

/// RFC 9113, section 8.2.2: fields about the connection make a request malformed.
fn remove_what_is_of_http1(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(HeaderName::from_static(name));
    }
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
}

/// So large that a download is bound by TCP: 1 Gbit/s at 130 ms. A slow `--output` makes this much
/// wait in memory.
const WINDOW_LEN: u32 = 16 << 20;
/// What HTTP/2 may hold of the request body.
const MAX_UNSENT_LEN: usize = 256 * 1024;
/// Bounds a response head, far above what real servers send.
const MAX_HEADER_LIST_LEN: u32 = 512 * 1024;
