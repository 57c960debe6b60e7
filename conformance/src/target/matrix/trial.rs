//! Before anything is judged: can the homeserver be driven at all?

use axum::Json;
use axum::extract::{Path, State};
use http::Method;
use serde_json::{Value, json};

use super::client::CallError;
use super::timeline::timeline;
use super::{Driver, DriverError, Failed, membership, rooms, text};

use std::sync::Arc;

/// Has two users of the homeserver meet in a room of its own default version: made, joined, written to, and read back.
/// Returns the room versions that it says it has, and what was done.
pub(super) async fn run(driver: &Arc<Driver>) -> Result<(Vec<String>, String), DriverError> {
    let failed =
        |step: &'static str| move |error: CallError| DriverError::Trial { step, error: error.to_string() };
    let refused = |step: &'static str| move |Failed(error): Failed| failed(step)(error);

    let step = "two users are registered, or log in";
    let alice = driver.homeserver.session("alice").await.map_err(failed(step))?;
    let bob = driver.homeserver.session("bob").await.map_err(failed(step))?;
    let path = "/_matrix/client/v3/capabilities";
    let answer = driver.homeserver.call(Some(&alice), Method::GET, path, None).await;
    let answer = answer.map_err(failed("its capabilities are asked for"))?;
    let versions = answer.get("capabilities").and_then(|all| all.get("m.room_versions"));
    let available = versions.and_then(|versions| versions.get("available")).and_then(Value::as_object);
    let available: Vec<String> = available.map(|all| all.keys().cloned().collect()).unwrap_or_default();
    // Rooms of version 1 are what there was before versions were.
    let default = versions.and_then(|versions| text(versions, "default")).unwrap_or("1").to_owned();

    let asked = json!({"creator": "alice", "join_rule": "public", "room_version": default});
    let Json(made) =
        rooms::create(State(Arc::clone(driver)), Json(asked)).await.map_err(refused("a room is made"))?;
    let room = text(&made, "room_id").unwrap_or_default().to_owned();
    let joins = json!({"sender": "bob", "target": "bob", "membership": "join"});
    let at = || (State(Arc::clone(driver)), Path(room.clone()));
    let (state, path) = at();
    let Json(_) =
        membership::change(state, path, Json(joins)).await.map_err(refused("another user joins it"))?;
    let words = format!("tried by {}", driver.homeserver.transaction());
    let says =
        json!({"sender": "bob", "type": "m.room.message", "content": {"msgtype": "m.text", "body": words}});
    let (state, path) = at();
    let Json(said) =
        rooms::send(state, path, Json(says)).await.map_err(refused("that user says something"))?;

    let step = "it is read back";
    let events = timeline(driver, &room).await.map_err(refused(step))?;
    let heard = events.iter().any(|event| {
        event.get("content").and_then(|content| text(content, "body")) == Some(words.as_str())
            && text(event, "sender") == Some(bob.user_id.as_str())
    });
    if !heard {
        let id = text(&said, "event_id").unwrap_or_default();
        let error = format!("{id} is not among the {} events that {} sees", events.len(), alice.user_id);
        return Err(DriverError::Trial { step, error });
    }
    let tried = format!(
        "{} made {room} (room version {default}), {} joined and wrote, and it was read back",
        alice.user_id, bob.user_id
    );
    Ok((available, tried))
}
