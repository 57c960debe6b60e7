//! Devices and their key packages.

use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::{DeviceId, UserId};
use rusqlite::{Connection, params};

use super::super::{ClaimNotice, Claimed, DeviceStore, InboxItem, NewKeyPackage, StoreError};
use super::decode::{Undecodable, all, bytes, execute, first, id, integer, number, text};
use super::{SqliteStore, inbox};

/// The oldest one-time package. Those that have expired are passed over.
pub(super) const OLDEST_ONE_TIME: &str = "SELECT key_package, key FROM key_packages
     WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3 AND last_resort = 0 AND offered AND expires > ?4
     ORDER BY key_package LIMIT 1";

/// The newest package of last resort: a device that uploads another wants that one used.
pub(super) const LAST_RESORT: &str = "SELECT key_package, key FROM key_packages
     WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3 AND last_resort = 1 AND offered AND expires > ?4
     ORDER BY key_package DESC LIMIT 1";

pub(super) const REMAINING: &str = "SELECT count(*) FROM key_packages
     WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3 AND last_resort = 0 AND offered AND expires > ?4";

pub(super) fn put_device(
    connection: &Connection,
    user_id: &UserId,
    device_id: &DeviceId,
    object: &[u8],
    key_packages: &[NewKeyPackage],
) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO devices (user_id, device_id, object) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET object = excluded.object",
        params![user_id.as_str(), device_id.as_str(), object],
    )?;
    for NewKeyPackage { algorithm, key, last_resort, expires } in key_packages {
        // A row that exists keeps a given package from being offered again. Only one of last resort comes back, when
        // its device was removed in between; to be given again is what it is for.
        execute(
            connection,
            "INSERT INTO key_packages (user_id, device_id, key, algorithm, last_resort, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (user_id, device_id, key) DO UPDATE SET offered = 1
             WHERE last_resort AND excluded.last_resort",
            params![user_id.as_str(), device_id.as_str(), key, algorithm, last_resort, expires],
        )?;
    }
    Ok(())
}

pub(super) fn remove_device(
    connection: &Connection,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<bool, StoreError> {
    let device = [user_id.as_str(), device_id.as_str()];
    execute(
        connection,
        "DELETE FROM key_packages WHERE user_id = ?1 AND device_id = ?2 AND NOT given",
        device,
    )?;
    execute(
        connection,
        "UPDATE key_packages SET offered = 0 WHERE user_id = ?1 AND device_id = ?2 AND offered",
        device,
    )?;
    let removed = execute(connection, "DELETE FROM devices WHERE user_id = ?1 AND device_id = ?2", device)?;
    Ok(removed > 0)
}

fn claim(
    connection: &Connection,
    user_id: &UserId,
    device_id: &DeviceId,
    algorithm: &str,
    now: i64,
    notice: ClaimNotice,
) -> Result<Option<Claimed>, StoreError> {
    let claimed = take(connection, user_id, device_id, algorithm, now)?;
    if let Some(claimed) = &claimed {
        let bytes = notice(device_id, claimed.remaining);
        inbox::put(connection, &[InboxItem { user_id: user_id.clone(), bytes, once: None }])?;
    }
    Ok(claimed)
}

/// Gives out a key package without telling anybody.
pub(super) fn take(
    connection: &Connection,
    user_id: &UserId,
    device_id: &DeviceId,
    algorithm: &str,
    now: i64,
) -> Result<Option<Claimed>, StoreError> {
    let at =
        |fault: Undecodable| fault.at(format_args!("the key packages of {user_id}'s device {device_id}"));
    let params = || (user_id.as_str(), device_id.as_str(), algorithm, now);
    for (sql, last_resort) in [(OLDEST_ONE_TIME, false), (LAST_RESORT, true)] {
        let found = first(connection, sql, params(), |row| {
            let decode = || Ok((integer(row, 0, "number")?, text(row, 1, "key package")?.to_owned()));
            decode().map_err(at)
        })?;
        let Some((number_of_it, key)) = found else { continue };
        let sql = "UPDATE key_packages SET given = 1, offered = last_resort WHERE key_package = ?1";
        execute(connection, sql, [number_of_it])?;
        let remaining = first(connection, REMAINING, params(), |row| number(row, 0, "count").map_err(at))?;
        return Ok(Some(Claimed { key, remaining: remaining.unwrap_or(0), last_resort }));
    }
    Ok(None)
}

#[async_trait]
impl DeviceStore for SqliteStore {
    async fn put_device(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        object: Vec<u8>,
        key_packages: Vec<NewKeyPackage>,
    ) -> Result<(), StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.clone());
        self.writer
            .run(move |connection| put_device(connection, &user_id, &device_id, &object, &key_packages))
            .await
    }

    async fn remove_device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<bool, StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.clone());
        self.writer.run(move |connection| remove_device(connection, &user_id, &device_id)).await
    }

    async fn device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<Option<Vec<u8>>, StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.clone());
        let sql = "SELECT object FROM devices WHERE user_id = ?1 AND device_id = ?2";
        self.readers
            .run(move |connection| {
                first(connection, sql, [user_id.as_str(), device_id.as_str()], |row| {
                    let object = bytes(row, 0, "device object").map(<[u8]>::to_vec);
                    object.map_err(|fault| fault.at(format_args!("{user_id}'s device {device_id}")))
                })
            })
            .await
    }

    async fn devices(&self, user_id: &UserId) -> Result<Vec<DeviceId>, StoreError> {
        let user_id = user_id.clone();
        let sql = "SELECT device_id FROM devices WHERE user_id = ?1 ORDER BY device_id";
        self.readers
            .run(move |connection| {
                all(connection, sql, [user_id.as_str()], |row| {
                    id(row, 0, "device id")
                        .map_err(|fault| fault.at(format_args!("the devices of {user_id}")))
                })
            })
            .await
    }

    async fn claim(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        algorithm: &str,
        now: i64,
        notice: ClaimNotice,
    ) -> Result<Option<Claimed>, StoreError> {
        let (user_id, device_id, algorithm) = (user_id.clone(), device_id.clone(), algorithm.to_owned());
        self.writer
            .run(move |connection| claim(connection, &user_id, &device_id, &algorithm, now, notice))
            .await
    }

    async fn deliver(&self, items: Vec<InboxItem>) -> Result<(), StoreError> {
        self.writer.run(move |connection| inbox::put(connection, &items)).await
    }

    async fn inbox(
        &self,
        user_id: &UserId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Arc<[u8]>)>, StoreError> {
        let user_id = user_id.clone();
        self.readers.run(move |connection| inbox::read(connection, &user_id, from, limit)).await
    }
}
