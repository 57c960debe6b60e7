//! The `Authorization` header of scheme `X-Matrix`: RFC 9110 §11.4 credentials (LM-04 §12.4).

use std::fmt;

use http::HeaderValue;
use mimi_linearized::id::{IdError, KeyId, ServerName};
use mimi_linearized::signing::Signature;

/// The authentication scheme. It is recognised whatever its case (RFC 9110 §11.1).
pub const SCHEME: &str = "X-Matrix";

/// The longest header value that is read, in bytes; a bound of this implementation. The four parameters need at most
/// 900.
pub const MAX_HEADER_BYTES: usize = 4096;

/// A parameter that the scheme defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// `origin`: who sends the request.
    Origin,
    /// `destination`: who is to receive it.
    Destination,
    /// `key`: the id of the signing key.
    Key,
    /// `sig`, or its alias `signature`: the signature (`LM-04/12.4/16`).
    Signature,
}

impl Parameter {
    /// The parameter with this name, whatever its case (`LM-04/12.4/9`).
    fn named(name: &[u8]) -> Option<Self> {
        const NAMES: [(&str, Parameter); 5] = [
            ("origin", Parameter::Origin),
            ("destination", Parameter::Destination),
            ("key", Parameter::Key),
            ("sig", Parameter::Signature),
            ("signature", Parameter::Signature),
        ];
        let found = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        found.map(|(_, parameter)| *parameter)
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Origin => "origin",
            Self::Destination => "destination",
            Self::Key => "key",
            Self::Signature => "sig",
        })
    }
}

/// Why a header value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Longer than [`MAX_HEADER_BYTES`].
    #[error("the header is longer than {MAX_HEADER_BYTES} bytes")]
    TooLong,
    /// Another authentication scheme, or none.
    #[error("the scheme is not {SCHEME}")]
    Scheme,
    /// Not a list of parameters.
    #[error("the header is malformed at byte {at}")]
    Syntax {
        /// Where, in bytes from the start of the value.
        at: usize,
    },
    /// A parameter occurs twice, under the same name or its alias.
    #[error("`{0}` occurs twice")]
    Duplicate(Parameter),
    /// A parameter is missing.
    #[error("`{0}` is missing")]
    Missing(Parameter),
    /// `origin` or `destination` is not a server name, or `key` not a key id.
    #[error("`{parameter}` is malformed: {error}")]
    Identifier {
        /// Which.
        parameter: Parameter,
        /// What is wrong with it.
        error: IdError,
    },
    /// `sig` is not the base64 of 64 bytes.
    #[error("`sig` is not the base64 of a signature")]
    Signature,
}

impl HeaderError {
    /// The requirement that the header breaks.
    #[must_use]
    pub fn requirement(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Scheme => "LM-04/12.4/1",
            Self::Syntax { .. } => "LM-04/12.4/8",
            Self::Duplicate(parameter) | Self::Missing(parameter) | Self::Identifier { parameter, .. } => {
                match parameter {
                    Parameter::Origin => "LM-04/12.4/13",
                    Parameter::Destination => "LM-04/12.4/14",
                    Parameter::Key => "LM-04/12.4/15",
                    Parameter::Signature => "LM-04/12.4/16",
                }
            }
            Self::Signature => "LM-04/12.4/16",
        }
    }
}

/// What one `Authorization` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who claims to send the request.
    pub origin: ServerName,
    /// Who is to receive it.
    pub destination: ServerName,
    /// The key that signed.
    pub key: KeyId,
    /// The signature.
    pub signature: Signature,
}

impl Credentials {
    /// Reads a header value.
    ///
    /// Parameters come in any order (`LM-04/12.4/8`), their names in any case (`LM-04/12.4/9`), values as tokens or
    /// quoted (`LM-04/12.4/10` to `LM-04/12.4/12`), and those not known are passed over (`LM-04/12.4/17`). An
    /// unquoted value may also have `:`, which RFC 9110 does not allow in a token, because deployed servers write
    /// names with a port and key ids that way. Empty list elements are passed over, as RFC 9110 §5.6.1.2 asks.
    ///
    /// # Errors
    /// [`HeaderError`] says what is wrong.
    pub fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        if value.len() > MAX_HEADER_BYTES {
            return Err(HeaderError::TooLong);
        }
        let mut scanner = Scanner { input: value, at: 0 };
        scanner.skip(is_ows);
        let scheme = scanner.take(is_tchar);
        // A scheme with nothing after it goes on, to be refused for its missing parameters.
        let spaces = scanner.take(|byte| byte == b' ').len();
        if !scheme.eq_ignore_ascii_case(SCHEME.as_bytes()) || (spaces == 0 && !scanner.at_end()) {
            return Err(HeaderError::Scheme);
        }
        let mut parameters = Parameters::default();
        loop {
            scanner.skip(|byte| is_ows(byte) || byte == b',');
            if scanner.at_end() {
                break;
            }
            let (name, value) = scanner.parameter()?;
            parameters.set(name, value)?;
            scanner.skip(is_ows);
            if !scanner.at_end() && scanner.peek() != Some(b',') {
                return Err(scanner.fault());
            }
        }
        parameters.finish()
    }

    /// The header value: the parameters in the order of the draft's example, all quoted (`LM-04/12.4/10`).
    #[must_use]
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "server names, key ids and base64 are visible ASCII by their grammars"
    )]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("identifiers and base64 are visible ASCII")
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing here needs an escape: none of these grammars has a quote or a backslash.
        write!(
            f,
            "{SCHEME} origin=\"{}\",destination=\"{}\",key=\"{}\",sig=\"{}\"",
            self.origin,
            self.destination,
            self.key,
            self.signature.to_base64()
        )
    }
}

/// The known parameters found so far.
#[derive(Default)]
struct Parameters {
    origin: Option<Vec<u8>>,
    destination: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
}

impl Parameters {
    fn set(&mut self, name: &[u8], value: Vec<u8>) -> Result<(), HeaderError> {
        let Some(parameter) = Parameter::named(name) else { return Ok(()) };
        let slot = match parameter {
            Parameter::Origin => &mut self.origin,
            Parameter::Destination => &mut self.destination,
            Parameter::Key => &mut self.key,
            Parameter::Signature => &mut self.signature,
        };
        match slot.replace(value) {
            Some(_) => Err(HeaderError::Duplicate(parameter)),
            None => Ok(()),
        }
    }

    fn finish(self) -> Result<Credentials, HeaderError> {
        let origin = identifier(Parameter::Origin, self.origin, ServerName::parse)?;
        let destination = identifier(Parameter::Destination, self.destination, ServerName::parse)?;
        let key = identifier(Parameter::Key, self.key, KeyId::parse)?;
        let signature = self.signature.ok_or(HeaderError::Missing(Parameter::Signature))?;
        let signature = std::str::from_utf8(&signature).ok().and_then(Signature::from_base64);
        Ok(Credentials { origin, destination, key, signature: signature.ok_or(HeaderError::Signature)? })
    }
}

fn identifier<T>(
    parameter: Parameter,
    value: Option<Vec<u8>>,
    parse: impl Fn(&str) -> Result<T, IdError>,
) -> Result<T, HeaderError> {
    let value = value.ok_or(HeaderError::Missing(parameter))?;
    // Bytes that are not UTF-8 become a character that no identifier allows.
    parse(&String::from_utf8_lossy(&value)).map_err(|error| HeaderError::Identifier { parameter, error })
}

/// Reads a header value from left to right.
struct Scanner<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn fault(&self) -> HeaderError {
        HeaderError::Syntax { at: self.at }
    }

    /// Takes the longest run of bytes that `which` accepts.
    fn take(&mut self, which: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !which(*byte)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    fn skip(&mut self, which: impl Fn(u8) -> bool) {
        self.take(which);
    }

    fn next(&mut self) -> Result<u8, HeaderError> {
        let byte = self.peek().ok_or_else(|| self.fault())?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    /// `token BWS "=" BWS ( token / quoted-string )`
    fn parameter(&mut self) -> Result<(&'a [u8], Vec<u8>), HeaderError> {
        let name = self.take(is_tchar);
        self.skip(is_ows);
        if name.is_empty() || self.peek() != Some(b'=') {
            return Err(self.fault());
        }
        self.next()?;
        self.skip(is_ows);
        let value = if self.peek() == Some(b'"') {
            self.quoted()?
        } else {
            self.take(|byte| is_tchar(byte) || byte == b':').to_vec()
        };
        if value.is_empty() { Err(self.fault()) } else { Ok((name, value)) }
    }

    /// A quoted string without its quotes and escapes.
    fn quoted(&mut self) -> Result<Vec<u8>, HeaderError> {
        self.next()?;
        let mut value = Vec::new();
        loop {
            let start = self.at;
            match self.next()? {
                b'"' => return Ok(value),
                b'\\' => {
                    let escaped = self.next()?;
                    if !is_text(escaped) {
                        return Err(HeaderError::Syntax { at: start });
                    }
                    value.push(escaped);
                }
                byte if is_text(byte) => value.push(byte),
                _ => return Err(HeaderError::Syntax { at: start }),
            }
        }
    }
}

/// A character of a token (RFC 9110 §5.6.2).
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Optional whitespace (RFC 9110 §5.6.3).
fn is_ows(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What may stand in a quoted string, escaped or not: everything but control characters (RFC 9110 §5.6.4).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

#[cfg(test)]
mod tests;
