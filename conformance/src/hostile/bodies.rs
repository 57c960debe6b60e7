//! Bodies that do not come to a proper end.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use hyper::body::{Body, Frame};
use tokio::time::{Interval, interval};

/// The pause between the bytes of a body that drips.
const DRIP: Duration = Duration::from_secs(1);
/// How much white space there is at once.
const SPACES: &[u8] = &[b' '; 16 * 1024];

/// A body that does not come to a proper end.
pub(super) enum Unending {
    /// It comes when this is over, if ever.
    Stalled(Pin<Box<dyn Future<Output = ()> + Send>>, Bytes),
    /// It comes by a byte at a time until this is over, and then at once.
    Dripping(Pin<Box<dyn Future<Output = ()> + Send>>, Interval, Bytes),
    /// It is cut off behind this.
    Cut(Option<Bytes>),
    /// It goes on for ever behind this.
    Endless(Option<Bytes>),
    /// There is no more of it.
    Over,
}

impl fmt::Debug for Unending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unending").finish_non_exhaustive()
    }
}

impl Unending {
    pub(super) fn stalled(until: impl Future<Output = ()> + Send + 'static, body: Bytes) -> Self {
        Self::Stalled(Box::pin(until), body)
    }

    pub(super) fn dripping(until: impl Future<Output = ()> + Send + 'static, body: Bytes) -> Self {
        Self::Dripping(Box::pin(until), interval(DRIP), body)
    }

    pub(super) fn cut(body: Bytes) -> Self {
        Self::Cut(Some(body))
    }

    pub(super) fn endless(body: Bytes) -> Self {
        Self::Endless(Some(body))
    }
}

impl Body for Unending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let data = match this {
            Self::Stalled(until, body) => {
                ready!(until.as_mut().poll(ctx));
                let body = std::mem::take(body);
                *this = Self::Over;
                Some(Ok(body))
            }
            Self::Dripping(_, _, body) if body.is_empty() => None,
            Self::Dripping(until, pause, body) => {
                if until.as_mut().poll(ctx).is_ready() {
                    let body = std::mem::take(body);
                    *this = Self::Over;
                    return Poll::Ready(Some(Ok(Frame::data(body))));
                }
                ready!(pause.poll_tick(ctx));
                let byte = body.slice(..1);
                body.advance(1);
                Some(Ok(byte))
            }
            Self::Cut(body) => match body.take() {
                Some(body) => Some(Ok(body)),
                None => Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted))),
            },
            Self::Endless(body) => Some(Ok(body.take().unwrap_or(Bytes::from_static(SPACES)))),
            Self::Over => None,
        };
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }
}
