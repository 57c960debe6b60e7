//! Answers to transactions.

use async_trait::async_trait;
use mimi_linearized::id::ServerName;
use rusqlite::{Connection, params};

use super::super::{ANSWERS_OF_ONE_SENDER, StoreError, StoredAnswer, TransactionKey, TransactionStore};
use super::SqliteStore;
use super::decode::{Undecodable, bytes, execute, first, number};

#[async_trait]
impl TransactionStore for SqliteStore {
    async fn answer(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError> {
        let key = key.clone();
        self.readers.run(move |connection| answer(connection, &key.origin, key.endpoint, &key.txn_id)).await
    }

    async fn remember(&self, key: &TransactionKey, answer: StoredAnswer, now: i64) -> Result<(), StoreError> {
        let key = key.clone();
        self.writer
            .run(move |connection| remember(connection, &key.origin, key.endpoint, &key.txn_id, &answer, now))
            .await
    }

    async fn forget_answers(&self, before: i64) -> Result<(), StoreError> {
        self.writer.run(move |connection| forget_old(connection, before)).await
    }
}

pub(super) fn answer(
    connection: &Connection,
    origin: &ServerName,
    endpoint: &str,
    txn_id: &str,
) -> Result<Option<StoredAnswer>, StoreError> {
    let sql = "SELECT status, body FROM answers WHERE origin = ?1 AND endpoint = ?2 AND txn_id = ?3";
    first(connection, sql, [origin.as_str(), endpoint, txn_id], |row| {
        let decode =
            || Ok(StoredAnswer { status: number(row, 0, "status")?, body: bytes(row, 1, "body")?.to_vec() });
        let place = format_args!("the answer to {origin}'s {endpoint} {txn_id}");
        decode().map_err(|fault: Undecodable| fault.at(place))
    })
}

pub(super) fn remember(
    connection: &Connection,
    origin: &ServerName,
    endpoint: &str,
    txn_id: &str,
    answer: &StoredAnswer,
    now: i64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO answers (origin, endpoint, txn_id, status, body, answered_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let StoredAnswer { status, body } = answer;
    execute(connection, sql, params![origin.as_str(), endpoint, txn_id, status, body, now]).map(drop)
}

pub(super) fn forget_old(connection: &Connection, before: i64) -> Result<(), StoreError> {
    forget(connection, before, ANSWERS_OF_ONE_SENDER)
}

fn forget(connection: &Connection, before: i64, of_one_sender: u32) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM answers WHERE answered_at < ?1", [before])?;
    let sql = "DELETE FROM answers WHERE rowid IN (
                 SELECT rowid FROM (
                   SELECT rowid, row_number() OVER (PARTITION BY origin ORDER BY answered_at DESC, rowid DESC) AS place
                   FROM answers
                   WHERE origin IN (SELECT origin FROM answers GROUP BY origin HAVING count(*) > ?1)
                 ) WHERE place > ?1)";
    execute(connection, sql, [of_one_sender]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_each_sender_the_newest_answers_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store")).unwrap();
        let key = |origin: &str, number: i64| TransactionKey {
            origin: ServerName::parse(origin).unwrap(),
            endpoint: if number % 2 == 0 { "send" } else { "send_join" },
            txn_id: number.to_string(),
        };
        let answer = || StoredAnswer { status: 200, body: b"{}".to_vec() };
        for number in 0..10 {
            store.remember(&key("a.org", number), answer(), number).await.unwrap();
        }
        store.remember(&key("b.org", 0), answer(), 0).await.unwrap();
        store.writer.run(|connection| forget(connection, 0, 4)).await.unwrap();
        for number in 0..10 {
            let kept = store.answer(&key("a.org", number)).await.unwrap().is_some();
            assert_eq!(kept, number >= 6, "{number}");
        }
        assert!(store.answer(&key("b.org", 0)).await.unwrap().is_some());
    }
}
