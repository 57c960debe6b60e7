//! Commits and trees that were changed, by somebody on the way or by their author.

use super::*;

struct Mutable {
    tracker: GroupTracker,
    snapshot: Vec<u8>,
    /// The context to which the commits are made.
    context: Vec<u8>,
    signers: [SignatureKeyPair; 3],
    /// Commits, by whom of those they are signed, and how long the tags behind the signature are.
    events: Vec<(Event, usize, usize)>,
}

fn mutable() -> Mutable {
    let (mut alice, _, mut tracker) = room_of_two();
    let (erin, frank) = (Rogue::new("erin", "E"), Rogue::new("frank", "F"));
    let added = [erin.key_package(), frank.key_package()];
    let event = alice.commit(|builder| builder.propose_adds(added));
    apply(&mut tracker, &event);
    alice.merge();
    // A tree with a hole in it.
    let event = alice.commit(|builder| builder.propose_removals([LeafNodeIndex::new(2)]));
    apply(&mut tracker, &event);
    alice.merge();
    let context = alice.group().public_group().group_context().tls_serialize_detached().unwrap();

    let carol = Rogue::new("carol", "C").key_package();
    let (mut dave, mut frank) = (Rogue::new("dave", "D"), frank);
    let mut events = vec![
        (dave.join_external(&event.group_info), 0, TAG_LEN),
        (frank.join_external(&event.group_info), 1, TAG_LEN),
        (alice.update(), 2, 2 * TAG_LEN),
    ];
    alice.clear();
    events.push((alice.commit(|builder| builder.propose_adds([carol])), 2, 2 * TAG_LEN));
    alice.clear();
    let removed = [LeafNodeIndex::new(1), LeafNodeIndex::new(3)];
    events.push((alice.commit(|builder| builder.propose_removals(removed)), 2, 2 * TAG_LEN));
    let signers = [dave.signer, frank.signer, alice.signer];
    for (event, ..) in &events {
        assert!(tracker.stage(&event.message, &event.group_info).is_ok());
    }
    Mutable { snapshot: tracker.snapshot().unwrap(), tracker, context, signers, events }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A commit with a few bytes changed never panics, never changes the tracker, and is never accepted. (A changed
    /// membership tag would be: a tracker cannot check it, so it is left alone here.)
    #[test]
    fn changed_commits_are_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..3),
        positions in prop::collection::vec(any::<prop::sample::Index>(), 24),
    ) {
        thread_local! { static MUTABLE: Mutable = mutable(); }
        MUTABLE.with(|Mutable { tracker, snapshot, events, .. }| {
            for (event, ..) in events {
                for position in &positions {
                    let mut message = event.message.clone();
                    let len = message.len() - TAG_LEN;
                    for (offset, change) in &changes {
                        message[(position.index(len) + offset.index(8)) % len] ^= change;
                    }
                    if message != event.message {
                        prop_assert!(tracker.stage(&message, &event.group_info).is_err());
                    }
                    let mut group_info = event.group_info.clone();
                    let len = group_info.len();
                    for (offset, change) in &changes {
                        group_info[(position.index(len) + offset.index(8)) % len] ^= change;
                    }
                    if group_info != event.group_info {
                        prop_assert!(tracker.stage(&event.message, &group_info).is_err());
                        prop_assert!(GroupTracker::start(ROOM, SUITE, &event.message, &group_info).is_err());
                    }
                }
            }
            prop_assert_eq!(&tracker.snapshot().unwrap(), snapshot);
            Ok(())
        })?;
    }

    /// The same when a member changes its own commit and signs it, so that all the rest of it is looked at.
    #[test]
    fn changed_and_signed_commits_are_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..3),
        positions in prop::collection::vec(any::<prop::sample::Index>(), 24),
    ) {
        thread_local! { static MUTABLE: Mutable = mutable(); }
        MUTABLE.with(|Mutable { tracker, snapshot, context, signers, events }| {
            for (event, signer, tags) in events {
                for position in &positions {
                    let mut message = event.message.clone();
                    let content = 4 + 1 + ROOM.len()..message.len() - tags - SIGNATURE_LEN;
                    for (offset, change) in &changes {
                        let at = position.index(content.len()) + offset.index(8) % content.len();
                        message[content.start + at % content.len()] ^= change;
                    }
                    if message != event.message {
                        sign_again(&mut message, *tags, &signers[*signer], context);
                        prop_assert!(tracker.stage(&message, &event.group_info).is_err());
                    }
                }
            }
            prop_assert_eq!(&tracker.snapshot().unwrap(), snapshot);
            Ok(())
        })?;
    }

    /// The same when a member publishes another tree and signs it: as it is, nobody can start with it.
    #[test]
    fn changed_and_signed_trees_are_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..3),
        positions in prop::collection::vec(any::<prop::sample::Index>(), 24),
    ) {
        thread_local! { static MUTABLE: Mutable = mutable(); }
        MUTABLE.with(|Mutable { events, signers, .. }| {
            let (event, signer, _) = &events[2];
            let signer = &signers[*signer];
            for position in &positions {
                let group_info = forge_group_info(&event.group_info, signer, 0, |_, extensions, _| {
                    let len = extensions.len();
                    for (offset, change) in &changes {
                        extensions[(position.index(len) + offset.index(8)) % len] ^= change;
                    }
                });
                if let Ok((started, _)) = GroupTracker::start(ROOM, SUITE, &event.message, &group_info) {
                    // Only the external public key can be another one without anybody noticing.
                    prop_assert_eq!(started.members().count(), 3);
                    let framed: Framed<VerifiableGroupInfo> = framing::read(&group_info).unwrap();
                    let sound: Framed<VerifiableGroupInfo> = framing::read(&event.group_info).unwrap();
                    prop_assert!(
                        framed.value.extensions().ratchet_tree() == sound.value.extensions().ratchet_tree()
                    );
                }
            }
            Ok(())
        })?;
    }
}
