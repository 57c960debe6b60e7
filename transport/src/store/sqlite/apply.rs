//! Changes that are read from a log.

use rusqlite::Connection;

use super::super::command::{Command, Outcome, WrittenKey};
use super::super::{AppendError, InboxItem, StoreError};
use super::view::{self, Stamp};
use super::{apart, delivery, devices, inbox, keys, list, media, rooms, snapshot, transactions, users};

/// Makes a change. What comes of it follows from the database, the command and its stamp alone.
pub(super) fn apply(
    connection: &Connection,
    command: &Command,
    stamp: &Stamp,
) -> Result<Outcome, StoreError> {
    let done = |()| Outcome::Done;
    match command {
        Command::Append { room_id, expected, record, process } => {
            if !view::take_turn(connection, room_id, process, stamp)? {
                return Ok(Outcome::NotItsTurn);
            }
            match list::append(connection, room_id, expected, record) {
                Ok(position) => Ok(Outcome::Appended(position)),
                Err(AppendError::HeadMoved) => Ok(Outcome::HeadMoved),
                Err(AppendError::Store(error)) => Err(error),
            }
        }
        Command::Reserve { room_id, process } => view::reserve(connection, room_id, process, stamp).map(done),
        Command::PutSnapshot { room_id, snapshot } => snapshot::put(connection, room_id, snapshot).map(done),
        Command::PutGroup { room_id, position, snapshot } => {
            rooms::put_group(connection, room_id, *position, snapshot).map(done)
        }
        Command::PutEvidence(evidence) => rooms::put_evidence(connection, evidence).map(done),
        Command::PutInvite(invite) => rooms::put_invite(connection, invite).map(done),
        Command::RemoveInvite { room_id, user_id } => {
            rooms::remove_invite(connection, room_id, user_id).map(done)
        }
        Command::PutMessage { room_id, origin, sha256, message } => {
            apart::put_message(connection, room_id, origin, sha256, message).map(done)
        }
        Command::NameMessage { room_id, sha256 } => {
            apart::name_message(connection, room_id, sha256).map(done)
        }
        Command::PutTree { room_id, position, tree } => {
            apart::put_tree(connection, room_id, *position, tree).map(done)
        }
        Command::Begin { key, holder, gone } => begin(connection, key, holder, gone.as_deref(), stamp),
        Command::Abandon { key, holder } => view::release(connection, key, Some(holder.as_str())).map(done),
        Command::Remember { key, answer, now } => {
            view::release(connection, key, None)?;
            transactions::remember(connection, &key.origin, &key.endpoint, &key.txn_id, answer, *now)
                .map(done)
        }
        Command::ForgetAnswers { before } => transactions::forget_old(connection, *before).map(done),
        Command::Enqueue { destination, outgoing } => {
            delivery::enqueue(connection, destination, outgoing).map(Outcome::Queued)
        }
        Command::Depart { destination, flight } => {
            delivery::depart(connection, destination, flight).map(Outcome::Flying)
        }
        Command::Arrive { destination, flight, notices } => {
            delivery::arrive(connection, destination, flight, notices).map(done)
        }
        Command::PutDevice { user_id, device_id, object, key_packages } => {
            devices::put_device(connection, user_id, device_id, object, key_packages).map(done)
        }
        Command::RemoveDevice { user_id, device_id } => {
            devices::remove_device(connection, user_id, device_id).map(Outcome::Removed)
        }
        Command::Claim { .. } => claim(connection, command),
        Command::Deliver(items) => inbox::put(connection, items).map(done),
        Command::PutServerKeys { server, keys } => keys::put(connection, server, keys).map(done),
        Command::ForgetServerKeys { servers } => keys::forget(connection, *servers).map(done),
        Command::Introduce { identity, replaced } => {
            view::introduce(connection, identity, *replaced).map(Outcome::Introduced)
        }
        Command::PutInvitePermissions { user_id, permissions } => {
            users::put_invite_permissions(connection, user_id, permissions).map(done)
        }
        Command::AddMedia { item, quota } => media::add(connection, item, *quota).map(Outcome::Added),
        Command::DeleteMedia { owner, id } => media::delete(connection, owner, id).map(Outcome::Removed),
    }
}

fn begin(
    connection: &Connection,
    key: &WrittenKey,
    holder: &str,
    gone: Option<&str>,
    stamp: &Stamp,
) -> Result<Outcome, StoreError> {
    if let Some(answer) = transactions::answer(connection, &key.origin, &key.endpoint, &key.txn_id)? {
        return Ok(Outcome::Answered(answer));
    }
    Ok(match view::hold(connection, key, holder, gone, stamp)? {
        None => Outcome::Begun,
        Some(other) => Outcome::Elsewhere(other),
    })
}

/// Gives out the key package that was foreseen, with the notice that was written for it.
fn claim(connection: &Connection, command: &Command) -> Result<Outcome, StoreError> {
    let Command::Claim { user_id, device_id, algorithm, now, claimed, notice } = command else {
        return Ok(Outcome::NotItsTurn);
    };
    match devices::take(connection, user_id, device_id, algorithm, *now)? {
        Some(taken) if taken == *claimed => {
            let told = InboxItem { user_id: user_id.clone(), bytes: notice.clone().into(), once: None };
            inbox::put(connection, &[told])?;
            Ok(Outcome::Claimed)
        }
        // Nothing that was done so far stays.
        _ => Ok(Outcome::NotItsTurn),
    }
}
