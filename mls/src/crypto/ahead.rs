//! The signatures of a tree's leaves, verified on all cores.
//!
//! Whoever comes to a group verifies the signature of every leaf (RFC 9420 §12.4.3.1), which is most of the work there
//! is. OpenMLS does so one by one. Here they are verified before OpenMLS asks, in parallel, and those that verify are
//! noted by a digest of all that went into it. What was not noted OpenMLS has verified in the usual way, so that
//! nothing in here can let a signature pass, nor say what is wrong with one.

use std::collections::HashSet;
use std::sync::OnceLock;

use openmls::ciphersuite::signature::SignContent;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::{HashType, SignatureScheme};
use rayon::prelude::*;
use tls_codec::{Error as TlsError, Serialize as _, VLByteSlice};

use super::{Layer, Layered};
use crate::suite::Suite;
use crate::tree::{Leaf, Nodes};

/// How many leaves a thread takes at least. With fewer there is nothing to gain from another one.
const LEAVES_PER_THREAD: usize = 8;

/// What a signature was verified as: see [`digest`].
type Digest = [u8; 32];

/// The signatures of one tree that are known to verify. It lives as long as the one call that uses the tree.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    verified: OnceLock<HashSet<Digest>>,
}

impl Layer for Ahead {
    fn is_verified(
        &self,
        crypto: &RustCrypto,
        scheme: SignatureScheme,
        message: &[u8],
        key: &[u8],
        signature: &[u8],
    ) -> bool {
        let Some(verified) = self.verified.get() else { return false };
        digest(crypto, scheme, message, key, signature).is_some_and(|digest| verified.contains(&digest))
    }
}

impl Layered<Ahead> {
    /// Verifies the leaves of a tree of the group `group_id`. A second tree is not looked at.
    pub(crate) fn verify_leaves(&self, nodes: &Nodes, suite: Suite, group_id: &[u8]) {
        self.layer.verify(&self.crypto, nodes, suite, group_id);
    }
}

impl Ahead {
    fn verify(&self, crypto: &RustCrypto, nodes: &Nodes, suite: Suite, group_id: &[u8]) {
        self.verified.get_or_init(|| {
            let scheme = suite.signature_scheme().mls();
            let leaves: Vec<_> = nodes.leaves().collect();
            let verified = leaves.par_iter().with_min_len(LEAVES_PER_THREAD).filter_map(|(index, leaf)| {
                let message = signed(leaf, *index, group_id).ok()?;
                crypto.verify_signature(scheme, &message, leaf.signature_key, leaf.signature).ok()?;
                digest(crypto, scheme, &message, leaf.signature_key, leaf.signature)
            });
            verified.collect()
        });
    }
}

/// What the signature of a leaf covers (RFC 9420 §5.1.2, §7.2).
fn signed(leaf: &Leaf<'_>, index: u32, group_id: &[u8]) -> Result<Vec<u8>, TlsError> {
    let mut content = leaf.content.to_vec();
    if leaf.is_placed {
        VLByteSlice(group_id).tls_serialize(&mut content)?;
        content.extend(index.to_be_bytes());
    }
    SignContent::new("LeafNodeTBS", content.into()).tls_serialize_detached()
}

/// The SHA-256 digest of a signature and all that it is verified with, each with its length.
fn digest(
    crypto: &RustCrypto,
    scheme: SignatureScheme,
    message: &[u8],
    key: &[u8],
    signature: &[u8],
) -> Option<Digest> {
    let mut input = Vec::with_capacity(message.len().saturating_add(key.len()).saturating_add(128));
    input.extend((scheme as u16).to_be_bytes());
    for part in [key, signature, message] {
        input.extend((part.len() as u64).to_be_bytes());
        input.extend_from_slice(part);
    }
    crypto.hash(HashType::Sha2_256, &input).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
