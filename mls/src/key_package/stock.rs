//! How many key packages a device keeps with its server.

/// The number of one-time key packages that a device wants its server to have.
///
/// A server says how many are left each time it gives one out (`remaining` of its notice that a key was used). Without
/// any, others have to use the one of last resort, whose init key is then in several Welcomes, or cannot add the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stock {
    /// With this many or fewer left, it is time to upload more.
    pub low: u64,
    /// How many there are after that.
    pub full: u64,
}

impl Default for Stock {
    /// More at 10 or fewer, up to 40: enough for the rooms a device joins in an ordinary week, in less than 64 KB.
    fn default() -> Self {
        Self { low: 10, full: 40 }
    }
}

impl Stock {
    /// How many key packages to make and upload if `remaining` are left: 0 while there are enough.
    pub fn wanted(self, remaining: u64) -> u64 {
        if remaining > self.low { 0 } else { self.full.saturating_sub(remaining) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_is_filled_up_once_it_is_low() {
        let stock = Stock { low: 2, full: 5 };
        assert_eq!([6, 5, 3, 2, 1, 0].map(|remaining| stock.wanted(remaining)), [0, 0, 0, 3, 4, 5]);
        assert_eq!(Stock { low: 9, full: 5 }.wanted(7), 0);
        assert!(Stock::default().wanted(0) > 0);
    }
}
