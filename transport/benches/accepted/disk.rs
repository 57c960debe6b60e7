//! What the disk does by itself.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long it is looked at.
const LONG: Duration = Duration::from_secs(2);

/// A file on the disk where the hub's store is.
pub(crate) struct Disk(File);

impl Disk {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(File::create(folder.join("appended")).unwrap())
    }

    /// How many records of this size are appended a second, if it is waited for each of so many of them.
    pub(crate) fn appends(mut self, bytes: usize, together: usize) -> f64 {
        let block = vec![b'x'; bytes * together];
        let (mut blocks, began) = (0_u32, Instant::now());
        while began.elapsed() < LONG {
            self.0.write_all(&block).unwrap();
            self.0.sync_data().unwrap();
            blocks += 1;
        }
        f64::from(blocks) * f64::from(u32::try_from(together).unwrap()) / began.elapsed().as_secs_f64()
    }
}
