//! Limits as they are written in settings: a name and a number.

use std::str::FromStr;
use std::time::Duration;

use super::Limits;

/// One limit and its value, as it is written: `NAME=NUMBER`. Sizes are in bytes and may end in `KiB` or `MiB`, times in
/// seconds and may end in `s` or `ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSetting(Value);

/// Why a text is no setting of a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// It is no setting.
    #[error("{0:?} is no setting: it is NAME=NUMBER, such as body-bytes=4MiB or idle=60s")]
    Form(String),
    /// There is no such limit.
    #[error("there is no limit {0:?}: the limits are {names}", names = NAMES.join(", "))]
    Name(String),
    /// The number cannot be had.
    #[error("{0:?} is no number that this limit can have")]
    Number(String),
}

/// The names, in the order in which a request meets the limits.
const NAMES: [&str; 17] = [
    "connections",
    "connections-per-address",
    "streams",
    "resets",
    "handshake",
    "ping-interval",
    "ping-timeout",
    "idle",
    "path-bytes",
    "headers",
    "header-bytes",
    "body-bytes",
    "body-grace",
    "body-rate",
    "body-time",
    "bodies-bytes",
    "remembered",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Number(&'static str, u32),
    Time(&'static str, Duration),
}

impl FromStr for LimitSetting {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (name, value) = text.split_once('=').ok_or_else(|| LimitError::Form(text.to_owned()))?;
        let found = NAMES.into_iter().find(|known| *known == name);
        let name = found.ok_or_else(|| LimitError::Name(name.to_owned()))?;
        let wrong = || LimitError::Number(value.to_owned());
        let number = match name {
            "handshake" | "ping-interval" | "ping-timeout" | "idle" | "body-grace" | "body-time" => {
                Value::Time(name, time(value).ok_or_else(wrong)?)
            }
            name if name.ends_with("-bytes") || name == "body-rate" => {
                Value::Number(name, size(value).ok_or_else(wrong)?)
            }
            name => Value::Number(name, value.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?),
        };
        Ok(Self(number))
    }
}

fn size(text: &str) -> Option<u32> {
    let (digits, unit) = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
        (Some(digits), _) => (digits, 1024),
        (_, Some(digits)) => (digits, 1024 * 1024),
        _ => (text, 1),
    };
    digits.parse::<u32>().ok()?.checked_mul(unit).filter(|size| *size > 0)
}

fn time(text: &str) -> Option<Duration> {
    let (digits, unit_ms) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (_, Some(digits)) => (digits, 1_000),
        _ => (text, 1_000),
    };
    let ms = u64::from(digits.parse::<u32>().ok()?).checked_mul(unit_ms)?;
    Some(Duration::from_millis(ms)).filter(|time| !time.is_zero())
}

impl LimitSetting {
    /// Makes the setting.
    pub fn apply(self, to: &mut Limits) {
        let Limits { connections, requests, rates, .. } = to;
        match self.0 {
            Value::Number(name, number) => {
                let count = usize::try_from(number).unwrap_or(usize::MAX);
                match name {
                    "connections" => connections.connections = count,
                    "connections-per-address" => connections.connections_per_address = count,
                    "streams" => connections.streams = number,
                    "resets" => connections.resets = number,
                    "path-bytes" => requests.path_bytes = count,
                    "headers" => requests.headers = count,
                    "header-bytes" => {
                        requests.header_bytes = count;
                        // What HTTP/2 itself refuses is beyond that, so that there is an errcode with the answer.
                        connections.header_bytes = number.saturating_mul(2);
                    }
                    "body-bytes" => requests.body_bytes = count,
                    "body-rate" => requests.body_rate = number,
                    "bodies-bytes" => requests.bodies_bytes = count,
                    _ => rates.remembered = count,
                }
            }
            Value::Time(name, time) => match name {
                "handshake" => connections.handshake = time,
                "ping-interval" => connections.ping_interval = time,
                "ping-timeout" => connections.ping_timeout = time,
                "idle" => connections.idle = time,
                "body-grace" => requests.body_grace = time,
                _ => requests.body_time = time,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_can_be_set() {
        let mut all = Limits::default();
        for name in NAMES {
            let (mut limits, before) = (Limits::default(), Limits::default());
            let setting = format!("{name}=7").parse::<LimitSetting>().unwrap();
            setting.apply(&mut limits);
            assert_ne!(limits, before, "{name}");
            setting.apply(&mut all);
        }
        // Each of them changed something of its own.
        assert_eq!((all.connections.connections, all.connections.connections_per_address), (7, 7));
        assert_eq!((all.connections.streams, all.connections.resets), (7, 7));
        let (seconds, requests) = (Duration::from_secs(7), all.requests);
        assert_eq!((all.connections.handshake, all.connections.idle), (seconds, seconds));
        assert_eq!((all.connections.ping_interval, all.connections.ping_timeout), (seconds, seconds));
        assert_eq!((requests.body_grace, requests.body_time, requests.body_rate), (seconds, seconds, 7));
        assert_eq!((requests.path_bytes, requests.headers, requests.header_bytes), (7, 7, 7));
        assert_eq!((requests.body_bytes, requests.bodies_bytes, all.rates.remembered), (7, 7, 7));
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!((size("3"), size("3KiB"), size("3MiB")), (Some(3), Some(3_072), Some(3_145_728)));
        let seconds = Some(Duration::from_secs(3));
        assert_eq!((time("3"), time("3s"), time("3000ms")), (seconds, seconds, seconds));
        for text in [
            "",
            "body-bytes",
            "body-bytes=",
            "body-bytes=0",
            "body-bytes=-1",
            "body-bytes=3kb",
            "idle=0",
            "idle=1h",
            "headers=1KiB",
            "bodies-bytes=4096MiB",
            "unknown=1",
            "=1",
        ] {
            assert!(text.parse::<LimitSetting>().is_err(), "{text}");
        }
    }
}
