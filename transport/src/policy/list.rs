//! A federation list: what is signed.

use mimi_linearized::id::ServerName;
use mimi_linearized::json::{Object, Value, as_integer, strict};

use super::pattern::Folded;
use super::rules::Members;

/// Why what is signed is no federation list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It is no JSON object.
    #[error("the list is no JSON object")]
    Json,
    /// A member is missing or of the wrong kind.
    #[error("`{0}` of the list is missing or wrong")]
    Member(&'static str),
    /// Its domains are hashed in another way.
    #[error("the hash algorithm {0:?} is not known; SHA-256 is")]
    Hash(String),
    /// A domain is no server name, or no hash.
    #[error("the domain {0:?} is no server name, or no SHA-256 in hexadecimal")]
    Domain(String),
    /// It is over.
    #[error("the list is over since {0} (milliseconds since 1970)")]
    Over(i64),
    /// It is not valid yet.
    #[error("the list is not valid before {0} (milliseconds since 1970)")]
    Early(i64),
}

/// Reads a list at `now`, in milliseconds since the Unix epoch.
///
/// Its form is that of the TI-Messenger (`FederationList` of gematik's `api-vzd`): `version`, a number; `domainList`, objects
/// with `domain`; and `hashAlgorithm` if the domains are hashes. `nbf` and `exp` are those of RFC 7519 §4.1, in seconds.
/// What else is there is passed over.
pub(super) fn read(payload: &[u8], now: i64) -> Result<Members, ListError> {
    let Ok(Value::Object(list)) = strict::parse(payload) else { return Err(ListError::Json) };
    let version = list.get("version").and_then(as_integer).and_then(|version| u64::try_from(version).ok());
    let version = version.ok_or(ListError::Member("version"))?;
    if let Some(from) = time(&list, "nbf")?.filter(|from| *from > now) {
        return Err(ListError::Early(from));
    }
    let until = time(&list, "exp")?;
    if let Some(until) = until.filter(|until| *until <= now) {
        return Err(ListError::Over(until));
    }
    let hashed = match list.get("hashAlgorithm") {
        None | Some(Value::Null) => false,
        Some(Value::String(name)) if name.eq_ignore_ascii_case("SHA-256") => true,
        Some(Value::String(name)) => return Err(ListError::Hash(name.chars().take(32).collect())),
        Some(_) => return Err(ListError::Member("hashAlgorithm")),
    };
    let Some(Value::Array(domains)) = list.get("domainList") else {
        return Err(ListError::Member("domainList"));
    };
    let mut members = Members { version, until, ..Members::default() };
    for entry in domains {
        let domain = entry.get("domain").and_then(Value::as_str).ok_or(ListError::Member("domain"))?;
        let wrong = || ListError::Domain(domain.chars().take(256).collect());
        if hashed {
            members.hashes.insert(hexadecimal(domain).ok_or_else(wrong)?);
        } else {
            let name = ServerName::parse(domain).map_err(|_| wrong())?;
            members.names.insert(Folded::of(&name).whole().to_owned());
        }
    }
    Ok(members)
}

/// A time in seconds, as milliseconds.
fn time(list: &Object, name: &'static str) -> Result<Option<i64>, ListError> {
    match list.get(name) {
        None => Ok(None),
        Some(value) => {
            let seconds = as_integer(value).ok_or(ListError::Member(name))?;
            Ok(Some(seconds.saturating_mul(1_000)))
        }
    }
}

/// 32 bytes in hexadecimal.
fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(bytes.chunks_exact(2)) {
        let digit = |index: usize| char::from(*digits.get(index)?).to_digit(16);
        *byte = u8::try_from(digit(0)?.checked_mul(16)?.checked_add(digit(1)?)?).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn read_json(list: &Value) -> Result<Members, ListError> {
        read(list.to_string().as_bytes(), NOW)
    }

    #[test]
    fn names_are_read() {
        let list = json!({
            "version": 7, "exp": NOW / 1_000 + 1, "nbf": NOW / 1_000,
            "domainList": [
                {"domain": "A.example", "telematikID": "1", "isInsurance": false, "ik": [109_500_969]},
                {"domain": "b.example:8448"},
            ],
        });
        let members = read_json(&list).unwrap();
        assert_eq!((members.version, members.until), (7, Some(NOW + 1_000)));
        assert_eq!(members.names, ["a.example".to_owned(), "b.example:8448".to_owned()].into());
        assert!(members.hashes.is_empty());
    }

    #[test]
    fn hashes_are_read() {
        // SHA-256 of "a.example", by another program.
        let hash = "b8e7453371a024daae06f3164492c0afcde134c7747c155b3d83c20de341e855";
        let list = json!({"version": 1, "hashAlgorithm": "SHA-256", "domainList": [{"domain": hash}]});
        let members = read_json(&list).unwrap();
        assert_eq!((members.hashes.len(), members.names.len()), (1, 0));
        assert_eq!(members.hashes.iter().next().unwrap()[..2], [0xb8, 0xe7]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let one = |change: &dyn Fn(&mut Value)| {
            let mut list = json!({"version": 1, "domainList": [{"domain": "a.example"}]});
            change(&mut list);
            read_json(&list).unwrap_err()
        };
        assert_eq!(read(b"[]", NOW).unwrap_err(), ListError::Json);
        assert_eq!(read(br#"{"version":1,"version":2}"#, NOW).unwrap_err(), ListError::Json);
        for version in [json!(null), json!(-1), json!("1"), json!(1.5)] {
            assert_eq!(one(&|list| list["version"] = version.clone()), ListError::Member("version"));
        }
        assert_eq!(one(&|list| list["domainList"] = json!({})), ListError::Member("domainList"));
        assert_eq!(one(&|list| list["domainList"] = json!([{}])), ListError::Member("domain"));
        for domain in ["", "*.example", "https://a.example", "1.2.3.4"] {
            let domain_error = ListError::Domain(domain.to_owned());
            assert_eq!(one(&|list| list["domainList"][0]["domain"] = json!(domain)), domain_error);
        }
        assert_eq!(one(&|list| list["hashAlgorithm"] = json!("MD5")), ListError::Hash("MD5".to_owned()));
        let name = ListError::Domain("a.example".to_owned());
        assert_eq!(one(&|list| list["hashAlgorithm"] = json!("sha-256")), name);
        assert_eq!(one(&|list| list["exp"] = json!(NOW / 1_000)), ListError::Over(NOW));
        assert_eq!(one(&|list| list["exp"] = json!("soon")), ListError::Member("exp"));
        assert_eq!(one(&|list| list["nbf"] = json!(NOW / 1_000 + 1)), ListError::Early(NOW + 1_000));
    }
}
