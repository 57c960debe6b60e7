//! Ratchet trees that come apart from their GroupInfo.
//!
//! A GroupInfo may leave the tree out, and whoever uses it gets the tree from elsewhere (RFC 9420 §12.4.3.3). What it
//! signs in any case is the tree's hash (RFC 9420 §7.8). It is computed here, over the tree as it was sent, before any
//! of the tree's thousands of signatures is verified: a tree that is not the one is refused at once, whoever made it.

pub(crate) mod leaf;

use openmls::prelude::RatchetTreeIn;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use thiserror::Error;
use tls_codec::{Deserialize, Error as TlsError, Serialize, Size as _, VLByteSlice};

use crate::error::{CommitError, LibraryFault, PeerFault, Source};
use crate::suite::Suite;

pub(crate) use self::leaf::Leaf;
use self::leaf::{take_opaque, take_u8};

/// The largest ratchet tree that is looked at, in bytes: enough for about 20,000 devices in suites without post-quantum
/// keys.
pub const MAX_TREE_LEN: usize = 8 * 1024 * 1024;

/// The most leaves that a tree may have room for. Blank ones have a byte each, and take as long to hash as others.
const MAX_LEAVES: usize = 65_536;

/// How many leaves have a node above them whose key should be known, so that others need not encrypt to each of the
/// leaves: see [`Engine::is_cold`](crate::Engine::is_cold).
pub const WARM_LEAVES: usize = 64;

/// To how many keys others may have to encrypt instead of to that one node before it is worth a commit to mend it.
const WARM_ENOUGH: usize = 8;

/// Why bytes are not the ratchet tree they should be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// There are too many bytes to look at them.
    #[error("a ratchet tree of {size} bytes is too large, the limit is {limit}")]
    TooLarge {
        /// The number of bytes.
        size: usize,
        /// The largest number that is accepted.
        limit: usize,
    },
    /// The tree has too many leaves, blank ones included.
    #[error("a ratchet tree of {leaves} leaves is too large, the limit is {limit}")]
    TooManyLeaves {
        /// The number of leaves.
        leaves: usize,
        /// The largest number that is accepted.
        limit: usize,
    },
    /// The bytes are no tree, or something follows it (RFC 9420 §12.4.3.3).
    #[error("the bytes are not a ratchet tree")]
    Malformed(#[source] Source),
    /// The bytes decode, but encoding them again gives other bytes.
    #[error("the ratchet tree is not in its canonical encoding")]
    NotCanonical,
    /// It is another tree than the one whose hash the GroupInfo signs (RFC 9420 §7.8).
    #[error("the ratchet tree is not the one that the GroupInfo speaks of")]
    WrongTree,
}

/// The hash of a ratchet tree, as a GroupInfo signs it (RFC 9420 §7.8). Nothing else of the tree is checked.
///
/// # Errors
///
/// [`PeerFault::Tree`] if the bytes are no tree, or too large a one.
pub fn tree_hash(bytes: &[u8], suite: Suite) -> Result<Vec<u8>, CommitError> {
    Ok(parse(bytes)?.hash(suite)?)
}

/// Parses a tree that is not too large.
fn parse(bytes: &[u8]) -> Result<Nodes, PeerFault> {
    let size = bytes.len();
    if size > MAX_TREE_LEN {
        return Err(TreeError::TooLarge { size, limit: MAX_TREE_LEN }.into());
    }
    let nodes = Nodes::parse(bytes).map_err(malformed)?;
    let leaves = nodes.0.len().div_ceil(2);
    if leaves > MAX_LEAVES {
        return Err(TreeError::TooManyLeaves { leaves, limit: MAX_LEAVES }.into());
    }
    Ok(nodes)
}

/// A ratchet tree before its leaves are verified, as OpenMLS takes it and as it is encoded.
#[derive(Clone, Debug)]
pub(crate) struct UnverifiedTree {
    pub(crate) tree: RatchetTreeIn,
    /// Nothing if it is no tree: OpenMLS says in what way.
    pub(crate) nodes: Option<Nodes>,
}

impl UnverifiedTree {
    /// Reads a ratchet tree that has to be the one whose hash is `expected`.
    pub(crate) fn read(bytes: &[u8], suite: Suite, expected: &[u8]) -> Result<Self, CommitError> {
        let nodes = parse(bytes)?;
        if nodes.hash(suite)? != expected {
            return Err(PeerFault::from(TreeError::WrongTree).into());
        }
        let tree = RatchetTreeIn::tls_deserialize_exact(bytes).map_err(malformed)?;
        match tree.tls_serialize_detached() {
            Ok(again) if again == bytes => Ok(Self { tree, nodes: Some(nodes) }),
            _ => Err(PeerFault::from(TreeError::NotCanonical).into()),
        }
    }

    /// Takes the tree that a GroupInfo has within.
    pub(crate) fn within(tree: &RatchetTreeIn) -> Result<Self, LibraryFault> {
        let bytes = tree.tls_serialize_detached().map_err(LibraryFault::encoding)?;
        Ok(Self { tree: tree.clone(), nodes: parse(&bytes).ok() })
    }
}

fn malformed(error: TlsError) -> PeerFault {
    TreeError::Malformed(error.into()).into()
}

/// A node that is not blank.
#[derive(Clone, Debug)]
struct Node {
    /// Its encoding, without its type.
    body: Vec<u8>,
    /// The leaves below a parent that do not know its key, in order; a leaf has none.
    unmerged: Vec<u32>,
}

/// The nodes of a tree as they are encoded, leaves at even places and parents at odd ones (RFC 9420 appendix C).
#[derive(Clone, Debug)]
pub(crate) struct Nodes(Vec<Option<Node>>);

const LEAF: u8 = 1;
const PARENT: u8 = 2;

impl Nodes {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, TlsError> {
        let mut after = bytes;
        let mut rest = take_opaque(&mut after)?;
        if !after.is_empty() {
            return Err(TlsError::TrailingData);
        }
        let mut nodes = Vec::new();
        while !rest.is_empty() {
            let node = match take_u8(&mut rest)? {
                0 => None,
                1 => Some(Self::parse_node(&mut rest, nodes.len())?),
                _ => return Err(TlsError::InvalidInput),
            };
            nodes.push(node);
        }
        // There is a leaf at each end.
        if nodes.len() % 2 == 0 {
            return Err(TlsError::InvalidInput);
        }
        Ok(Self(nodes))
    }

    fn parse_node(rest: &mut &[u8], place: usize) -> Result<Node, TlsError> {
        let kind = take_u8(rest)?;
        let start = *rest;
        let unmerged = match (kind, place % 2) {
            (LEAF, 0) => {
                Leaf::take(rest)?;
                Vec::new()
            }
            (PARENT, 1) => {
                take_opaque(rest)?; // encryption_key
                take_opaque(rest)?; // parent_hash
                let (leaves, left_over) = take_opaque(rest)?.as_chunks::<4>();
                if !left_over.is_empty() {
                    return Err(TlsError::InvalidInput);
                }
                leaves.iter().map(|leaf| u32::from_be_bytes(*leaf)).collect()
            }
            _ => return Err(TlsError::InvalidInput),
        };
        let length = start.len().saturating_sub(rest.len());
        let body = start.get(..length).ok_or(TlsError::EndOfStream)?.to_vec();
        Ok(Node { body, unmerged })
    }

    /// The leaves that are not blank, with the index of each.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (u32, Leaf<'_>)> {
        let leaves = (0..).zip(self.0.iter().step_by(2));
        leaves.filter_map(|(index, node)| {
            // It was taken before, or there would be no node.
            let leaf = Leaf::take(&mut node.as_ref()?.body.as_slice()).ok()?;
            Some((index, leaf))
        })
    }

    fn node(&self, place: usize) -> Option<&Node> {
        self.0.get(place)?.as_ref()
    }

    /// The number of leaves that the tree has room for: a power of two.
    fn width(&self) -> usize {
        self.0.len().div_ceil(2).next_power_of_two()
    }

    /// The hash of the whole tree (RFC 9420 §7.8).
    pub(crate) fn hash(&self, suite: Suite) -> Result<Vec<u8>, LibraryFault> {
        // Made once: it draws a seed from the operating system.
        let crypto = RustCrypto::default();
        let algorithm = suite.ciphersuite().hash_algorithm();
        let digest = |input: &[u8]| crypto.hash(algorithm, input).map_err(LibraryFault::crypto);
        let mut level = Vec::with_capacity(self.width());
        for (leaf, index) in (0_u32..).zip(0..self.width()) {
            let mut input = vec![LEAF];
            input.extend(leaf.to_be_bytes());
            put_optional(&mut input, self.node(2 * index));
            level.push(digest(&input)?);
        }
        let mut height = 1_u32;
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len() / 2);
            for (index, pair) in level.as_chunks::<2>().0.iter().enumerate() {
                let mut input = vec![PARENT];
                put_optional(&mut input, self.node(place(index, height)));
                for hash in pair {
                    let length = VLByteSlice(hash).tls_serialized_len();
                    input.reserve(length);
                    VLByteSlice(hash).tls_serialize(&mut input).map_err(LibraryFault::encoding)?;
                }
                above.push(digest(&input)?);
            }
            level = above;
            height += 1;
        }
        level.pop().ok_or(LibraryFault::MissingState)
    }

    /// How many keys one has to encrypt to for everybody below a node to be able to decrypt: the size of its resolution
    /// (RFC 9420 §4.1.1). The node is the `index`th from the left of those `height` above the leaves.
    fn resolution(&self, index: usize, height: u32) -> usize {
        if let Some(node) = self.node(place(index, height)) {
            return node.unmerged.len().saturating_add(1);
        }
        match height.checked_sub(1) {
            None => 0,
            Some(below) => {
                let left = index.saturating_mul(2);
                self.resolution(left, below).saturating_add(self.resolution(left.saturating_add(1), below))
            }
        }
    }

    /// How many keys a path of the member in `leaf` has to be encrypted to.
    pub(crate) fn path_keys(&self, leaf: usize) -> usize {
        let mut keys = 0_usize;
        let (mut index, mut height) = (leaf, 0_u32);
        while self.width() >> height > 1 {
            keys = keys.saturating_add(self.resolution(index ^ 1, height));
            index >>= 1;
            height += 1;
        }
        keys
    }

    /// Whether others have to encrypt to many keys where one would do for the [`WARM_LEAVES`] leaves around `leaf`.
    pub(crate) fn is_cold(&self, leaf: usize) -> bool {
        let height = WARM_LEAVES.trailing_zeros();
        self.width() > WARM_LEAVES && self.resolution(leaf >> height, height) > WARM_ENOUGH
    }
}

/// Where the node is that is the `index`th of those `height` above the leaves.
fn place(index: usize, height: u32) -> usize {
    (index << (height + 1)).saturating_add((1_usize << height).saturating_sub(1))
}

fn put_optional(input: &mut Vec<u8>, node: Option<&Node>) {
    match node {
        None => input.push(0),
        Some(node) => {
            input.push(1);
            input.extend_from_slice(&node.body);
        }
    }
}

#[cfg(test)]
mod tests;
