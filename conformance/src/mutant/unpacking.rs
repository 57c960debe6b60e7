//! Unpacking answers that nobody asked to be packed (reading R53).

use std::io::Read as _;
use std::sync::Arc;

use async_trait::async_trait;
use flate2::read::{GzDecoder, ZlibDecoder};
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use mimi_linearized::id::ServerName;
use mimi_transport::client::{CallLimits, Carrier, ClientError, Message, Response};

use super::seen;

/// How much of an answer is unpacked, in bytes: all that says anything.
const UNPACKED: u64 = 1024 * 1024;

struct Unpacking {
    inner: Arc<dyn Carrier>,
    endpoints: &'static [&'static str],
}

/// Unpacks the answers of these endpoints, however large they are as they come.
pub(super) fn wrap(inner: Arc<dyn Carrier>, endpoints: &'static [&'static str]) -> Arc<dyn Carrier> {
    Arc::new(Unpacking { inner, endpoints })
}

#[async_trait]
impl Carrier for Unpacking {
    async fn carry(
        &self,
        destination: &ServerName,
        message: Message,
        limits: CallLimits,
    ) -> Result<Response, ClientError> {
        if !self.endpoints.contains(&seen::endpoint(message.target.as_str())) {
            return self.inner.carry(destination, message, limits).await;
        }
        let limits = CallLimits { timeout: limits.timeout, ..CallLimits::default() };
        let mut response = self.inner.carry(destination, message, limits).await?;
        let mut whole = Vec::new();
        let read = match response.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            Some(b"gzip") => GzDecoder::new(&*response.body).take(UNPACKED).read_to_end(&mut whole),
            Some(b"deflate") => ZlibDecoder::new(&*response.body).take(UNPACKED).read_to_end(&mut whole),
            _ => return Ok(response),
        };
        if read.is_ok() {
            response.body = whole.into();
        }
        Ok(response)
    }
}
