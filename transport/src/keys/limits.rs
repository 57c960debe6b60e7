//! The bounds of fetching keys.

use std::time::Duration;

/// The bounds of [`RemoteKeys`](super::RemoteKeys).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLimits {
    /// How long one fetch may take, of a server and of each notary. 10 s unless set. Reading and writing the store are
    /// bounded by the same time.
    pub fetch: Duration,
    /// How many fetches there are at the same time, from all servers together. 64 unless set. Askers who have not
    /// shown who they are get half of them at most.
    pub fetches: usize,
    /// How many servers are remembered. 10,000 unless set. Beyond that, those without any keys are forgotten first,
    /// then those that were not asked for longest; what the store has of them stays.
    pub servers: usize,
    /// How many fetches one [`Asker`](super::Asker) may cause at once. 1,000 unless set.
    pub burst: u32,
    /// How long it takes until an asker who has used them up may cause one more. 50 ms unless set.
    pub interval: Duration,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self {
            fetch: Duration::from_secs(10),
            fetches: 64,
            servers: 10_000,
            burst: 1_000,
            interval: Duration::from_millis(50),
        }
    }
}
