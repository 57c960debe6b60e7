//! How often something may be done, and how that is written.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::Quota;

use super::Family;

/// How often something may be done: so many at once, and one more each time the interval has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval: Duration,
    burst: NonZeroU32,
}

/// Why a text is no rate or no setting of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RateError {
    /// It is no rate.
    #[error(
        "{0:?} is no rate: it is COUNT/UNIT or COUNT/UNIT,BURST with the unit s, m or h, such as 50/s,500"
    )]
    Rate(String),
    /// There is no such family.
    #[error("{0:?} is none of reads, changes, devices, transactions, keys and unproved")]
    Family(String),
    /// It is no setting.
    #[error("{0:?} is no setting: it is `off`, FAMILY=off or FAMILY=RATE, such as reads=50/s,500")]
    Setting(String),
}

impl Rate {
    /// `count` in a `period`, and `burst` of them at once. `None` if one of them is 0, or more than one a nanosecond is
    /// wanted.
    #[must_use]
    pub const fn new(count: u32, period: Duration, burst: u32) -> Option<Self> {
        let Some(burst) = NonZeroU32::new(burst) else { return None };
        if count == 0 {
            return None;
        }
        match period.checked_div(count) {
            Some(interval) if !interval.is_zero() => Some(Self { interval, burst }),
            _ => None,
        }
    }

    /// How long it takes until one more may be done.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.interval
    }

    /// How many may be done at once after a long pause.
    #[must_use]
    pub fn burst(self) -> u32 {
        self.burst.get()
    }

    pub(super) fn quota(self) -> Option<Quota> {
        Some(Quota::with_period(self.interval)?.allow_burst(self.burst))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    /// Reads `COUNT/UNIT` or `COUNT/UNIT,BURST`. Without a burst it is the count.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let parse = || {
            let (rate, burst) =
                text.split_once(',').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
            let (count, unit) = rate.split_once('/')?;
            let period = match unit {
                "s" => Duration::from_secs(1),
                "m" => Duration::from_secs(60),
                "h" => Duration::from_secs(60 * 60),
                _ => return None,
            };
            let count = count.parse().ok()?;
            Self::new(count, period, burst.map_or(Some(count), |burst| burst.parse().ok())?)
        };
        parse().ok_or_else(|| RateError::Rate(text.to_owned()))
    }
}

/// How often other servers may ask. `None` is as often as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// [`Family::Reads`], of each server: 50 a second and 500 at once unless set.
    pub reads: Option<Rate>,
    /// [`Family::Changes`], of each server: 20 a second and 200 at once unless set.
    pub changes: Option<Rate>,
    /// [`Family::Devices`], of each server: 100 a second and 1,000 at once unless set.
    pub devices: Option<Rate>,
    /// [`Family::Transactions`], of each server: any number unless set, as the draft marks them.
    pub transactions: Option<Rate>,
    /// [`Family::Keys`], of each address: any number unless set, as the draft marks them.
    pub keys: Option<Rate>,
    /// [`Family::Unproved`], of each address: 20 a second and 400 at once unless set.
    pub unproved: Option<Rate>,
    /// Of how many servers, or addresses, a family keeps count by itself; further ones share one budget. 10,000 unless
    /// set. Who has not been heard of until their budget was whole again is forgotten.
    pub remembered: usize,
}

impl Default for RateLimits {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            reads: Rate::new(50, second, 500),
            changes: Rate::new(20, second, 200),
            devices: Rate::new(100, second, 1_000),
            transactions: None,
            keys: None,
            unproved: Rate::new(20, second, 400),
            remembered: 10_000,
        }
    }
}

impl RateLimits {
    /// No limit on how often anything is asked.
    #[must_use]
    pub fn off() -> Self {
        let mut off = Self::default();
        for family in Family::ALL {
            *off.of_mut(family) = None;
        }
        off
    }

    /// The rate of a family.
    #[must_use]
    pub fn of(&self, family: Family) -> Option<Rate> {
        match family {
            Family::Reads => self.reads,
            Family::Changes => self.changes,
            Family::Devices => self.devices,
            Family::Transactions => self.transactions,
            Family::Keys => self.keys,
            Family::Unproved => self.unproved,
        }
    }

    fn of_mut(&mut self, family: Family) -> &mut Option<Rate> {
        match family {
            Family::Reads => &mut self.reads,
            Family::Changes => &mut self.changes,
            Family::Devices => &mut self.devices,
            Family::Transactions => &mut self.transactions,
            Family::Keys => &mut self.keys,
            Family::Unproved => &mut self.unproved,
        }
    }
}

/// One setting of a rate, as it is written: `off`, `FAMILY=off` or `FAMILY=RATE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateSetting {
    /// No family has a limit.
    Off,
    /// A family has this limit, or none.
    Family(Family, Option<Rate>),
}

impl RateSetting {
    /// Makes the setting.
    pub fn apply(self, to: &mut RateLimits) {
        match self {
            Self::Off => *to = RateLimits { remembered: to.remembered, ..RateLimits::off() },
            Self::Family(family, rate) => *to.of_mut(family) = rate,
        }
    }
}

impl FromStr for RateSetting {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match text.split_once('=') {
            None if text == "off" => Ok(Self::Off),
            None => Err(RateError::Setting(text.to_owned())),
            Some((family, "off")) => Ok(Self::Family(family.parse()?, None)),
            Some((family, rate)) => Ok(Self::Family(family.parse()?, Some(rate.parse()?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let read = |text: &str| text.parse::<Rate>().unwrap();
        assert_eq!((read("50/s,500").interval(), read("50/s,500").burst()), (Duration::from_millis(20), 500));
        assert_eq!((read("6/m").interval(), read("6/m").burst()), (Duration::from_secs(10), 6));
        assert_eq!(read("1/h").interval(), Duration::from_secs(3_600));
        for text in ["", "5", "5/", "/s", "0/s", "5/s,0", "5/d", "-1/s", "5/s,", "5/s,x", "x/s", "5/s,1,1"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Rate(text.to_owned())));
        }
        assert_eq!(Rate::new(2_000_000_000, Duration::from_secs(1), 1), None, "less than a nanosecond each");
    }

    #[test]
    fn settings_change_what_they_name() {
        let mut limits = RateLimits::default();
        let set = |limits: &mut RateLimits, text: &str| text.parse::<RateSetting>().unwrap().apply(limits);
        set(&mut limits, "transactions=5/s,7");
        set(&mut limits, "reads=off");
        let five = Rate::new(5, Duration::from_secs(1), 7);
        assert_eq!(limits, RateLimits { transactions: five, reads: None, ..RateLimits::default() });
        set(&mut limits, "off");
        assert!(Family::ALL.into_iter().all(|family| limits.of(family).is_none()));
        for text in ["", "on", "all=5/s", "reads", "reads=", "reads=fast"] {
            assert!(text.parse::<RateSetting>().is_err(), "{text}");
        }
    }
}
