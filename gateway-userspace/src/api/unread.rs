//! Requests that are answered before all of their body has come: a wrong token, an unknown path, a body that is too large.
//!
//! In HTTP/1.1 the rest would have to be read before the next request, so the connection is closed instead (RFC 9112,
//! section 9.3). Whoever is not told sends the next request on it, and loses it; so they are told (section 9.6). Whoever is
//! still sending when it is closed gets a reset, which takes the answer along; so the connection lingers: what they send is
//! thrown away until they close it too (the same section).

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Version};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Whether a connection lingers if it is closed now: the body of its last request has not been read to its end. Clones are
/// about the same connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Linger(Arc<AtomicBool>);

impl Linger {
    /// Whether somebody may still be sending on it.
    pub(super) fn is_due(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Says with an answer that the connection is closed after it, if it will be, and lets it linger.
pub(super) async fn told(request: Request<Body>, next: Next) -> Response {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let linger = request.extensions().get::<Linger>().cloned().unwrap_or_default();
    linger.0.store(true, Ordering::Relaxed);
    let watch = linger.clone();
    let mut response = next.run(request.map(|body| Body::new(Watched { body, linger: watch }))).await;
    if linger.is_due() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that notes when its end has been read.
struct Watched {
    body: Body,
    linger: Linger,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.linger.0.store(false, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
