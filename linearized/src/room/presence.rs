//! Which servers are in a room, now and at any event.

use std::collections::{BTreeSet, HashMap};

use super::Position;
use crate::auth::Membership;
use crate::event::Event;
use crate::id::{ServerName, UserId};

/// How many of a server's users are in a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Members {
    /// How many are joined.
    pub joined: u32,
    /// How many are invited.
    pub invited: u32,
}

/// How many of a server's users are in a room from an event on; `since` is `None` for a snapshot.
#[derive(Debug, Clone, Copy)]
struct Count {
    since: Option<Position>,
    members: Members,
}

/// Counts of joined and invited users by server, with their history.
///
/// Like the slots of a state, every server has a list of its own, so that a question about one server at one event is a
/// binary search among that server's changes.
#[derive(Debug, Default)]
pub struct Presence {
    servers: HashMap<ServerName, Vec<Count>>,
    joined: BTreeSet<ServerName>,
}

impl Presence {
    /// Counts a membership event that takes effect at `since`.
    pub(super) fn change(&mut self, since: Option<Position>, event: &Event, before: Membership) {
        let Some(user) = event.state_key().and_then(|key| UserId::parse(key).ok()) else { return };
        let after = event.membership().and_then(Membership::parse).unwrap_or(Membership::Leave);
        if before == after {
            return;
        }
        let server = user.server();
        let server = self.known(&server).unwrap_or(&server).clone();
        let history = self.servers.entry(server.clone()).or_default();
        let mut members = history.last().map_or_else(Members::default, |count| count.members);
        adjust(&mut members.joined, Membership::Join, before, after);
        adjust(&mut members.invited, Membership::Invite, before, after);
        match history.last_mut() {
            Some(last) if last.since == since => last.members = members,
            _ => history.push(Count { since, members }),
        }
        if members.joined > 0 {
            self.joined.insert(server);
        } else {
            self.joined.remove(&server);
        }
    }

    /// How many of a server's users are in the room now.
    #[must_use]
    pub fn members(&self, server: &ServerName) -> Members {
        let last = self.servers.get(server).and_then(|history| history.last());
        last.map_or_else(Members::default, |count| count.members)
    }

    /// How many of a server's users were in the room before the event at `position`.
    #[must_use]
    pub fn members_before(&self, server: &ServerName, position: Position) -> Members {
        self.members_at(server, |count| count.since < Some(position))
    }

    /// How many of a server's users were in the room once the event at `position` was applied.
    #[must_use]
    pub fn members_after(&self, server: &ServerName, position: Position) -> Members {
        self.members_at(server, |count| count.since <= Some(position))
    }

    fn members_at(&self, server: &ServerName, counts: impl Fn(&Count) -> bool) -> Members {
        let Some(history) = self.servers.get(server) else { return Members::default() };
        let end = history.partition_point(counts);
        let last = end.checked_sub(1).and_then(|index| history.get(index));
        last.map_or_else(Members::default, |count| count.members)
    }

    /// A server's name as it is in memory here, if it is.
    pub(super) fn known(&self, server: &ServerName) -> Option<&ServerName> {
        self.servers.get_key_value(server).map(|(name, _)| name)
    }

    /// Whether the server has a joined user.
    #[must_use]
    pub fn is_joined(&self, server: &ServerName) -> bool {
        self.members(server).joined > 0
    }

    /// Whether the server had a joined user before the event at `position`, or has one through it.
    #[must_use]
    pub fn was_joined_around(&self, server: &ServerName, position: Position) -> bool {
        self.around(server, position, |members| members.joined > 0)
    }

    /// Likewise for a user joined or invited.
    #[must_use]
    pub fn was_invited_around(&self, server: &ServerName, position: Position) -> bool {
        self.around(server, position, |members| members.joined > 0 || members.invited > 0)
    }

    fn around(&self, server: &ServerName, position: Position, is: impl Fn(Members) -> bool) -> bool {
        is(self.members_before(server, position)) || is(self.members_after(server, position))
    }

    /// The servers that have a joined user now, in order.
    pub fn joined(&self) -> impl Iterator<Item = &ServerName> {
        self.joined.iter()
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
