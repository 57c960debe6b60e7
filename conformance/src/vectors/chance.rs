//! Values that follow from a seed, the same on every machine and in every version.

use sha2::{Digest, Sha256};

/// A stream of bytes: SHA-256 of the seed, a label and a counter.
#[derive(Debug, Clone)]
pub(super) struct Chance {
    seed: u64,
    label: String,
    drawn: u64,
}

impl Chance {
    pub(super) fn new(seed: u64, label: &str) -> Self {
        Self { seed, label: label.to_owned(), drawn: 0 }
    }

    /// 32 bytes.
    pub(super) fn bytes(&mut self) -> [u8; 32] {
        self.drawn = self.drawn.saturating_add(1);
        Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(self.label.as_bytes())
            .chain_update([0])
            .chain_update(self.drawn.to_be_bytes())
            .finalize()
            .into()
    }

    /// An integer of 64 bits.
    pub(super) fn integer(&mut self) -> u64 {
        let bytes = self.bytes();
        bytes.first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// A number below `limit`, or 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.integer().checked_rem(limit).unwrap_or(0)
    }

    /// One of several.
    pub(super) fn one_of<'t, T: ?Sized>(&mut self, choices: &[&'t T], otherwise: &'t T) -> &'t T {
        let index = self.below(choices.len().try_into().unwrap_or(u64::MAX));
        usize::try_from(index).ok().and_then(|index| choices.get(index).copied()).unwrap_or(otherwise)
    }

    /// A word of small letters.
    pub(super) fn word(&mut self, length: usize) -> String {
        self.bytes().iter().take(length).map(|byte| char::from(b'a'.saturating_add(byte % 26))).collect()
    }
}
