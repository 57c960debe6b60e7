//! A ratchet tree as somebody publishes it.

use openmls::treesync::Node;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::HashType;
use tls_codec::{Serialize as _, VLBytes};

use crate::error::LibraryFault;
use crate::suite::Suite;

/// The nodes of a tree in the order of the array that RFC 9420 §7.4 makes of it, without the blank ones at its end. Each
/// is encoded.
#[derive(Debug)]
pub(crate) struct TreeNodes<'a> {
    /// Nothing for a blank node.
    nodes: Vec<Option<&'a [u8]>>,
}

impl<'a> TreeNodes<'a> {
    /// Finds the nodes in the encoding of a tree (RFC 9420 §12.4.3.3). What the bytes of a node mean is not looked at
    /// beyond where they end.
    pub(crate) fn read(tree: &'a [u8]) -> Option<Self> {
        let mut rest = tree;
        let mut list = variable(&mut rest)?;
        if !rest.is_empty() {
            return None;
        }
        let mut nodes = Vec::new();
        while let Some((&present, after)) = list.split_first() {
            list = after;
            nodes.push(match present {
                0 => None,
                1 => Some(node(&mut list)?),
                _ => return None,
            });
        }
        Some(Self { nodes })
    }

    /// The tree hash of the root (RFC 9420 §7.8). Two trees that differ anywhere have different ones.
    pub(crate) fn hash(&self, suite: Suite) -> Result<Vec<u8>, LibraryFault> {
        let hasher = Hasher {
            nodes: &self.nodes,
            crypto: RustCrypto::default(),
            algorithm: suite.ciphersuite().hash_algorithm(),
        };
        let leaves = self.nodes.len().div_ceil(2).max(1).next_power_of_two();
        hasher.subtree(0, leaves)
    }
}

struct Hasher<'a> {
    nodes: &'a [Option<&'a [u8]>],
    crypto: RustCrypto,
    algorithm: HashType,
}

impl Hasher<'_> {
    /// The hash of the subtree over `leaves` leaves, of which `first` is the first. Their number is a power of two.
    fn subtree(&self, first: usize, leaves: usize) -> Result<Vec<u8>, LibraryFault> {
        let mut input = Vec::with_capacity(512);
        if leaves <= 1 {
            // LeafNodeHashInput
            input.push(1);
            let index = u32::try_from(first).map_err(LibraryFault::encoding)?;
            input.extend(index.to_be_bytes());
            self.put(first.saturating_mul(2), &mut input);
        } else {
            // ParentNodeHashInput
            let half = leaves / 2;
            input.push(2);
            self.put(first.saturating_mul(2).saturating_add(leaves).saturating_sub(1), &mut input);
            for first in [first, first.saturating_add(half)] {
                let hash = VLBytes::from(self.subtree(first, half)?);
                input.extend(hash.tls_serialize_detached().map_err(LibraryFault::encoding)?);
            }
        }
        self.crypto.hash(self.algorithm, &input).map_err(LibraryFault::crypto)
    }

    /// Puts the node at a place of the array, without its type: the hash has that in another place.
    fn put(&self, place: usize, input: &mut Vec<u8>) {
        match self.nodes.get(place) {
            Some(Some([_type, node @ ..])) => {
                input.push(1);
                input.extend_from_slice(node);
            }
            _ => input.push(0),
        }
    }
}

/// Takes a node off the front.
fn node<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let whole = *bytes;
    match take(bytes, 1)? {
        [1] => {
            variable(bytes)?; // encryption key
            variable(bytes)?; // signature key
            take(bytes, 2)?; // type of the credential, and the credential
            variable(bytes)?;
            for _capability in 0..5 {
                variable(bytes)?;
            }
            match take(bytes, 1)? {
                [1] => take(bytes, 16)?, // lifetime
                [2] => &[],
                [3] => variable(bytes)?, // parent hash
                _ => return None,
            };
            variable(bytes)?; // extensions
            variable(bytes)?; // signature
        }
        [2] => {
            variable(bytes)?; // encryption key
            variable(bytes)?; // parent hash
            variable(bytes)?; // unmerged leaves
        }
        _ => return None,
    }
    whole.get(..whole.len().checked_sub(bytes.len())?)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// Takes a vector with its length in front (RFC 9420 §2.1.2).
fn variable<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let first = *take(bytes, 1)?.first()?;
    let more = match first >> 6 {
        0 => 0,
        1 => 1,
        2 => 3,
        _ => return None,
    };
    let rest = take(bytes, more)?;
    let len = rest.iter().fold(usize::from(first & 0x3f), |len, byte| len << 8 | usize::from(*byte));
    take(bytes, len)
}

/// The nodes of a tree in the form in which OpenMLS keeps a tree and loads it: the leaves, the parents, what stands for
/// a leaf and for a parent that are not there, and the tree hash. They come from nodes in the order of the array.
pub(crate) fn stored_tree(nodes: Vec<Option<Node>>, tree_hash: &[u8]) -> Result<Vec<u8>, LibraryFault> {
    let (mut leaves, mut parents) = (Vec::new(), Vec::new());
    for (place, node) in nodes.into_iter().enumerate() {
        match (place % 2, node) {
            (0, None) => leaves.push(None),
            (0, Some(Node::LeafNode(leaf))) => leaves.push(Some(leaf)),
            (1, None) => parents.push(None),
            (1, Some(Node::ParentNode(parent))) => parents.push(Some(parent)),
            _ => return Err(LibraryFault::MissingState),
        }
    }
    postcard::to_allocvec(&(leaves, parents, None::<()>, None::<()>, tree_hash))
        .map_err(LibraryFault::encoding)
}

#[cfg(test)]
mod tests {
    use openmls::prelude::LeafNodeIndex;

    use super::*;
    use crate::testing::{ROOM, Rogue};

    /// Groups of several shapes: one member, a full tree, blank leaves, parents with and without unmerged leaves.
    fn groups(each: impl Fn(&Rogue)) {
        let mut alice = Rogue::new("alice", "A");
        alice.create(ROOM);
        each(&alice);
        for n in 0..9 {
            let added = [Rogue::new(&format!("u{n}"), "X").key_package()];
            alice.commit(|builder| builder.propose_adds(added));
            alice.merge();
            each(&alice);
            if n % 3 == 2 {
                alice.update();
                alice.merge();
                each(&alice);
            }
        }
        for leaf in [4, 9, 8] {
            alice.commit(|builder| builder.propose_removals([LeafNodeIndex::new(leaf)]));
            alice.merge();
            each(&alice);
        }
    }

    fn exported(member: &Rogue) -> Vec<u8> {
        member.group().export_ratchet_tree().tls_serialize_detached().unwrap()
    }

    #[test]
    fn the_hash_is_that_of_the_group() {
        groups(|member| {
            let tree = exported(member);
            let hash = TreeNodes::read(&tree).unwrap().hash(Suite::MANDATORY).unwrap();
            assert_eq!(hash, member.group().public_group().group_context().tree_hash());
        });
    }

    #[test]
    fn another_tree_has_another_hash() {
        let mut alice = Rogue::new("alice", "A");
        alice.create(ROOM);
        let added = ["bob", "carol"].map(|user| Rogue::new(user, "X").key_package());
        alice.commit(|builder| builder.propose_adds(added));
        alice.merge();
        alice.update();
        alice.merge();
        let tree = exported(&alice);
        let hash = |tree: &[u8]| Some(TreeNodes::read(tree)?.hash(Suite::MANDATORY).unwrap());
        let right = hash(&tree);
        assert!(right.is_some());
        for place in 0..tree.len() {
            let mut changed = tree.clone();
            changed[place] ^= 1;
            // Whether a node is called a leaf or a parent is in its place, not in the hash, and OpenMLS looks at that.
            let is_type = changed[place] ^ 3 == tree[place] && hash(&changed).is_none();
            assert!(is_type || hash(&changed) != right, "{place}");
        }
        for len in 0..tree.len() {
            assert!(TreeNodes::read(&tree[..len]).is_none());
        }
        assert!(TreeNodes::read(&[&tree[..], &[0]].concat()).is_none());
    }

    #[test]
    fn a_tree_is_stored_as_openmls_stores_it() {
        groups(|member| {
            let public = member.group().public_group();
            let nodes: Vec<Option<Node>> =
                postcard::from_bytes(&postcard::to_allocvec(&public.export_ratchet_tree()).unwrap()).unwrap();
            let stored = stored_tree(nodes, public.group_context().tree_hash()).unwrap();
            let loaded: openmls::treesync::TreeSync = postcard::from_bytes(&stored).unwrap();
            assert_eq!(loaded.export_ratchet_tree(), public.export_ratchet_tree());
        });
    }
}
