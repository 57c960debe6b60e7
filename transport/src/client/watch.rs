//! Seeing what a client sends and gets.

use mimi_linearized::id::ServerName;

use super::{ClientError, RawRequest, Response};

/// Sees what a client sends and gets, for instance to keep a record of it. Each request is seen as it was sent, those that
/// are repeated every time.
pub trait Watch: Send + Sync + 'static {
    /// A request was answered, or failed. `None` if nobody waited for its end, because its time was over.
    fn exchanged(
        &self,
        to: &ServerName,
        request: &RawRequest,
        outcome: Option<Result<&Response, &ClientError>>,
    );
}

/// A request that is under way and seen in any case: also if what waits for it is dropped.
pub(super) struct Seen<'a> {
    watch: Option<&'a dyn Watch>,
    to: &'a ServerName,
    request: &'a RawRequest,
}

impl<'a> Seen<'a> {
    pub(super) fn new(watch: &'a dyn Watch, to: &'a ServerName, request: &'a RawRequest) -> Self {
        Self { watch: Some(watch), to, request }
    }

    pub(super) fn end(mut self, outcome: Result<Response, ClientError>) -> Result<Response, ClientError> {
        if let Some(watch) = self.watch.take() {
            watch.exchanged(self.to, self.request, Some(outcome.as_ref()));
        }
        outcome
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.exchanged(self.to, self.request, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    #[derive(Default)]
    struct Log(Mutex<Vec<&'static str>>);

    impl Watch for Log {
        fn exchanged(
            &self,
            _: &ServerName,
            _: &RawRequest,
            outcome: Option<Result<&Response, &ClientError>>,
        ) {
            let what = match outcome {
                None => "dropped",
                Some(Ok(_)) => "answered",
                Some(Err(_)) => "failed",
            };
            self.0.lock().unwrap().push(what);
        }
    }

    #[test]
    fn every_request_is_seen_once() {
        let (log, to) = (Log::default(), ServerName::parse("a.example").unwrap());
        let (method, headers, body) = (Method::GET, HeaderMap::new(), Bytes::new());
        let request = RawRequest { method, target: "/".to_owned(), headers, body };
        assert!(Seen::new(&log, &to, &request).end(Err(ClientError::NotAnObject)).is_err());
        drop(Seen::new(&log, &to, &request));
        assert_eq!(*log.0.lock().unwrap(), ["failed", "dropped"]);
    }
}
