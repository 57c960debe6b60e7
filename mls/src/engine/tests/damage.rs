//! Messages that were changed on their way.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Changed messages of every kind are refused, and the engines can go on as if they had not come.
    #[test]
    fn changed_messages_are_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 12),
    ) {
        let (mut alice, mut bob) = pair();
        let mut carol = engine("carol", "C");
        let sent = alice.encrypt(ROOM, b"hello").unwrap().ciphertext;
        let commit = alice.commit(ROOM, add([key_package(&carol)])).unwrap();
        let welcome = commit.welcome.unwrap().message;
        for (position, change) in changes {
            let changed = |message: &[u8]| {
                let mut message = message.to_vec();
                let at = position.index(message.len());
                message[at] ^= change;
                message
            };
            prop_assert!(bob.decrypt(ROOM, &changed(&sent)).is_err());
            prop_assert!(bob.receive_commit(ROOM, &changed(&commit.message), "$3").is_err());
            prop_assert!(carol.join(&changed(&welcome), "$3").is_err());
            prop_assert!(carol.join_external(ROOM, &changed(&commit.public_group_state), "$3").is_err());
        }
        prop_assert!(bob.decrypt(ROOM, &sent).is_ok());
        alice.accepted(ROOM, "$3").unwrap();
        bob.receive_commit(ROOM, &commit.message, "$3").unwrap();
        carol.join(&welcome, "$3").unwrap();
        says(&mut carol, &mut bob, "fine");
    }
}
