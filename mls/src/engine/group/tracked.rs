//! A value that knows whether it may have changed.

use core::ops::{Deref, DerefMut};

/// A value, and whether somebody could have changed it since it was saved.
#[derive(Debug)]
pub(super) struct Tracked<T> {
    value: T,
    changed: bool,
}

impl<T> Tracked<T> {
    /// A value that was never saved.
    pub(super) fn new(value: T) -> Self {
        Self { value, changed: true }
    }

    /// A value as it was saved.
    pub(super) fn saved(value: T) -> Self {
        Self { value, changed: false }
    }

    /// Lets the value count as one that was never saved.
    pub(super) fn set_changed(&mut self) {
        self.changed = true;
    }

    /// Whether the value may differ from what was saved. It counts as saved from here on.
    pub(super) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }
}

impl<T> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_changes_nothing_and_reaching_in_does() {
        let mut value = Tracked::saved(Some(1));
        assert_eq!(value.as_ref(), Some(&1));
        assert!(!value.take_changed());
        value.take();
        assert!(value.take_changed());
        assert!(!value.take_changed());
        assert!(Tracked::new(1).take_changed());
    }
}
