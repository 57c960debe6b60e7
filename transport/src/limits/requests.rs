//! The bounds of a single request, and checking its head.

use std::time::Duration;

use http::request::Parts;

use crate::error::ApiError;

/// What a header costs beside its name and value (RFC 9113 §6.5.2).
const HEADER_OVERHEAD: usize = 32;

/// The bounds of single requests. What is beyond them is answered as reading R44 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// The length of the path and query, in bytes; beyond it 414 `M_TOO_LARGE`. 8 KiB unless set.
    pub path_bytes: usize,
    /// The number of headers; beyond it 431 `M_TOO_LARGE`. 100 unless set.
    pub headers: usize,
    /// The size of all headers, in bytes, counted as HTTP/2 counts them; beyond it 431 `M_TOO_LARGE`. 32 KiB unless set.
    pub header_bytes: usize,
    /// The size of a body, in bytes; beyond it 413 `M_TOO_LARGE`. 16 MiB unless set: fifty events and a hundred EDUs of
    /// the largest kind, with room for escapes.
    pub body_bytes: usize,
    /// How long a body may take before its speed counts; after that it is answered 408. 10 s unless set.
    pub body_grace: Duration,
    /// How many bytes of a body have to come in a second on average, the grace excepted. 16 KiB unless set.
    pub body_rate: u32,
    /// How long a body may take at most, however fast it comes. 2 minutes unless set.
    pub body_time: Duration,
    /// How many bytes of bodies may be in memory at the same time; a further one is answered 503. 256 MiB unless set.
    pub bodies_bytes: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            path_bytes: 8 * 1024,
            headers: 100,
            header_bytes: 32 * 1024,
            body_bytes: 16 * 1024 * 1024,
            body_grace: Duration::from_secs(10),
            body_rate: 16 * 1024,
            body_time: Duration::from_secs(120),
            bodies_bytes: 256 * 1024 * 1024,
        }
    }
}

impl RequestLimits {
    /// Checks the length of a request's target and its headers.
    pub(super) fn check_head(&self, parts: &Parts) -> Result<(), ApiError> {
        let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if target > self.path_bytes {
            return Err(ApiError::target_too_long(self.path_bytes));
        }
        if parts.headers.len() > self.headers {
            return Err(ApiError::head_too_large(format!(
                "The request has more than {} headers.",
                self.headers
            )));
        }
        let sizes =
            parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER_OVERHEAD);
        if sizes.sum::<usize>() > self.header_bytes {
            let message = format!("The headers are larger than {} bytes.", self.header_bytes);
            return Err(ApiError::head_too_large(message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(limits: &RequestLimits, target: &str, headers: &[(&str, &str)]) -> Result<(), (u16, String)> {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        limits.check_head(&parts).map_err(|error| (error.status().as_u16(), error.code().to_string()))
    }

    #[test]
    fn long_heads_are_refused() {
        let limits =
            RequestLimits { path_bytes: 10, headers: 2, header_bytes: 80, ..RequestLimits::default() };
        let too_large = |status| Err((status, "M_TOO_LARGE".to_owned()));
        assert_eq!(check(&limits, "/345678?0", &[]), Ok(()));
        assert_eq!(check(&limits, "/345678?01", &[]), Ok(()));
        assert_eq!(check(&limits, "/345678?012", &[]), too_large(414));
        assert_eq!(check(&limits, "/", &[("a", "1"), ("a", "2")]), Ok(()));
        assert_eq!(check(&limits, "/", &[("a", "1"), ("a", "2"), ("b", "3")]), too_large(431));
        assert_eq!(check(&limits, "/", &[("a", &"1".repeat(47))]), Ok(()));
        assert_eq!(check(&limits, "/", &[("a", &"1".repeat(48))]), too_large(431));
    }
}
