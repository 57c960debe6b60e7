//! Which servers are in a room, now and at any event.

use std::collections::HashMap;

use super::Position;
use crate::auth::Membership;
use crate::event::Event;
use crate::id::{ServerName, UserId};

/// How many of a server's users are in a room from an event on; `since` is `None` for a snapshot.
#[derive(Debug, Clone, Copy)]
struct Count {
    since: Option<Position>,
    joined: u32,
    invited: u32,
}

/// Counts of joined and invited users by server, with their history.
#[derive(Debug, Default)]
pub struct Presence {
    servers: HashMap<ServerName, Vec<Count>>,
}

impl Presence {
    /// Counts a membership event that takes effect at `since`.
    pub(super) fn change(&mut self, since: Option<Position>, event: &Event, before: Membership) {
        let Some(user) = event.state_key().and_then(|key| UserId::parse(key).ok()) else { return };
        let after = event.membership().and_then(Membership::parse).unwrap_or(Membership::Leave);
        if before == after {
            return;
        }
        let history = self.servers.entry(user.server()).or_default();
        let mut count = history.last().copied().unwrap_or(Count { since, joined: 0, invited: 0 });
        adjust(&mut count.joined, Membership::Join, before, after);
        adjust(&mut count.invited, Membership::Invite, before, after);
        count.since = since;
        match history.last_mut() {
            Some(last) if last.since == since => *last = count,
            _ => history.push(count),
        }
    }

    /// Whether the server has a joined user.
    #[must_use]
    pub fn is_joined(&self, server: &ServerName) -> bool {
        self.servers.get(server).and_then(|history| history.last()).is_some_and(|count| count.joined > 0)
    }

    /// Whether the server had a joined user before the event at `position`, or has one through it.
    #[must_use]
    pub fn was_joined_around(&self, server: &ServerName, position: Position) -> bool {
        self.around(server, position, |count| count.joined > 0)
    }

    /// Likewise for a user joined or invited.
    #[must_use]
    pub fn was_invited_around(&self, server: &ServerName, position: Position) -> bool {
        self.around(server, position, |count| count.joined > 0 || count.invited > 0)
    }

    fn around(&self, server: &ServerName, position: Position, is: impl Fn(&Count) -> bool) -> bool {
        let Some(history) = self.servers.get(server) else { return false };
        let after = history.partition_point(|count| count.since <= Some(position));
        let before = history.partition_point(|count| count.since < Some(position));
        [before, after]
            .into_iter()
            .any(|end| end.checked_sub(1).and_then(|index| history.get(index)).is_some_and(&is))
    }

    /// The servers that have a joined user now.
    pub fn joined(&self) -> impl Iterator<Item = &ServerName> {
        self.servers
            .iter()
            .filter(|(_, history)| history.last().is_some_and(|count| count.joined > 0))
            .map(|(server, _)| server)
    }

    /// Whether an event that stands at `position` goes to `server` (LM-04 §12.5, reading R21): to servers with a
    /// joined user before it or after it, to the sender's server, and, for a membership event, to the target's server.
    /// An invite that the target's server has signed reached it over `/invite` already.
    #[must_use]
    pub fn is_target(&self, server: &ServerName, position: Position, event: &Event) -> bool {
        concerns(event).is_some_and(|concerned| concerned == *server)
            || event.sender_server() == server
            || self.was_joined_around(server, position)
    }

    /// Every server that the next event of the list will go to, in order: those of [`Self::is_target`].
    #[must_use]
    pub fn targets_of_next(&self, event: &Event) -> Vec<ServerName> {
        let mut targets: Vec<ServerName> = self.joined().cloned().collect();
        targets.push(event.sender_server().clone());
        targets.extend(concerns(event));
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// The server of the user whose membership an event changes, unless it took the event over `/invite`.
fn concerns(event: &Event) -> Option<ServerName> {
    let user = event.membership().and(event.state_key()).and_then(|key| UserId::parse(key).ok())?;
    let server = user.server();
    let invited = event.membership() == Some(Membership::Invite.as_str());
    let signed = event.is_signed_by(&server) && *event.sender_server() != server;
    (!(invited && signed)).then_some(server)
}

fn adjust(count: &mut u32, which: Membership, before: Membership, after: Membership) {
    if before == which {
        *count = count.saturating_sub(1);
    }
    if after == which {
        *count = count.saturating_add(1);
    }
}
