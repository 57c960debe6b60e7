//! What is said of an item beside its bytes: its type and its name, made safe for headers.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use mime::Mime;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest type and the longest file name, in bytes.
const MAX_TEXT_BYTES: usize = 255;

/// What may stand in an extended parameter as it is (RFC 8187 §3.2.1).
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Types that a browser may show in place: they cannot have scripts.
const INLINE: &[&str] = &[
    "text/plain",
    "text/csv",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/flac",
];

/// What an item is said to be. Nobody has looked whether it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its media type, `application/octet-stream` if nothing sound was said.
    pub content_type: String,
    /// Its file name, without any path.
    pub filename: Option<String>,
}

impl Default for About {
    fn default() -> Self {
        Self { content_type: mime::APPLICATION_OCTET_STREAM.to_string(), filename: None }
    }
}

impl About {
    /// Takes what somebody said, as far as it is sound.
    #[must_use]
    pub fn new(content_type: Option<&str>, filename: Option<&str>) -> Self {
        let read = |text: &str| (text.len() <= MAX_TEXT_BYTES).then(|| text.parse::<Mime>().ok()).flatten();
        let content_type = content_type.and_then(read).unwrap_or(mime::APPLICATION_OCTET_STREAM);
        Self { content_type: content_type.to_string(), filename: filename.and_then(clean) }
    }

    /// By headers `Content-Type` and `Content-Disposition`.
    pub(super) fn of_headers(content_type: Option<&HeaderValue>, disposition: Option<&HeaderValue>) -> Self {
        let text =
            |value: Option<&HeaderValue>| value.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let filename = text(disposition).and_then(|disposition| filename_of(&disposition));
        Self::new(text(content_type).as_deref(), filename.as_deref())
    }

    /// The value of `Content-Disposition` (RFC 6266). What a browser could run is for saving, never for showing.
    pub(super) fn disposition(&self) -> String {
        let essence = self.essence();
        let kind = if INLINE.contains(&essence.as_str()) { "inline" } else { "attachment" };
        match &self.filename {
            None => kind.to_owned(),
            Some(name) => format!("{kind}; filename*=UTF-8''{}", utf8_percent_encode(name, ATTRIBUTE)),
        }
    }

    /// The type without parameters, in small letters.
    pub(super) fn essence(&self) -> String {
        let essence = self.content_type.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }
}

/// The last part of a path, without control characters; `None` if nothing is left.
fn clean(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    let clean = clean.get(..clean.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or_default();
    (!matches!(clean, "" | "." | "..")).then(|| clean.to_owned())
}

/// The file name in a `Content-Disposition`: the extended one, or the quoted one.
fn filename_of(disposition: &str) -> Option<String> {
    let parameters =
        || disposition.split(';').skip(1).filter_map(|parameter| parameter.trim().split_once('='));
    let named = |wanted: &str| {
        parameters().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let extended = named("filename*").and_then(|value| {
        let encoded = value.get(..7).filter(|charset| charset.eq_ignore_ascii_case("utf-8''"));
        let encoded = encoded.and_then(|_| value.get(7..))?;
        percent_decode_str(encoded).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    });
    extended.or_else(|| named("filename").map(|value| value.trim_matches('"').to_owned()))
}

/// Types that are taken, or not: `image/png`, `image/*`, `*/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePattern(String);

/// Why a text is no pattern of types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no media type, such as image/png or image/*")]
pub struct TypePatternError(String);

impl TypePattern {
    pub(super) fn has(&self, essence: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("*/") => true,
            Some(beginning) => essence.starts_with(beginning),
            None => essence == self.0,
        }
    }
}

impl FromStr for TypePattern {
    type Err = TypePatternError;

    fn from_str(text: &str) -> Result<Self, TypePatternError> {
        let token = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let (kind, rest) = text.split_once('/').unwrap_or_default();
        let fits = (token(kind) && (token(rest) || rest == "*")) || text == "*/*";
        if fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(TypePatternError(text.to_owned())) }
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_made_safe() {
        let disposition = |kind, name| About::new(kind, name).disposition();
        assert_eq!(disposition(Some("image/png"), Some("a b.png")), "inline; filename*=UTF-8''a%20b.png");
        assert_eq!(
            disposition(Some("text/html"), Some("../../x\r\nSet-Cookie: y")),
            "attachment; filename*=UTF-8''xSet-Cookie%3A%20y"
        );
        assert_eq!(disposition(Some("image/svg+xml"), None), "attachment");
        assert_eq!(disposition(Some("IMAGE/PNG; a=b"), Some("..")), "inline");
        for kind in [None, Some(""), Some("image"), Some("a\r\nb/c"), Some("text/html\r\nx: y")] {
            assert_eq!(About::new(kind, None).content_type, "application/octet-stream", "{kind:?}");
        }
        let long = "ä".repeat(200);
        assert_eq!(About::new(None, Some(&long)).filename.unwrap().len(), 254);
    }

    #[test]
    fn names_come_back_from_headers() {
        let name = |text: &str| About::of_headers(None, Some(&HeaderValue::from_str(text).unwrap())).filename;
        assert_eq!(name("attachment; filename*=utf-8''%C3%A4.txt").unwrap(), "ä.txt");
        assert_eq!(name("attachment; filename=\"a.txt\"; filename*=UTF-8''b.txt").unwrap(), "b.txt");
        assert_eq!(name("inline; filename=\"c:\\d\\e.txt\"").unwrap(), "e.txt");
        for text in [
            "attachment",
            "attachment; filename*=latin1''x",
            "attachment; filename=\"\"",
            "x; filename*=utf-8''%ff",
        ] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_have_types() {
        let has = |pattern: &str, kind: &str| pattern.parse::<TypePattern>().unwrap().has(kind);
        assert!(has("image/*", "image/png") && has("Image/PNG", "image/png") && has("*/*", "a/b"));
        assert!(!has("image/*", "imagex/png") && !has("image/png", "image/pngx"));
        for text in ["", "image", "image/", "/png", "*", "*/png", "a b/c", "image/p*"] {
            assert!(text.parse::<TypePattern>().is_err(), "{text}");
        }
    }
}
