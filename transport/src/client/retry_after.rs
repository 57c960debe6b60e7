//! The header `Retry-After` (RFC 9110 §10.2.3).

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// How long to wait, in milliseconds: a number of seconds, or the time until a date. `None` if there is no header that
/// can be read. `now_ms` is in milliseconds since the Unix epoch.
pub(super) fn ms(headers: &HeaderMap, now_ms: i64) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large to be read is a very long time.
        return Some(text.parse::<u64>().map_or(u64::MAX, |seconds| seconds.saturating_mul(1_000)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date_ms = date.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let now_ms = u128::try_from(now_ms).unwrap_or(0);
    Some(u64::try_from(date_ms.saturating_sub(now_ms)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(value: &'static str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        // Sun, 06 Nov 1994 08:49:37 GMT
        ms(&headers, 784_111_777_000)
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(read("120"), Some(120_000));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60_000));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "a date that is past");
        assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
        for value in ["", "-1", "1.5", "soon", "Sun, 99 Nov 1994 08:50:37 GMT"] {
            assert_eq!(read(value), None, "{value}");
        }
        assert_eq!(ms(&HeaderMap::new(), 0), None);
    }
}
