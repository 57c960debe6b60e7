//! `multipart/mixed` of two parts (RFC 2046 §5.1), as Matrix 1.11 has media between servers: first what is said of the item,
//! in JSON, and then the item.
//!
//! It is read as it arrives, in a memory that does not grow with the item.

use http::{HeaderMap, HeaderName, HeaderValue};
use mime::Mime;
use mimi_linearized::base64;

use super::About;

/// The most bytes before the first part, or of a part's headers.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// What stands around an item.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) content_type: String,
    pub(super) before: String,
    pub(super) after: String,
}

impl Envelope {
    /// Around an item of which this is said.
    pub(super) fn of(about: &About, said: &serde_json::Value) -> Self {
        // Nobody can have put it into the item.
        let boundary = base64::encode_url_safe(&rand::random::<[u8; 24]>());
        let (kind, disposition) = (&about.content_type, about.disposition());
        let before = format!(
            "--{boundary}\r\nContent-Type: application/json\r\n\r\n{said}\r\n\
             --{boundary}\r\nContent-Type: {kind}\r\nContent-Disposition: {disposition}\r\n\r\n"
        );
        let content_type = format!("multipart/mixed; boundary={boundary}");
        Self { content_type, before, after: format!("\r\n--{boundary}--\r\n") }
    }
}

/// Why a body is not of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum MultipartError {
    #[error("its type is not multipart/mixed with a boundary")]
    Type,
    #[error("there is no boundary where one should be")]
    Boundary,
    #[error("a part's headers are malformed or too long")]
    Headers,
    #[error("there are more than two parts")]
    Parts,
    #[error("it ends too early")]
    End,
}

/// What comes out of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A part begins, with these headers.
    Part(HeaderMap),
    /// Bytes of the part.
    Bytes(Vec<u8>),
}

/// Reads a body piece by piece.
#[derive(Debug)]
pub(super) struct Reader {
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    state: State,
    parts: u8,
    skipped: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    AfterDelimiter,
    Headers,
    Content,
    Done,
}

impl Reader {
    /// For a body of this type.
    pub(super) fn new(content_type: Option<&HeaderValue>) -> Result<Self, MultipartError> {
        let kind = content_type.and_then(|value| value.to_str().ok()?.parse::<Mime>().ok());
        let kind = kind.filter(|kind| kind.essence_str() == "multipart/mixed").ok_or(MultipartError::Type)?;
        let boundary = kind.get_param("boundary").map(|boundary| boundary.as_str());
        let boundary = boundary.filter(|b| (1..=70).contains(&b.len())).ok_or(MultipartError::Type)?;
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first delimiter may stand at the very beginning.
        let buffer = b"\r\n".to_vec();
        Ok(Self { delimiter, buffer, state: State::Preamble, parts: 0, skipped: 0 })
    }

    /// Takes what has arrived.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, MultipartError> {
        let mut pieces = Vec::new();
        if self.state == State::Done {
            return Ok(pieces);
        }
        self.buffer.extend_from_slice(bytes);
        while self.step(&mut pieces)? {}
        Ok(pieces)
    }

    /// Nothing more comes.
    pub(super) fn finish(&self) -> Result<(), MultipartError> {
        if self.state == State::Done && self.parts == 2 { Ok(()) } else { Err(MultipartError::End) }
    }

    /// One step, if there is enough for it.
    fn step(&mut self, pieces: &mut Vec<Piece>) -> Result<bool, MultipartError> {
        match self.state {
            State::Preamble => {
                let (skipped, found) = self.up_to_delimiter();
                self.skipped = self.skipped.saturating_add(skipped.len());
                if self.skipped > MAX_HEAD_BYTES {
                    return Err(MultipartError::Boundary);
                }
                Ok(self.go_if(found, State::AfterDelimiter))
            }
            State::AfterDelimiter => self.after_delimiter(),
            State::Headers => self.headers(pieces),
            State::Content => {
                let (content, found) = self.up_to_delimiter();
                if !content.is_empty() {
                    pieces.push(Piece::Bytes(content));
                }
                Ok(self.go_if(found, State::AfterDelimiter))
            }
            State::Done => {
                self.buffer.clear();
                Ok(false)
            }
        }
    }

    fn go_if(&mut self, found: bool, state: State) -> bool {
        if found {
            self.state = state;
        }
        found
    }

    fn after_delimiter(&mut self) -> Result<bool, MultipartError> {
        if self.buffer.starts_with(b"--") {
            self.state = State::Done;
            return Ok(true);
        }
        let Some(end) = find(&self.buffer, b"\r\n") else {
            // Only blanks may come before the end of the line.
            let fits = self.buffer.len() <= MAX_HEAD_BYTES
                && self.buffer.iter().all(|b| matches!(b, b' ' | b'\t' | b'-' | b'\r'));
            return if fits { Ok(false) } else { Err(MultipartError::Boundary) };
        };
        let line: Vec<u8> = self.buffer.drain(..end.saturating_add(2)).collect();
        if line.iter().any(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
            return Err(MultipartError::Boundary);
        }
        self.parts = self.parts.saturating_add(1);
        if self.parts > 2 {
            return Err(MultipartError::Parts);
        }
        self.state = State::Headers;
        Ok(true)
    }

    fn headers(&mut self, pieces: &mut Vec<Piece>) -> Result<bool, MultipartError> {
        let head = if self.buffer.starts_with(b"\r\n") {
            self.buffer.drain(..2);
            Vec::new()
        } else if let Some(end) = find(&self.buffer, b"\r\n\r\n").filter(|end| *end <= MAX_HEAD_BYTES) {
            self.buffer.drain(..end.saturating_add(4)).take(end).collect()
        } else if self.buffer.len() > MAX_HEAD_BYTES {
            return Err(MultipartError::Headers);
        } else {
            return Ok(false);
        };
        let mut headers = HeaderMap::new();
        let text = std::str::from_utf8(&head).map_err(|_| MultipartError::Headers)?;
        for line in text.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(MultipartError::Headers)?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| MultipartError::Headers)?;
            let value =
                HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| MultipartError::Headers)?;
            headers.append(name, value);
        }
        pieces.push(Piece::Part(headers));
        self.state = State::Content;
        Ok(true)
    }

    /// Takes out what is certain to stand before a delimiter, and the delimiter if it is there.
    fn up_to_delimiter(&mut self) -> (Vec<u8>, bool) {
        let delimiter = self.delimiter.len();
        match find(&self.buffer, &self.delimiter) {
            Some(at) => {
                let before = self.buffer.drain(..at).collect();
                self.buffer.drain(..delimiter);
                (before, true)
            }
            None => {
                let certain = self.buffer.len().saturating_sub(delimiter.saturating_sub(1));
                (self.buffer.drain(..certain).collect(), false)
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|b| *b == first) {
        let at = at.saturating_add(from);
        if bytes.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        from = at.saturating_add(1);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The parts of a body that comes in pieces of this size: headers and contents.
    fn parts(boundary: &str, body: &[u8], size: usize) -> Result<Vec<(HeaderMap, Vec<u8>)>, MultipartError> {
        let kind = HeaderValue::from_str(&format!("multipart/mixed; boundary=\"{boundary}\"")).unwrap();
        let mut reader = Reader::new(Some(&kind))?;
        let mut parts = Vec::new();
        for piece in body.chunks(size) {
            for piece in reader.push(piece)? {
                match piece {
                    Piece::Part(headers) => parts.push((headers, Vec::new())),
                    Piece::Bytes(bytes) => parts.last_mut().unwrap().1.extend(bytes),
                }
            }
        }
        reader.finish()?;
        Ok(parts)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(content in any::<Vec<u8>>(), size in 1_usize..200) {
            let about = About::new(Some("image/png"), Some("a.png"));
            let envelope = Envelope::of(&about, &json!({"a": 1}));
            let body = [envelope.before.as_bytes(), &content, envelope.after.as_bytes()].concat();
            let kind = HeaderValue::from_str(&envelope.content_type).unwrap();
            let boundary = kind.to_str().unwrap().rsplit('=').next().unwrap().to_owned();
            let read = parts(&boundary, &body, size).unwrap();
            prop_assert_eq!(&read[0].1, br#"{"a":1}"#);
            prop_assert_eq!(&read[1].1, &content);
            let said = About::of_headers(read[1].0.get("content-type"), read[1].0.get("content-disposition"));
            prop_assert_eq!(said, about);
        }

        #[test]
        fn nothing_makes_it_stumble(body in "(\r\n|--|x|b|: |[a-z]|\r|\n){0,60}", size in 1_usize..20) {
            let _ = parts("b", body.as_bytes(), size);
        }
    }

    #[test]
    fn other_peoples_ways_of_writing_it_are_read() {
        let read = |body: &str| {
            [1, 3, 1_000].map(|size| {
                let parts = parts("b", body.as_bytes(), size)?;
                Ok::<_, MultipartError>(
                    parts
                        .into_iter()
                        .map(|(_, content)| String::from_utf8(content).unwrap())
                        .collect::<Vec<_>>(),
                )
            })
        };
        for body in [
            "--b\r\n\r\n{}\r\n--b\r\n\r\nitem\r\n--b--",
            "\r\n--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\n\r\nitem\r\n--b--\r\n",
            "preamble\r\n--b  \r\nA:b\r\n\r\n{}\r\n--b\t\r\n\r\nitem\r\n--b-- \r\nepilogue\r\n--b\r\n",
        ] {
            for parts in read(body) {
                assert_eq!(parts.unwrap(), ["{}", "item"], "{body:?}");
            }
        }
        for parts in read("--b\r\n\r\n{}\r\n--b\r\nx: y\r\n\r\n\r\n--b--") {
            assert_eq!(parts.unwrap(), ["{}", ""], "an empty item");
        }
        for parts in read("--b\r\n\r\n{}\r\n--b\r\n\r\n--bb\r\n-b\r\n--\r\n--b--") {
            assert!(parts.is_err() || parts.unwrap()[1].contains("-b"));
        }
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        for (body, error) in [
            ("", MultipartError::End),
            ("--b", MultipartError::End),
            ("--b\r\n\r\n{}\r\n--b--", MultipartError::End),
            ("--b\r\n\r\n{}\r\n--b\r\n\r\nitem", MultipartError::End),
            ("--b\r\n\r\n{}\r\n--b\r\n\r\nitem\r\n--", MultipartError::End),
            ("--bx\r\n\r\n{}", MultipartError::Boundary),
            ("--b\r\nno header\r\n\r\n", MultipartError::Headers),
            ("--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--", MultipartError::Parts),
        ] {
            assert_eq!(parts("b", body.as_bytes(), 2).unwrap_err(), error, "{body:?}");
        }
        let long = "x".repeat(MAX_HEAD_BYTES + 100);
        assert_eq!(parts("b", long.as_bytes(), 100).unwrap_err(), MultipartError::Boundary);
        let long = format!("--b\r\nx: {long}");
        assert_eq!(parts("b", long.as_bytes(), 100).unwrap_err(), MultipartError::Headers);
        for kind in ["text/plain; boundary=b", "multipart/mixed", "multipart/mixed; boundary="] {
            assert_eq!(Reader::new(Some(&HeaderValue::from_static(kind))).unwrap_err(), MultipartError::Type);
        }
    }
}
