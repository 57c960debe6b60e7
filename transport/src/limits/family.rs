//! Kinds of endpoints that share a budget.

use std::fmt;
use std::str::FromStr;

use http::Method;

use super::RateError;

/// Endpoints that share a budget, and the requests that prove nothing, which have one of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Events, state and history (LM-04 §12.6), and media (reading R51).
    Reads,
    /// Invites, and templates and events that change a membership (LM-04 §12.7).
    Changes,
    /// Devices and key packages (LM-04 §12.10).
    Devices,
    /// Transactions (LM-04 §12.5.1), which the draft marks as not rate-limited.
    Transactions,
    /// Keys (LM-04 §12.4.1), which need no authentication and are marked as not rate-limited too.
    Keys,
    /// Requests that were to prove who sent them and did not, whatever their endpoint.
    Unproved,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Reads, Self::Changes, Self::Devices, Self::Transactions, Self::Keys, Self::Unproved];

    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Changes => "changes",
            Self::Devices => "devices",
            Self::Transactions => "transactions",
            Self::Keys => "keys",
            Self::Unproved => "unproved",
        }
    }

    /// The family of an endpoint: its method, and its path as the router has it.
    pub(crate) fn of(method: &Method, route: &str) -> Self {
        let has = |name: &str| route.split('/').any(|segment| segment == name);
        if route.starts_with("/_matrix/key/") {
            Self::Keys
        } else if has("send") {
            Self::Transactions
        } else if has("user") {
            Self::Devices
        } else if *method == Method::GET && !route.contains("/make_") {
            Self::Reads
        } else {
            Self::Changes
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Family {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let found = Self::ALL.into_iter().find(|family| family.as_str() == text);
        found.ok_or_else(|| RateError::Family(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_its_family() {
        let (get, put, post) = (Method::GET, Method::PUT, Method::POST);
        const V1: &str = "/_matrix/federation/v1";
        for (method, route, family) in [
            (&get, "/_matrix/key/v2/server".to_owned(), Family::Keys),
            (&get, "/_matrix/key/v2/query/{server}".to_owned(), Family::Keys),
            (&post, "/_matrix/key/v2/query".to_owned(), Family::Keys),
            (&put, "/_matrix/federation/v2/send/{txn}".to_owned(), Family::Transactions),
            (&put, format!("{}/send/{{txn}}", crate::api::UNSTABLE_PREFIX), Family::Transactions),
            (&get, format!("{V1}/state/{{room}}"), Family::Reads),
            (&get, format!("{V1}/state_ids/{{room}}"), Family::Reads),
            (&get, "/_matrix/federation/v2/event/{event}".to_owned(), Family::Reads),
            (&get, format!("{}/tree/{{event}}", crate::api::LARGE_ROOMS_PREFIX), Family::Reads),
            (&get, format!("{V1}/media/download/{{media}}"), Family::Reads),
            (&get, format!("{V1}/make_join/{{room}}/{{user}}"), Family::Changes),
            (&get, format!("{V1}/make_leave/{{room}}/{{user}}"), Family::Changes),
            (&post, "/_matrix/federation/v3/send_join/{txn}".to_owned(), Family::Changes),
            (&post, "/_matrix/federation/v3/invite/{txn}".to_owned(), Family::Changes),
            (&post, format!("{}/upload/{{room}}", crate::api::LARGE_ROOMS_PREFIX), Family::Changes),
            (&get, format!("{V1}/user/{{user}}/device/{{device}}"), Family::Devices),
            (&post, format!("{V1}/user/keys/claim"), Family::Devices),
        ] {
            assert_eq!(Family::of(method, &route), family, "{route}");
        }
        for family in Family::ALL {
            assert_eq!(family.as_str().parse::<Family>().unwrap(), family);
        }
    }
}
