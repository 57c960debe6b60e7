//! A room's list, as one of the homeserver's users is told of it by `/sync`.

use http::Method;
use serde_json::{Value, json};

use super::client::{CallError, Session};
use super::rooms::unknown;
use super::{Driver, Failed, text};
use crate::target::segment;

/// How many events of a room are asked for at once. Rooms of cases are smaller.
const LIMIT: u64 = 1_000;

/// What was read of a room. It goes on where it ended: a homeserver may answer a first `/sync` from a cache.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Who reads.
    reader: Option<String>,
    since: Option<String>,
    events: Vec<Value>,
}

/// The events of a room, in the form that they have between servers, where the homeserver has it.
pub(super) async fn timeline(driver: &Driver, room: &str) -> Result<Vec<Value>, Failed> {
    let kept = driver.timeline_of(room);
    let mut kept = kept.lock().await;
    let mut refusal = unknown();
    let reader = kept.reader.clone();
    for user in reader.into_iter().chain(driver.who_knows(room)) {
        if kept.reader.as_ref() != Some(&user) {
            *kept = Timeline { reader: Some(user.clone()), ..Timeline::default() };
        }
        let session = driver.homeserver.session(&user).await?;
        match kept.read_on(driver, room, &session).await {
            Ok(()) => return Ok(kept.events.clone()),
            Err(error) => refusal = error,
        }
    }
    Err(Failed(refusal))
}

impl Timeline {
    async fn read_on(&mut self, driver: &Driver, room: &str, session: &Session) -> Result<(), CallError> {
        let filter = json!({
            "event_format": "federation",
            "presence": {"types": []},
            "account_data": {"types": []},
            "room": {"rooms": [room], "include_leave": true, "ephemeral": {"types": []},
                     "timeline": {"limit": LIMIT}},
        });
        let mut path = format!("/_matrix/client/v3/sync?timeout=0&filter={}", segment(&filter.to_string()));
        if let Some(since) = &self.since {
            path.push_str(&format!("&since={}", segment(since)));
        }
        let answer = driver.homeserver.call(Some(session), Method::GET, &path, None).await?;
        let rooms = answer.get("rooms");
        let news = ["join", "leave"].iter().find_map(|how| rooms?.get(how)?.get(room));
        match news {
            Some(news) => self.take(news)?,
            // Nothing new, unless nothing was there before.
            None if self.since.is_some() => {}
            None => return Err(CallError::Lacks("rooms")),
        }
        self.since = text(&answer, "next_batch").map(str::to_owned);
        Ok(())
    }

    fn take(&mut self, news: &Value) -> Result<(), CallError> {
        let part = |name: &str| news.get(name).and_then(|part| part.get("events")).and_then(Value::as_array);
        let limited = news.get("timeline").and_then(|timeline| timeline.get("limited"));
        if limited == Some(&Value::Bool(true)) && self.since.is_some() {
            return Err(CallError::Lacks("timeline without a gap"));
        }
        // State comes before the timeline, where the homeserver gives less than was asked for.
        let before = if self.since.is_none() { part("state") } else { None };
        for events in [before, part("timeline")].into_iter().flatten() {
            self.events.extend(events.iter().cloned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_appended_and_a_gap_is_an_error() {
        let news = |name: &str, limited: bool| {
            json!({"timeline": {"events": [{"event_id": name}], "limited": limited},
                   "state": {"events": [{"event_id": "state"}]}})
        };
        let mut timeline = Timeline::default();
        timeline.take(&news("a", true)).unwrap();
        timeline.since = Some("s".to_owned());
        timeline.take(&news("b", false)).unwrap();
        let ids: Vec<_> = timeline.events.iter().map(|event| text(event, "event_id").unwrap()).collect();
        assert_eq!(ids, ["state", "a", "b"]);
        assert!(matches!(timeline.take(&news("c", true)), Err(CallError::Lacks(_))));
    }
}
