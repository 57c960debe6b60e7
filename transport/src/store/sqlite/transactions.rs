//! Answers to transactions.

use async_trait::async_trait;
use rusqlite::params;

use super::super::{StoreError, StoredAnswer, TransactionKey, TransactionStore};
use super::SqliteStore;
use super::decode::{Undecodable, bytes, execute, first, number};

#[async_trait]
impl TransactionStore for SqliteStore {
    async fn answer(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError> {
        let key = key.clone();
        let sql = "SELECT status, body FROM answers WHERE origin = ?1 AND endpoint = ?2 AND txn_id = ?3";
        self.readers
            .run(move |connection| {
                first(connection, sql, [key.origin.as_str(), key.endpoint, &key.txn_id], |row| {
                    let decode = || {
                        Ok(StoredAnswer {
                            status: number(row, 0, "status")?,
                            body: bytes(row, 1, "body")?.to_vec(),
                        })
                    };
                    decode().map_err(|fault: Undecodable| fault.at(format_args!("the answer to {key:?}")))
                })
            })
            .await
    }

    async fn remember(&self, key: &TransactionKey, answer: StoredAnswer, now: i64) -> Result<(), StoreError> {
        let key = key.clone();
        let sql = "INSERT INTO answers (origin, endpoint, txn_id, status, body, answered_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        self.writer
            .run(move |connection| {
                let TransactionKey { origin, endpoint, txn_id } = &key;
                let StoredAnswer { status, body } = &answer;
                execute(connection, sql, params![origin.as_str(), endpoint, txn_id, status, body, now])
                    .map(drop)
            })
            .await
    }

    async fn forget_answers(&self, before: i64) -> Result<(), StoreError> {
        let sql = "DELETE FROM answers WHERE answered_at < ?1";
        self.writer.run(move |connection| execute(connection, sql, [before]).map(drop)).await
    }
}
