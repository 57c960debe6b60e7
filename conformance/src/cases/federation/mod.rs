//! What goes over the wire between servers (LM-04 §12).

mod devices;

use crate::case::Case;

pub(super) const CASES: &[&[Case]] = &[devices::CASES];
