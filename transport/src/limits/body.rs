//! Reading a body within its bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::RequestLimits;
use crate::error::ApiError;

/// In what portions memory for bodies is counted, in bytes.
const PORTION: usize = 1024;
/// How long a sender is asked to wait that found no memory for its body, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// The memory that there is for bodies.
#[derive(Debug, Clone)]
pub(super) struct BodyMemory(Arc<Semaphore>);

impl BodyMemory {
    pub(super) fn new(limits: &RequestLimits) -> Self {
        let portions = limits.bodies_bytes.div_ceil(PORTION).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(portions)))
    }
}

/// A body that was read, and its share of the memory that there is for bodies.
#[derive(Debug)]
pub(crate) struct ReadBody {
    pub(crate) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Reads a body. One that says that it is too large is not read at all.
pub(super) async fn read(
    limits: &RequestLimits,
    memory: &BodyMemory,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<ReadBody, ApiError> {
    let too_large = || ApiError::too_large(limits.body_bytes);
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let announced = announced.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > limits.body_bytes {
        return Err(too_large());
    }
    let started = Instant::now();
    let mut bytes = BytesMut::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    loop {
        let frame = match timeout_at(started + time_for(limits, bytes.len()), body.frame()).await {
            Err(_) => return Err(ApiError::too_slow("The body does not come fast enough.")),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(ApiError::not_json("the body did not arrive whole")),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limits.body_bytes.saturating_sub(bytes.len()) {
            return Err(too_large());
        }
        take_share(memory, &mut share, bytes.len().saturating_add(data.len()))?;
        bytes.extend_from_slice(&data);
    }
    Ok(ReadBody { bytes: bytes.freeze(), _share: share })
}

/// How long a body may take, so much of which has come.
fn time_for(limits: &RequestLimits, come: usize) -> Duration {
    let seconds = u64::try_from(come).unwrap_or(u64::MAX).checked_div(u64::from(limits.body_rate));
    let time = limits.body_grace.saturating_add(Duration::from_secs(seconds.unwrap_or(0)));
    time.min(limits.body_time)
}

/// Enlarges a body's share of the memory to its size.
fn take_share(
    memory: &BodyMemory,
    share: &mut Option<OwnedSemaphorePermit>,
    size: usize,
) -> Result<(), ApiError> {
    let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let more = size.div_ceil(PORTION).saturating_sub(held);
    if more == 0 {
        return Ok(());
    }
    let more =
        u32::try_from(more).ok().and_then(|more| Arc::clone(&memory.0).try_acquire_many_owned(more).ok());
    let Some(more) = more else { return Err(ApiError::overloaded(RETRY_MS)) };
    match share {
        Some(share) => share.merge(more),
        None => *share = Some(more),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::HeaderValue;
    use hyper::body::Frame;
    use tokio::sync::mpsc;

    use super::*;

    fn limits() -> RequestLimits {
        RequestLimits { body_bytes: 4 * PORTION, bodies_bytes: 6 * PORTION, ..RequestLimits::default() }
    }

    /// A body whose pieces come when they are sent.
    struct Pieces(mpsc::UnboundedReceiver<Bytes>);

    impl hyper::body::Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
        }
    }

    fn pieces() -> (mpsc::UnboundedSender<Bytes>, Body) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Body::new(Pieces(receiver)))
    }

    fn outcome(read: Result<ReadBody, ApiError>) -> Result<usize, (u16, String)> {
        read.map(|read| read.bytes.len()).map_err(|error| (error.status().as_u16(), error.code().to_string()))
    }

    #[tokio::test]
    async fn bodies_are_read_up_to_their_limit() {
        let (limits, memory) = (limits(), BodyMemory::new(&limits()));
        for (size, expected) in [
            (0, Ok(0)),
            (4 * PORTION, Ok(4 * PORTION)),
            (4 * PORTION + 1, Err((413, "M_TOO_LARGE".to_owned()))),
        ] {
            // In pieces, with no length announced.
            let (sender, body) = pieces();
            for piece in vec![b'x'; size].chunks(1_000) {
                sender.send(Bytes::copy_from_slice(piece)).unwrap();
            }
            drop(sender);
            assert_eq!(outcome(read(&limits, &memory, &HeaderMap::new(), body).await), expected);
        }
    }

    #[tokio::test]
    async fn a_body_that_says_that_it_is_too_large_is_not_read() {
        let (_sender, body) = pieces();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(4 * PORTION + 1));
        let read = read(&limits(), &BodyMemory::new(&limits()), &headers, body).await;
        assert_eq!(outcome(read), Err((413, "M_TOO_LARGE".to_owned())));
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_given_up() {
        let (sender, body) = pieces();
        sender.send(Bytes::from_static(b"{")).unwrap();
        let impatient = RequestLimits { body_grace: Duration::from_millis(1), ..limits() };
        let read = read(&impatient, &BodyMemory::new(&impatient), &HeaderMap::new(), body).await;
        assert_eq!(outcome(read), Err((408, "M_UNKNOWN".to_owned())));
        drop(sender);
    }

    #[test]
    fn what_has_come_buys_time_up_to_a_bound() {
        let limits = RequestLimits { body_rate: 100, ..RequestLimits::default() };
        assert_eq!(time_for(&limits, 0), Duration::from_secs(10));
        assert_eq!(time_for(&limits, 1_000), Duration::from_secs(20));
        assert_eq!(time_for(&limits, usize::MAX), Duration::from_secs(120));
        let no_rate = RequestLimits { body_rate: 0, ..limits };
        assert_eq!(time_for(&no_rate, 1_000), Duration::from_secs(10));
    }

    #[tokio::test]
    async fn bodies_share_their_memory() {
        let (limits, memory) = (limits(), BodyMemory::new(&limits()));
        let whole = || Body::from(vec![b'x'; 4 * PORTION]);
        let first = read(&limits, &memory, &HeaderMap::new(), whole()).await.unwrap();
        let second = read(&limits, &memory, &HeaderMap::new(), whole()).await;
        let refused = second.unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.retry_after_ms()), (503, Some(RETRY_MS)));
        drop(first);
        assert_eq!(outcome(read(&limits, &memory, &HeaderMap::new(), whole()).await), Ok(4 * PORTION));
    }
}
