//! Rule 5: `m.room.member` (LM-04 §5.2.3).

use serde_json::Value;

use super::{Action, AuthRule, Because, Membership, Refusal, SelectedState};
use crate::event::Event;
use crate::id::UserId;

/// What the rules about one membership change look at.
struct Change<'a> {
    event: &'a Event,
    target: UserId,
    state: &'a SelectedState<'a>,
}

pub(super) fn authorise(event: &Event, state: &SelectedState<'_>) -> Result<AuthRule, Refusal> {
    let malformed = |field| Refusal::new(AuthRule::MemberMalformed, Because::Field(field));
    let state_key = event.state_key().ok_or_else(|| malformed("state_key"))?;
    // A state key that names no user is as good as none (LM-04 §3.5.3.3).
    let target = UserId::parse(state_key).map_err(|_| {
        let because = Because::malformed("the state key", &Value::from(state_key), "a user id");
        Refusal::new(AuthRule::MemberMalformed, because)
    })?;
    let membership = event.content().get("membership").ok_or_else(|| malformed("membership"))?;
    let change = Change { event, target, state };
    match membership.as_str().and_then(Membership::parse) {
        Some(Membership::Join) => change.join(),
        Some(Membership::Invite) => change.invite(),
        Some(Membership::Leave) => change.leave(),
        Some(Membership::Ban) => change.ban(),
        Some(Membership::Knock) => change.knock(),
        None => {
            let because = match membership.as_str() {
                Some(unknown) => Because::UnknownMembership(unknown.to_owned()),
                None => Because::malformed("membership", membership, "a string"),
            };
            Err(Refusal::new(AuthRule::MembershipUnknown, because))
        }
    }
}

impl Change<'_> {
    /// Rule 5.2.
    fn join(&self) -> Result<AuthRule, Refusal> {
        let own = self.is_own();
        if own && self.state.follows_create && self.target == *self.state.creator() {
            return Ok(AuthRule::JoinCreator);
        }
        // Nobody else can send the creator's first join (reading R12).
        if !own {
            return Err(self.not_self(AuthRule::JoinNotSelf));
        }
        let current = self.state.target_membership();
        if current == Membership::Ban {
            return Err(self.membership(AuthRule::JoinBanned));
        }
        match self.state.join_rule() {
            "invite" | "knock" if matches!(current, Membership::Invite | Membership::Join) => {
                Ok(AuthRule::JoinInvited)
            }
            "public" => Ok(AuthRule::JoinPublic),
            rule => {
                let (join_rule, user) = (rule.to_owned(), self.target.clone());
                let because = Because::NotAdmitted { join_rule, user, is: current };
                Err(Refusal::new(AuthRule::JoinOtherwise, because))
            }
        }
    }

    /// Rule 5.3.
    fn invite(&self) -> Result<AuthRule, Refusal> {
        self.sender_is_joined(AuthRule::InviteSenderNotJoined)?;
        if matches!(self.state.target_membership(), Membership::Join | Membership::Ban) {
            return Err(self.membership(AuthRule::InviteTarget));
        }
        let have = self.sender_level();
        let need = self.state.levels().action(Action::Invite);
        if have >= need {
            return Ok(AuthRule::InviteAllowed);
        }
        Err(Refusal::new(AuthRule::InviteOtherwise, Because::Level { have, need }))
    }

    /// Rule 5.4.
    fn leave(&self) -> Result<AuthRule, Refusal> {
        let current = self.state.target_membership();
        if self.is_own() {
            return match current {
                Membership::Knock | Membership::Join | Membership::Invite => Ok(AuthRule::LeaveSelf),
                Membership::Leave | Membership::Ban => Err(self.membership(AuthRule::LeaveSelf)),
            };
        }
        self.sender_is_joined(AuthRule::LeaveSenderNotJoined)?;
        let have = self.sender_level();
        let to_ban = self.state.levels().action(Action::Ban);
        if current == Membership::Ban && have < to_ban {
            return Err(Refusal::new(AuthRule::LeaveUnban, Because::Level { have, need: to_ban }));
        }
        self.acts_on_target(Action::Kick, AuthRule::LeaveKick, AuthRule::LeaveOtherwise)
    }

    /// Rule 5.5.
    fn ban(&self) -> Result<AuthRule, Refusal> {
        self.sender_is_joined(AuthRule::BanSenderNotJoined)?;
        self.acts_on_target(Action::Ban, AuthRule::BanAllowed, AuthRule::BanOtherwise)
    }

    /// Rule 5.6.
    fn knock(&self) -> Result<AuthRule, Refusal> {
        let rule = self.state.join_rule();
        if rule != "knock" {
            return Err(Refusal::new(AuthRule::KnockJoinRule, Because::JoinRule(rule.to_owned())));
        }
        if !self.is_own() {
            return Err(self.not_self(AuthRule::KnockNotSelf));
        }
        match self.state.sender_membership() {
            Membership::Ban | Membership::Join => Err(self.membership(AuthRule::KnockOtherwise)),
            Membership::Leave | Membership::Knock | Membership::Invite => Ok(AuthRule::KnockAllowed),
        }
    }

    fn is_own(&self) -> bool {
        *self.event.sender() == self.target
    }

    fn sender_level(&self) -> i64 {
        self.state.levels().user(self.event.sender())
    }

    fn sender_is_joined(&self, rule: AuthRule) -> Result<(), Refusal> {
        match self.state.sender_membership() {
            Membership::Join => Ok(()),
            is => Err(Refusal::new(rule, Because::Membership { user: self.event.sender().clone(), is })),
        }
    }

    /// The sender's level reaches what the action needs, and is above the target's.
    fn acts_on_target(
        &self,
        action: Action,
        allowed: AuthRule,
        otherwise: AuthRule,
    ) -> Result<AuthRule, Refusal> {
        let levels = self.state.levels();
        let (sender, target, need) =
            (levels.user(self.event.sender()), levels.user(&self.target), levels.action(action));
        if sender < need {
            return Err(Refusal::new(otherwise, Because::Level { have: sender, need }));
        }
        if target >= sender {
            return Err(Refusal::new(otherwise, Because::NotAbove { sender, target }));
        }
        Ok(allowed)
    }

    fn membership(&self, rule: AuthRule) -> Refusal {
        let is = self.state.target_membership();
        Refusal::new(rule, Because::Membership { user: self.target.clone(), is })
    }

    fn not_self(&self, rule: AuthRule) -> Refusal {
        Refusal::new(
            rule,
            Because::NotSelf { sender: self.event.sender().clone(), state_key: self.target.to_string() },
        )
    }
}
