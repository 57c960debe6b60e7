//! The database's format: its version, and the steps from each version to the next.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// What makes an SQLite file one of this program's: "MIMI" in ASCII, kept in the file's header.
const APPLICATION_ID: i64 = 0x4d49_4d49;

/// The newest format.
const KNOWN: u8 = 3;

/// The steps; each brings a database from the format of its index to the next. A step that was released is never
/// changed, only followed by another.
const STEPS: [&str; KNOWN as usize] =
    [include_str!("format_1.sql"), include_str!("format_2.sql"), include_str!("format_3.sql")];

/// Makes sure that this program can use the database, and changes nothing. Returns the format; 0 is an empty file.
pub(super) fn check(connection: &Connection) -> Result<usize, StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (format, application) = (pragma("user_version")?, pragma("application_id")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = format == 0 && application == 0 && tables == 0;
    if !empty && application != APPLICATION_ID {
        return Err(malformed(format!("its application id is {application:#x}: another program made it")));
    }
    if format > i64::from(KNOWN) {
        return Err(StoreError::Format { found: format, known: i64::from(KNOWN) });
    }
    usize::try_from(format)
        .ok()
        .filter(|format| (*format == 0) == empty)
        .ok_or_else(|| malformed(format!("it has format {format}, which does not exist")))
}

/// Takes the steps that are missing, all or none.
pub(super) fn bring_up_to_date(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut missing = STEPS.iter().skip(check(&transaction)?).peekable();
    if missing.peek().is_none() {
        return Ok(());
    }
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", KNOWN)?;
    Ok(transaction.commit()?)
}

fn malformed(detail: String) -> StoreError {
    StoreError::Malformed { what: "database", detail }
}
