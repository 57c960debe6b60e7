use openmls::credentials::{BasicCredential, CredentialWithKey};
use openmls::extensions::Extensions;
use openmls::group::PURE_CIPHERTEXT_WIRE_FORMAT_POLICY;
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{LeafNodeIndex, LeafNodeParameters};
use openmls_basic_credential::SignatureKeyPair;
use proptest::prelude::*;
use tls_codec::VLBytes;

use super::*;
use crate::credential::CredentialError;
use crate::error::Signed;
use crate::framing::{FramingError, GroupInfoView, MAX_COMMIT_LEN, MAX_MESSAGE_LEN, MessageKind};
use crate::key_package::KeyPackageError;
use crate::testing::{
    Event, ROOM, Rogue, SIGNATURE_LEN, TAG_LEN, address, bytes, credential, forge_key_package,
    mls_key_package, sign, unframed,
};

macro_rules! assert_fault {
    ($fault:expr, $pattern:pat $(if $guard:expr)?) => {
        match $fault {
            $pattern $(if $guard)? => {}
            fault => panic!("unexpected: {fault:?}"),
        }
    };
}

mod damage;
mod first_commit;
mod later_commits;

const SUITE: Suite = Suite::MANDATORY;

/// Another one with the same kinds of keys.
const OTHER_SUITE: Suite = Suite::DhKemX25519ChaCha20Poly1305Sha256Ed25519;

/// A room with Alice's device in its group, in epoch 1.
fn room() -> (Rogue, GroupTracker) {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let event = alice.update();
    alice.merge();
    let (tracker, _) = GroupTracker::start(ROOM, SUITE, &event.message, &event.group_info).unwrap();
    (alice, tracker)
}

/// A room with a device of Alice's and one of Bob's, in epoch 2.
fn room_of_two() -> (Rogue, Rogue, GroupTracker) {
    let (mut alice, mut tracker) = room();
    let mut bob = Rogue::new("bob", "B");
    let added = bob.key_package();
    let event = alice.commit(|builder| builder.propose_adds([added]));
    apply(&mut tracker, &event);
    alice.merge();
    bob.join(&event.welcome.unwrap());
    (alice, bob, tracker)
}

fn apply(tracker: &mut GroupTracker, event: &Event) -> Change {
    let staged = tracker.stage(&event.message, &event.group_info).unwrap();
    let announced = staged.change().clone();
    let members: Vec<_> = staged.members().cloned().collect();
    let change = tracker.merge(staged).unwrap();
    assert_eq!(change, announced);
    assert_eq!(change.epoch, tracker.epoch());
    assert!(tracker.members().eq(&members));
    assert_eq!(*tracker.roster, Roster::read(tracker.group.members()).unwrap());
    change
}

/// What is wrong with an event, according to the tracker, which must not change by it.
fn refused(tracker: &GroupTracker, message: &[u8], group_info: &[u8]) -> PeerFault {
    let before = tracker.snapshot().unwrap();
    let error = tracker.stage(message, group_info).unwrap_err();
    assert_eq!(tracker.snapshot().unwrap(), before);
    match error {
        CommitError::Peer(fault) => fault,
        CommitError::Library(fault) => panic!("{fault:?}"),
    }
}

fn refused_event(tracker: &GroupTracker, event: &Event) -> PeerFault {
    refused(tracker, &event.message, &event.group_info)
}

fn not_started(event: &Event) -> PeerFault {
    match GroupTracker::start(ROOM, SUITE, &event.message, &event.group_info) {
        Err(CommitError::Peer(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

fn addresses<'a>(members: impl IntoIterator<Item = &'a Member>) -> Vec<DeviceAddress> {
    members.into_iter().map(|member| member.address.clone()).collect()
}

/// A GroupInfo of any content, signed by `signer` as the leaf `index`.
fn forge_group_info(
    from: &[u8],
    signer: &SignatureKeyPair,
    index: u32,
    edit: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>, &mut Vec<u8>),
) -> Vec<u8> {
    use tls_codec::Deserialize as _;
    let framed: Framed<VerifiableGroupInfo> = framing::read(from).unwrap();
    let info = GroupInfoView::read(&framed).unwrap();
    let mut context = info.context.tls_serialize_detached().unwrap();
    let mut tag = info.confirmation_tag.tls_serialize_detached().unwrap();
    let mut rest = &framed.bytes[context.len()..];
    let mut extensions: Vec<u8> = VLBytes::tls_deserialize(&mut rest).unwrap().into();
    edit(&mut context, &mut extensions, &mut tag);
    let extensions = VLBytes::from(extensions).tls_serialize_detached().unwrap();
    let content = [&context[..], &extensions, &tag, &index.to_be_bytes()].concat();
    [&from[..4], &content, &sign(signer, "GroupInfoTBS", &content)].concat()
}

/// Signs a commit again after it was changed. `tags` is the length of the tags behind the signature: two of a member's
/// commit, one of an external commit.
fn sign_again(message: &mut [u8], tags: usize, signer: &SignatureKeyPair, context: &[u8]) {
    let end = message.len() - tags - SIGNATURE_LEN;
    // FramedContentTBS: version, wire format, content, context. The frame happens to begin it.
    let content = [&message[..end], context].concat();
    let signature = sign(signer, "FramedContentTBS", &content);
    message[end..end + SIGNATURE_LEN].copy_from_slice(&signature);
}
