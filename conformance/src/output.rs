//! Standard output, which may be closed by whoever reads it.

use std::io::{ErrorKind, Write};

use crate::USAGE;

/// Writes to standard output. Whoever closed it has read enough: that is no error. If it cannot be written for another
/// reason, such as a full disk, the program ends here: half an answer is none.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("mimi: standard output cannot be written: {error}");
            std::process::exit(i32::from(USAGE));
        }
        _ => {}
    }
}
