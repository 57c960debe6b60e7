use super::*;

fn own(name: &str) -> RoomVersion {
    RoomVersion::lm_04(RoomVersionId::parse(name).unwrap(), Stability::Unstable)
}

#[test]
fn both_names_have_the_same_algorithms() {
    let versions = RoomVersions::lm_04();
    let stable = versions.get("I.1").unwrap();
    let unstable = versions.get("org.matrix.i-d.ralston-mimi-linearized-matrix.02").unwrap();
    assert_eq!(versions.default_version(), stable);
    assert_eq!((stable.stability, unstable.stability), (Stability::Stable, Stability::Unstable));
    assert_eq!(
        RoomVersion { id: stable.id.clone(), stability: stable.stability, ..(**unstable).clone() },
        **stable
    );
    assert!(versions.get("11").is_none());
}

#[test]
fn the_older_version_is_there_on_request() {
    assert!(RoomVersions::lm_04().get(DRAFT_01).is_none());
    let all = RoomVersions::all();
    assert_eq!(all.default_version().id, STABLE);
    let old = all.get("org.matrix.i-d.ralston-mimi-linearized-matrix.00").unwrap();
    assert_eq!((old.hashing, old.stability), (Hashing::Sha256, Stability::Unstable));
    let new = all.default_version();
    assert_eq!(
        (old.redaction, old.authorization, old.limits),
        (new.redaction, new.authorization, new.limits)
    );
}

#[test]
fn a_transferable_room_keeps_the_next_hub_when_redacted() {
    let (all, plain) = (RoomVersions::all(), own("org.example.1"));
    let transfer = all.get("org.mimi-interop.transfer.1").unwrap();
    assert_eq!(
        (plain.hub_selection, transfer.hub_selection),
        (HubSelection::Creator, HubSelection::StateEvent)
    );
    let (more, kept) = transfer.redaction.content.split_last().unwrap();
    assert_eq!(*more, ("m.room.hub", Keep::Keys(&["hub_server"])));
    assert_eq!((kept, transfer.redaction.fields), (plain.redaction.content, plain.redaction.fields));
}

#[test]
fn a_name_is_given_once() {
    let versions = RoomVersions::lm_04().with(own("org.example.1")).unwrap();
    let id = RoomVersionId::parse("org.example.1").unwrap();
    assert_eq!(versions.clone().with(own("org.example.1")).unwrap_err(), VersionError::Duplicate(id));
    assert!(matches!(versions.with(own("I.1")), Err(VersionError::Duplicate(_))));
}

#[test]
fn the_default_can_be_chosen_and_comes_first() {
    let versions = RoomVersions::lm_04().with(own("org.example.1")).unwrap();
    assert_eq!(versions.default_version().id, "I.1");
    let versions = versions.with_default("org.example.1").unwrap();
    assert_eq!(versions.default_version().id, "org.example.1");
    let ids: Vec<_> = versions.ids().map(RoomVersionId::as_str).collect();
    assert_eq!(ids, ["org.example.1", STABLE, UNSTABLE]);
    assert_eq!(versions.with_default("no").unwrap_err(), VersionError::Unknown("no".to_owned()));
    assert_eq!(RoomVersions::new(own("org.example.2")).default_version().id, "org.example.2");
}

#[test]
fn localparts_follow_the_version() {
    let (old, new) = (RoomVersion::draft_01().identifiers, own("org.example.1").identifiers);
    for (user, in_old, in_new) in [
        ("@a.b=c_d-e/f9:a.example", true, true),
        ("@a+b:a.example", false, true),
        ("@A:a.example", false, false),
        ("a", false, false),
    ] {
        assert_eq!((old.user_id(user).is_ok(), new.user_id(user).is_ok()), (in_old, in_new), "{user}");
    }
}
