//! Standard output, which may be closed by whoever reads it.

use std::io::Write;

/// Writes to standard output. Whoever closed it has read enough: that is no error.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
