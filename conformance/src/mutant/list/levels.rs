//! Power levels that are read wrongly (LM-04 §5.2.2).

use mimi_linearized::version::{Faults, LevelFault};

use crate::mutant::{Fault, Mutant, mutant};

const fn read(levels: &'static [LevelFault]) -> Fault {
    Fault::Rules(Faults { waived: &[], barred: &[], uncited: &[], levels })
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "5.2.2/users-ignored",
        "no user has a level of their own",
        &["LM-04/5.2.2/1"],
        read(&[LevelFault::Ignored("users")]),
    ),
    mutant(
        "5.2.2/default-of-users-ignored",
        "the default level of users is not looked at",
        &["LM-04/5.2.2/2"],
        read(&[LevelFault::Ignored("users_default")]),
    ),
    mutant(
        "5.2.2/users-have-50",
        "users have level 50 where none is stated",
        &["LM-04/5.2.2/3"],
        read(&[LevelFault::Assumed("users_default", 50)]),
    ),
    mutant(
        "5.2.2/actions-ignored",
        "the levels of actions are not looked at",
        &["LM-04/5.2.2/4"],
        read(&[LevelFault::Ignored("kick"), LevelFault::Ignored("ban"), LevelFault::Ignored("invite")]),
    ),
    mutant(
        "5.2.2/actions-for-all",
        "whoever is joined kicks and bans where no level is stated",
        &["LM-04/5.2.2/5"],
        read(&[LevelFault::Assumed("kick", 0), LevelFault::Assumed("ban", 0)]),
    ),
    mutant(
        "5.2.2/invites-need-50",
        "inviting needs level 50 where none is stated",
        &["LM-04/5.2.2/5"],
        read(&[LevelFault::Assumed("invite", 50)]),
    ),
    mutant(
        "5.2.2/types-ignored",
        "the levels of single event types are not looked at",
        &["LM-04/5.2.2/6"],
        read(&[LevelFault::Ignored("events")]),
    ),
    mutant(
        "5.2.2/default-of-state-ignored",
        "the default level of state events is not looked at",
        &["LM-04/5.2.2/7"],
        read(&[LevelFault::Ignored("state_default")]),
    ),
    mutant(
        "5.2.2/state-for-all",
        "state events need no level where none is stated",
        &["LM-04/5.2.2/8"],
        read(&[LevelFault::Assumed("state_default", 0)]),
    ),
    mutant(
        "5.2.2/default-of-events-ignored",
        "the default level of other events is not looked at",
        &["LM-04/5.2.2/9"],
        read(&[LevelFault::Ignored("events_default")]),
    ),
    mutant(
        "5.2.2/messages-need-50",
        "messages need level 50 where none is stated",
        &["LM-04/5.2.2/10"],
        read(&[LevelFault::Assumed("events_default", 50)]),
    ),
];
