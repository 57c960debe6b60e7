//! Rules about MLS that refuse nothing (LM-04 §4): such a commit is listed, and the group stays as it was.

use mimi_linearized::auth::{MlsRule, Rule};
use mimi_linearized::version::Faults;

use crate::mutant::{Fault, Mutant, mutant};

/// A rule that refuses nothing.
const fn waived(rules: &'static [Rule]) -> Fault {
    Fault::Rules(Faults { waived: rules, barred: &[], uncited: &[], levels: &[] })
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "4.5.1/malformed-commit",
        "a commit event needs none of its fields",
        &["LM-04/4.5.1/1"],
        waived(&[Rule::Mls(MlsRule::Malformed)]),
    ),
    mutant(
        "4/private-message",
        "a commit may be no PublicMessage",
        &["LM-04/4/2"],
        waived(&[Rule::Mls(MlsRule::NotPublic)]),
    ),
    mutant(
        "4/other-group",
        "a commit may be of another group",
        &["LM-04/4/1"],
        waived(&[Rule::Mls(MlsRule::OtherGroup)]),
    ),
    mutant(
        "4.3/stranger-added",
        "a commit may add anybody's device",
        &["LM-04/4.3/4", "LM-04/4.3/3", "LM-04/4.3/9", "LM-04/5.1/13"],
        waived(&[Rule::Mls(MlsRule::AddedNotJoined)]),
    ),
    mutant(
        "4.3/member-removed",
        "a commit may remove anybody's device",
        &["LM-04/4.3/6"],
        waived(&[Rule::Mls(MlsRule::RemovedIllegally)]),
    ),
    mutant(
        "4.3/second-commit",
        "a commit may be for any epoch",
        &["R28"],
        waived(&[Rule::Mls(MlsRule::Epoch)]),
    ),
    mutant(
        "4.3/sender-not-committer",
        "a commit may be sent by another than the committer",
        &["R28"],
        waived(&[Rule::Mls(MlsRule::Committer)]),
    ),
    mutant(
        "4/other-suite",
        "a commit may be of another suite than the room's",
        &["LM-04/4/7"],
        waived(&[Rule::Mls(MlsRule::OtherSuite)]),
    ),
    mutant(
        "4.3/any-proposals",
        "a commit may refer to proposals of others",
        &["LM-04/4.3/1"],
        waived(&[Rule::Mls(MlsRule::Proposals)]),
    ),
    mutant(
        "4.1/any-leaf",
        "a device comes into a group whatever its user's server says of it",
        &["R39"],
        waived(&[Rule::Mls(MlsRule::Credential)]),
    ),
];
