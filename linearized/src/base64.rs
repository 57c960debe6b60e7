//! Unpadded base64 (LM-04 §10): written without padding, read with or without it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Trailing bits are ignored as widely deployed decoders do: keys in the wild carry them.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// Text that is not base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not valid base64: {0}")]
pub struct Base64Error(#[source] base64::DecodeError);

/// Encodes with the standard alphabet of RFC 4648 §4, without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Encodes with the URL-safe alphabet of RFC 4648 §5, without padding.
#[must_use]
pub fn encode_url_safe(bytes: &[u8]) -> String {
    URL_SAFE.encode(bytes)
}

/// Decodes the standard alphabet, padded or not.
///
/// # Errors
/// [`Base64Error`] at the first character that does not belong.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    STANDARD.decode(text).map_err(Base64Error)
}

/// Decodes exactly `N` bytes from the standard alphabet; `None` if the text is not base64 or has another length.
#[must_use]
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Bounds the work before any allocation: N bytes need at most this many characters, padding included.
    if text.len() > N.div_ceil(3).saturating_mul(4) {
        return None;
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Decodes exactly `N` bytes from the URL-safe alphabet; `None` if the text is not that, or has another length.
#[must_use]
pub fn decode_url_safe_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() > N.div_ceil(3).saturating_mul(4) {
        return None;
    }
    URL_SAFE.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_never_written_and_always_accepted() {
        assert_eq!(encode(b"f"), "Zg");
        assert_eq!(encode(&[0xfb, 0xff]), "+/8");
        assert_eq!(encode_url_safe(&[0xfb, 0xff]), "-_8");
        for text in ["Zg", "Zg=="] {
            assert_eq!(decode(text).unwrap(), b"f");
        }
        assert!(decode("Zg=A").is_err());
        assert!(decode("-_8").is_err(), "the URL-safe alphabet is not the standard one");
    }

    #[test]
    fn a_seed_with_trailing_bits_is_read() {
        let seed: [u8; 32] = decode_array("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1").unwrap();
        assert_eq!(seed[31], 0x0d);
    }

    #[test]
    fn arrays_have_their_exact_length() {
        assert_eq!(decode_array::<1>("Zg"), Some(*b"f"));
        assert_eq!(decode_array::<2>("Zg"), None);
        assert_eq!(decode_array::<1>(&"A".repeat(1000)), None);
    }
}
