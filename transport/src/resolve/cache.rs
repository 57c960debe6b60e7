//! What hosts answered when asked for their delegation, and for how long that is kept (LM-04 §12.3.1).

use std::collections::HashMap;

use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES};
use http::{HeaderMap, HeaderName};
use mimi_linearized::id::ServerName;

const MINUTE_MS: i64 = 60 * 1_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// How long a delegation without cache control headers is kept (`LM-04/12.3.1/11`).
pub(super) const DEFAULT_MS: i64 = 24 * HOUR_MS;
/// How long one is kept at most (`LM-04/12.3.1/10`).
pub(super) const MAX_MS: i64 = 48 * HOUR_MS;
/// How long a host is left alone after it gave no delegation: the first time, and at most (`LM-04/12.3.1/12`).
pub(super) const FIRST_PAUSE_MS: i64 = MINUTE_MS;
pub(super) const MAX_PAUSE_MS: i64 = HOUR_MS;

/// How long an answer is fresh, in milliseconds from now, by its headers (RFC 9111 §4.2): `Cache-Control`, and
/// `Expires` where that says nothing, less the `Age` it has already. 0 if it is not to be kept.
///
/// What cannot be read is taken for stale, as RFC 9111 advises.
pub(super) fn freshness_ms(headers: &HeaderMap, now_ms: i64) -> i64 {
    let age_ms = text(headers, &AGE).map_or(0, |age| seconds_ms(age.trim()));
    let lifetime_ms = match directives(headers) {
        Directives::NotKept => 0,
        Directives::MaxAge(lifetime_ms) => lifetime_ms,
        Directives::Silent => match headers.contains_key(EXPIRES) {
            false => return DEFAULT_MS,
            true => {
                let sent = text(headers, &DATE).and_then(date_ms).unwrap_or(now_ms);
                let expires = text(headers, &EXPIRES).and_then(date_ms);
                expires.map_or(0, |expires| expires.saturating_sub(sent))
            }
        },
    };
    lifetime_ms.saturating_sub(age_ms).clamp(0, MAX_MS)
}

enum Directives {
    Silent,
    NotKept,
    MaxAge(i64),
}

/// What `Cache-Control` says to a cache that is not shared. Of several ages the smallest counts.
fn directives(headers: &HeaderMap) -> Directives {
    let mut found = Directives::Silent;
    for value in headers.get_all(CACHE_CONTROL) {
        // A value that is not text holds nothing that could be obeyed, so that the answer is not kept.
        let Ok(value) = value.to_str() else { return Directives::NotKept };
        for directive in value.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                return Directives::NotKept;
            }
            if name.eq_ignore_ascii_case("max-age") {
                let lifetime_ms = seconds_ms(argument.trim().trim_matches('"'));
                found = match found {
                    Directives::MaxAge(other) => Directives::MaxAge(other.min(lifetime_ms)),
                    _ => Directives::MaxAge(lifetime_ms),
                };
            }
        }
    }
    found
}

/// A number of seconds, as milliseconds; 0 if it is none, and a very long time if it is too large to be read.
fn seconds_ms(text: &str) -> i64 {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    text.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(1_000)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn date_ms(text: &str) -> Option<i64> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// How long to leave a host alone that has given no delegation so many times in a row (`LM-04/12.3.1/13`).
fn pause_ms(failures: u32) -> i64 {
    // Six times doubled, it is beyond the limit.
    let doublings = failures.saturating_sub(1).min(6);
    FIRST_PAUSE_MS.saturating_mul(1 << doublings).min(MAX_PAUSE_MS)
}

/// The answers of hosts, up to a number of hosts.
#[derive(Debug)]
pub(super) struct Cache {
    entries: HashMap<String, Entry>,
    capacity: usize,
}

#[derive(Debug)]
struct Entry {
    delegated: Option<ServerName>,
    since_ms: i64,
    until_ms: i64,
    /// How many times in a row there was none.
    failures: u32,
}

impl Entry {
    /// Whether it holds at this time. A clock that was set back makes entries from the future; they hold no more.
    fn holds(&self, now_ms: i64) -> bool {
        (self.since_ms..self.until_ms).contains(&now_ms)
    }
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    /// What the host answered, if that still holds: the delegated name, or that there is none.
    pub(super) fn get(&self, host: &str, now_ms: i64) -> Option<Option<ServerName>> {
        let entry = self.entries.get(&key(host)).filter(|entry| entry.holds(now_ms))?;
        Some(entry.delegated.clone())
    }

    /// Until when what the host answered is kept, in milliseconds since the Unix epoch.
    pub(super) fn until_ms(&self, host: &str) -> Option<i64> {
        self.entries.get(&key(host)).map(|entry| entry.until_ms)
    }

    /// Keeps a delegation for a time; at most [`MAX_MS`].
    pub(super) fn delegated(&mut self, host: &str, to: ServerName, fresh_ms: i64, now_ms: i64) {
        let until_ms = now_ms.saturating_add(fresh_ms.clamp(0, MAX_MS));
        // One that is not to be kept still ends a row of failures.
        self.put(host, Entry { delegated: Some(to), since_ms: now_ms, until_ms, failures: 0 }, now_ms);
    }

    /// Keeps that a host gave no delegation: longer each time, up to an hour.
    pub(super) fn failed(&mut self, host: &str, now_ms: i64) {
        let before = self.entries.get(&key(host)).map_or(0, |entry| entry.failures);
        let failures = before.saturating_add(1);
        let until_ms = now_ms.saturating_add(pause_ms(failures));
        self.put(host, Entry { delegated: None, since_ms: now_ms, until_ms, failures }, now_ms);
    }

    /// Makes room if need be: what no longer holds goes first, then what would end soonest.
    fn put(&mut self, host: &str, entry: Entry, now_ms: i64) {
        let key = key(host);
        if !self.entries.contains_key(&key) && self.entries.len() >= self.capacity.max(1) {
            self.entries.retain(|_, entry| entry.holds(now_ms));
            if self.entries.len() >= self.capacity.max(1) {
                let soonest = self.entries.iter().min_by_key(|(_, entry)| entry.until_ms);
                if let Some(soonest) = soonest.map(|(host, _)| host.clone()) {
                    self.entries.remove(&soonest);
                }
            }
        }
        self.entries.insert(key, entry);
    }
}

/// Host names are the same in DNS whatever their case.
fn key(host: &str) -> String {
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    fn fresh(headers: &[(HeaderName, &str)]) -> i64 {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        freshness_ms(&headers, NOW)
    }

    /// `LM-04/12.3.1/9` to `LM-04/12.3.1/11`.
    #[test]
    fn headers_say_how_long() {
        let cache = |value| fresh(&[(CACHE_CONTROL, value)]);
        assert_eq!(fresh(&[]), 24 * HOUR_MS);
        assert_eq!(cache("public"), 24 * HOUR_MS, "silent about the time");
        assert_eq!(cache("max-age=60"), MINUTE_MS);
        assert_eq!(cache("public, MAX-AGE=\"60\" , must-revalidate"), MINUTE_MS);
        assert_eq!(cache("max-age=120, max-age=60"), MINUTE_MS);
        assert_eq!(cache("s-maxage=5, max-age=60"), MINUTE_MS, "for shared caches only");
        for longest in ["max-age=172800", "max-age=172801", "max-age=99999999999999999999999"] {
            assert_eq!(cache(longest), 48 * HOUR_MS);
        }
        for none in [
            "no-store",
            "no-cache",
            "max-age=60, No-Store",
            "max-age=0",
            "max-age=-1",
            "max-age",
            "max-age=x",
        ] {
            assert_eq!(cache(none), 0, "{none}");
        }
        assert_eq!(fresh(&[(CACHE_CONTROL, "max-age=60"), (AGE, "20")]), 40 * 1_000);
        assert_eq!(fresh(&[(CACHE_CONTROL, "max-age=60"), (AGE, "61")]), 0);
    }

    #[test]
    fn an_expiry_date_counts_where_cache_control_is_silent() {
        // The second is one hour after the first.
        let (sent, expires) = ("Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 23:13:20 GMT");
        assert_eq!(date_ms(sent), Some(NOW));
        assert_eq!(fresh(&[(EXPIRES, expires)]), HOUR_MS);
        assert_eq!(fresh(&[(DATE, expires), (EXPIRES, expires)]), 0);
        assert_eq!(fresh(&[(DATE, sent), (EXPIRES, expires), (AGE, "60")]), HOUR_MS - MINUTE_MS);
        assert_eq!(fresh(&[(EXPIRES, expires), (CACHE_CONTROL, "max-age=60")]), MINUTE_MS);
        assert_eq!(fresh(&[(EXPIRES, "0")]), 0, "an invalid date is in the past");
    }

    #[test]
    fn a_delegation_is_kept_as_long_as_it_is_fresh() {
        let mut cache = Cache::new(10);
        assert_eq!(cache.get("a.org", NOW), None);
        cache.delegated("a.org", name("b.org"), 1_000, NOW);
        assert_eq!(cache.get("A.org", NOW), Some(Some(name("b.org"))));
        assert_eq!(cache.get("a.org", NOW + 999), Some(Some(name("b.org"))));
        assert_eq!(cache.get("a.org", NOW + 1_000), None, "no longer than it is fresh");
        assert_eq!(cache.get("a.org", NOW - 1), None, "the clock was set back");
        cache.delegated("a.org", name("c.org"), 0, NOW);
        assert_eq!(cache.get("a.org", NOW), None);
        cache.delegated("a.org", name("c.org"), i64::MAX, NOW);
        assert_eq!(cache.get("a.org", NOW + MAX_MS), None);
    }

    /// `LM-04/12.3.1/12` and `LM-04/12.3.1/13`.
    #[test]
    fn a_host_without_a_delegation_is_left_alone_for_longer_and_longer() {
        let mut cache = Cache::new(10);
        let mut now = NOW;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            cache.failed("a.org", now);
            let pause = minutes * MINUTE_MS;
            assert_eq!(cache.get("a.org", now + pause - 1), Some(None));
            assert_eq!(cache.get("a.org", now + pause), None);
            now += pause;
        }
        // A delegation ends the row, even one that is not kept.
        cache.delegated("a.org", name("b.org"), 0, now);
        cache.failed("a.org", now);
        assert_eq!(cache.get("a.org", now + MINUTE_MS), None);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut cache = Cache::new(2);
        cache.delegated("a.org", name("x.org"), 1_000, NOW);
        cache.delegated("b.org", name("x.org"), 3_000, NOW);
        cache.delegated("c.org", name("x.org"), 2_500, NOW + 1_000);
        assert_eq!(cache.get("a.org", NOW + 999), None, "it had ended");
        assert!(cache.get("b.org", NOW + 1_000).is_some());
        cache.delegated("d.org", name("x.org"), 9_000, NOW + 1_000);
        assert!(cache.get("c.org", NOW + 1_000).is_some() && cache.get("d.org", NOW + 1_000).is_some());
        assert_eq!(cache.get("b.org", NOW + 1_000), None, "it would have ended first");
        assert_eq!(cache.entries.len(), 2);
    }

    proptest! {
        #[test]
        fn nothing_is_kept_longer_than_allowed(
            control in prop::option::of("[ -~]{0,40}|max-age=[0-9]{0,25}"),
            expires in prop::option::of("[ -~]{0,40}"),
            age in prop::option::of("[0-9]{0,25}"),
            failures in any::<u32>(),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CACHE_CONTROL, control), (EXPIRES, expires), (AGE, age)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            prop_assert!((0..=MAX_MS).contains(&freshness_ms(&headers, NOW)));
            let (pause, longer) = (pause_ms(failures), pause_ms(failures.saturating_add(1)));
            prop_assert!((FIRST_PAUSE_MS..=MAX_PAUSE_MS).contains(&pause) && pause <= longer);
        }
    }
}
