//! Values on their way into SQLite and back.
//!
//! What comes back is not trusted: a file can be damaged, or somebody may have written to it. A value that does not fit
//! is reported with its name and its place.

use std::fmt::Display;
use std::sync::Arc;

use mimi_linearized::id::IdError;
use rusqlite::{Connection, Params, Row};

use super::{StoreError, sealed};

/// A value that is not what its column should hold.
#[derive(Debug)]
pub(super) struct Undecodable {
    what: &'static str,
    why: String,
}

impl Undecodable {
    pub(super) fn new(what: &'static str, why: impl Display) -> Self {
        Self { what, why: why.to_string() }
    }

    /// The error, with the place where the value stands.
    pub(super) fn at(self, place: impl Display) -> StoreError {
        StoreError::Malformed { what: self.what, detail: format!("{place}: {}", self.why) }
    }
}

pub(super) fn text<'r>(row: &'r Row<'_>, column: usize, what: &'static str) -> Result<&'r str, Undecodable> {
    let value = row.get_ref(column).map_err(|error| Undecodable::new(what, error))?;
    value.as_str().map_err(|error| Undecodable::new(what, error))
}

pub(super) fn optional_text<'r>(
    row: &'r Row<'_>,
    column: usize,
    what: &'static str,
) -> Result<Option<&'r str>, Undecodable> {
    let value = row.get_ref(column).map_err(|error| Undecodable::new(what, error))?;
    value.as_str_or_null().map_err(|error| Undecodable::new(what, error))
}

pub(super) fn bytes<'r>(
    row: &'r Row<'_>,
    column: usize,
    what: &'static str,
) -> Result<&'r [u8], Undecodable> {
    let value = row.get_ref(column).map_err(|error| Undecodable::new(what, error))?;
    value.as_blob().map_err(|error| Undecodable::new(what, error))
}

/// A value that was [sealed](super::sealed) with what stands beside it.
pub(super) fn sealed_bytes(
    row: &Row<'_>,
    column: usize,
    what: &'static str,
    beside: &[&str],
) -> Result<Arc<[u8]>, Undecodable> {
    sealed::unseal(bytes(row, column, what)?, beside, what).map(Arc::from)
}

pub(super) fn integer(row: &Row<'_>, column: usize, what: &'static str) -> Result<i64, Undecodable> {
    let value = row.get_ref(column).map_err(|error| Undecodable::new(what, error))?;
    value.as_i64().map_err(|error| Undecodable::new(what, error))
}

/// A number of a narrower type, such as a position or a status.
pub(super) fn number<T: TryFrom<i64>>(
    row: &Row<'_>,
    column: usize,
    what: &'static str,
) -> Result<T, Undecodable> {
    let value = integer(row, column, what)?;
    T::try_from(value).map_err(|_| Undecodable::new(what, format_args!("{value} is out of range")))
}

/// An identifier.
pub(super) fn id<T>(row: &Row<'_>, column: usize, what: &'static str) -> Result<T, Undecodable>
where
    T: for<'t> TryFrom<&'t str, Error = IdError>,
{
    T::try_from(text(row, column, what)?).map_err(|error| Undecodable::new(what, error))
}

/// An identifier or nothing.
pub(super) fn optional_id<T>(
    row: &Row<'_>,
    column: usize,
    what: &'static str,
) -> Result<Option<T>, Undecodable>
where
    T: for<'t> TryFrom<&'t str, Error = IdError>,
{
    let Some(text) = optional_text(row, column, what)? else { return Ok(None) };
    T::try_from(text).map(Some).map_err(|error| Undecodable::new(what, error))
}

/// An unsigned number as SQLite holds numbers.
pub(super) fn to_integer(number: u64, what: &'static str) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::OutOfRange { what, number })
}

/// A number of rows to return at most; there are never more rows than SQLite can count.
pub(super) fn to_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The first row of an answer.
pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    decode: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(decode).transpose()
}

/// All rows of an answer.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut decode: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut decoded = Vec::new();
    while let Some(row) = rows.next()? {
        decoded.push(decode(row)?);
    }
    Ok(decoded)
}

/// Makes a change. Returns the number of rows it changed.
pub(super) fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}
