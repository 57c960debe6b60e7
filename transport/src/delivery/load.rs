//! How much goes into a transaction: less for a destination that finds transactions too large.

use crate::api::send::{MAX_EDUS, MAX_PDUS};

/// How often a destination is asked to take one thing alone before it is taken at its word. With the pauses between, that
/// is some two minutes of a destination that is there.
const ATTEMPTS: u32 = 10;

/// How much goes into a transaction to one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Load {
    /// How many PDUs, and half as many as EDUs; with 0, one thing alone.
    share: usize,
    /// How often one thing alone was too large.
    refused: u32,
}

/// What to do with a transaction that was too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooLarge {
    /// What it carries goes in smaller ones.
    Divide,
    /// There is nothing smaller: it is tried again.
    Repeat,
    /// The destination will not take it.
    GiveUp,
}

impl Default for Load {
    fn default() -> Self {
        Self { share: MAX_PDUS, refused: 0 }
    }
}

impl Load {
    pub(super) fn pdus(&self) -> usize {
        self.share.clamp(1, MAX_PDUS)
    }

    /// How many EDUs go beside PDUs, if there are any.
    pub(super) fn edus(&self, beside_pdus: bool) -> usize {
        match self.share {
            0 if beside_pdus => 0,
            0 => 1,
            share => share.saturating_mul(2).min(MAX_EDUS),
        }
    }

    /// A transaction was too large: the next ones are half as large.
    pub(super) fn too_large(&mut self) -> TooLarge {
        if self.share > 0 {
            self.share /= 2;
            return TooLarge::Divide;
        }
        self.refused = self.refused.saturating_add(1);
        if self.refused < ATTEMPTS {
            return TooLarge::Repeat;
        }
        self.refused = 0;
        TooLarge::GiveUp
    }

    /// A transaction arrived: the next ones may be a little larger.
    pub(super) fn arrived(&mut self) {
        self.refused = 0;
        self.share = self.share.saturating_add(1).min(MAX_PDUS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_halved_at_once_and_grows_slowly() {
        let mut load = Load::default();
        assert_eq!((load.pdus(), load.edus(true)), (MAX_PDUS, MAX_EDUS));
        load.arrived();
        assert_eq!(load, Load::default(), "it is never more than a transaction may have");
        let shares: Vec<usize> = (0..6)
            .map(|_| {
                assert_eq!(load.too_large(), TooLarge::Divide);
                load.pdus()
            })
            .collect();
        assert_eq!(shares, [25, 12, 6, 3, 1, 1]);
        assert_eq!((load.pdus(), load.edus(true), load.edus(false)), (1, 0, 1), "one thing alone");
        load.arrived();
        assert_eq!((load.pdus(), load.edus(true)), (1, 2));
        load.arrived();
        assert_eq!((load.pdus(), load.edus(true)), (2, 4));
    }

    #[test]
    fn one_thing_alone_is_tried_for_a_while() {
        let mut load = Load { share: 0, refused: 0 };
        for _ in 0..2 {
            for _ in 1..ATTEMPTS {
                assert_eq!(load.too_large(), TooLarge::Repeat);
            }
            assert_eq!(load.too_large(), TooLarge::GiveUp);
        }
        assert_eq!(load.too_large(), TooLarge::Repeat);
        load.arrived();
        assert_eq!(load, Load { share: 1, refused: 0 });
    }
}
