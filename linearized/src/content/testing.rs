//! What tests of this folder share.

use rand_core::{TryCryptoRng, TryRng};

/// Numbers that count up: what is under test is what becomes of them.
pub(super) struct Counting(pub(super) u8);

impl TryRng for Counting {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
        to.iter_mut().for_each(|byte| {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        });
        Ok(())
    }
}

impl TryCryptoRng for Counting {}
