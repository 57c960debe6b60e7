//! Commits that add devices, whatever the system's clock says.
//!
//! OpenMLS compares the lifetime of every key package that a commit adds with the system's clock, and nobody can hand in
//! another time. So a device that was away could not follow a commit whose key package has expired since, and nobody
//! could check an old list or commit by another clock. The way around: OpenMLS is shown the commit with other lifetimes, which are never over, and
//! whatever it hashes, authenticates or verifies is what was sent: wherever a lifetime occurs that was shown, the one
//! that is meant stands in its place. In the staged commit that comes out they are exchanged once more.
//!
//! The lifetimes that are shown are drawn at random after the commit and the group are given, so that nothing else
//! looks like one of them. Should something do so all the same, hashes come out wrong and the commit is refused.

use std::borrow::Cow;

use openmls::framing::PublicMessageIn;
use openmls::group::StagedCommit;
use openmls::key_packages::{KeyPackage, KeyPackageIn};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::random::OpenMlsRand as _;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use tls_codec::{Deserialize as _, Error as TlsError, Serialize as _};
use zeroize::Zeroizing;

use super::Layer;
use crate::error::LibraryFault;
use crate::key_package::without_verifying;
use crate::storage::decode;
use crate::tree::Leaf;
use crate::tree::leaf::{take, take_opaque, take_u8};

/// The length of a lifetime: two times of eight bytes.
const LEN: usize = 16;

/// The most devices that can be told apart.
const MAX_ADDED: usize = 1 << 15;

/// The random bits at the end of a shown lifetime that its encoding in postcard has in whole bytes.
const TAIL_BITS: u64 = 42;

/// The lifetimes of the devices that one commit adds, shown as others.
#[derive(Debug)]
pub(crate) struct Undated {
    /// What is meant, in the order of the commit: the two ends of each.
    meant: Vec<(u64, u64)>,
    /// What every lifetime that is shown ends with. It begins with zeros, as there is no time before it begins, and its
    /// end is between: the topmost bit, which puts it billions of years ahead, and its place in the commit.
    random: [u8; 6],
}

impl Undated {
    /// Shows `commit`, the bytes of a PublicMessage that decodes. Returns nothing if it adds nobody, or has proposals
    /// that rooms do not use.
    pub(crate) fn show(commit: &[u8]) -> Result<Option<(Self, PublicMessageIn)>, LibraryFault> {
        let Ok(places) = lifetimes(commit) else { return Ok(None) };
        if places.is_empty() || places.len() > MAX_ADDED {
            return Ok(None);
        }
        let random = RustCrypto::default().random_array().map_err(|_| LibraryFault::MissingState)?;
        let mut undated = Self { meant: Vec::with_capacity(places.len()), random };
        let mut shown = commit.to_vec();
        for (index, at) in (0_u16..).zip(places) {
            undated.exchange(&mut shown, at, index)?;
        }
        let message = PublicMessageIn::tls_deserialize_exact(&shown).map_err(LibraryFault::encoding)?;
        Ok(Some((undated, message)))
    }

    fn shown(&self, index: u16) -> [u8; LEN] {
        let mut lifetime = [0; LEN];
        let [high, low] = (index | 1 << 15).to_be_bytes();
        let end = [&[high, low], &self.random[..]].concat();
        for (place, byte) in lifetime.iter_mut().skip(LEN / 2).zip(end) {
            *place = byte;
        }
        lifetime
    }

    /// What is meant by a lifetime, if it is one that was shown.
    fn meant(&self, begin: u64, end: u64) -> Option<(u64, u64)> {
        let [high, low, random @ ..] = end.to_be_bytes();
        let index = u16::from_be_bytes([high, low]).checked_sub(1 << 15)?;
        if begin != 0 || random != self.random {
            return None;
        }
        self.meant.get(usize::from(index)).copied()
    }

    /// Shows key packages that are to be committed.
    pub(crate) fn show_all(key_packages: &[KeyPackage]) -> Result<(Self, Vec<KeyPackage>), LibraryFault> {
        let random = RustCrypto::default().random_array().map_err(|_| LibraryFault::MissingState)?;
        let mut undated = Self { meant: Vec::with_capacity(key_packages.len()), random };
        let mut all = Vec::with_capacity(key_packages.len());
        for (index, key_package) in (0_u16..).zip(key_packages) {
            let mut bytes = key_package.tls_serialize_detached().map_err(LibraryFault::encoding)?;
            let at = skip_key_package(&mut &bytes[..]).map_err(LibraryFault::encoding)?;
            undated.exchange(&mut bytes, at, index)?;
            let shown = KeyPackageIn::tls_deserialize_exact(&bytes).map_err(LibraryFault::encoding)?;
            all.push(without_verifying(&shown)?);
        }
        Ok((undated, all))
    }

    /// Puts the lifetime that is shown in the place of the one that is meant.
    fn exchange(&mut self, bytes: &mut [u8], at: usize, index: u16) -> Result<(), LibraryFault> {
        let lifetime = at.checked_add(LEN).and_then(|end| bytes.get_mut(at..end));
        let lifetime = lifetime.ok_or(LibraryFault::MissingState)?;
        self.meant.push(ends(lifetime).ok_or(LibraryFault::MissingState)?);
        lifetime.copy_from_slice(&self.shown(index));
        Ok(())
    }

    /// The staged commit as it is meant. It must have come from the message that was shown.
    pub(crate) fn mean(&self, commit: &StagedCommit) -> Result<Box<StagedCommit>, LibraryFault> {
        let shown = Zeroizing::new(postcard::to_allocvec(commit).map_err(LibraryFault::encoding)?);
        decode(&self.mean_stored(&shown)).map(Box::new).map_err(LibraryFault::storage)
    }

    /// What OpenMLS has stored as it is meant.
    pub(crate) fn mean_stored(&self, stored: &[u8]) -> Zeroizing<Vec<u8>> {
        // Numbers are in groups of seven bits, the lowest first: this much of the end is the same for all.
        let end = u64::from_be_bytes([&[0, 0], &self.random[..]].concat().try_into().unwrap_or_default());
        let marker: Vec<u8> = [0]
            .into_iter()
            .chain((0..TAIL_BITS / 7).map(|group| (end >> (7 * group)).to_le_bytes()[0] | 0x80))
            .collect();
        Zeroizing::new(replace(stored, &marker, |rest| {
            let ((begin, end), after) = postcard::take_from_bytes::<(u64, u64)>(rest).ok()?;
            let meant = postcard::to_allocvec(&self.meant(begin, end)?).ok()?;
            Some((rest.len().checked_sub(after.len())?, meant))
        }))
    }
}

impl Layer for Undated {
    fn means<'a>(&self, message: &'a [u8]) -> Cow<'a, [u8]> {
        if !message.windows(self.random.len()).any(|bytes| bytes == self.random) {
            return Cow::Borrowed(message);
        }
        Cow::Owned(replace(message, &[0; LEN / 2], |rest| {
            let (begin, end) = ends(rest.get(..LEN)?)?;
            let (begin, end) = self.meant(begin, end)?;
            Some((LEN, [begin.to_be_bytes(), end.to_be_bytes()].concat()))
        }))
    }
}

fn ends(lifetime: &[u8]) -> Option<(u64, u64)> {
    match lifetime.as_chunks::<8>() {
        ([begin, end], []) => Some((u64::from_be_bytes(*begin), u64::from_be_bytes(*end))),
        _ => None,
    }
}

/// Replaces what begins with `marker` wherever `with` knows what to put in the place of how many bytes.
fn replace(bytes: &[u8], marker: &[u8], with: impl Fn(&[u8]) -> Option<(usize, Vec<u8>)>) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let found = if rest.starts_with(marker) { with(rest) } else { None };
        match found.and_then(|(count, new)| Some((rest.get(count..)?, new))) {
            Some((behind, new)) => {
                replaced.extend(new);
                rest = behind;
            }
            None => {
                replaced.push(*first);
                rest = after;
            }
        }
    }
    replaced
}

/// Where the lifetimes are of the key packages that a commit adds (RFC 9420 §6, §12.1).
fn lifetimes(commit: &[u8]) -> Result<Vec<usize>, TlsError> {
    const MEMBER: u8 = 1;
    const NEW_MEMBER_COMMIT: u8 = 4;
    const PROPOSAL: u8 = 1;
    const ADD: [u8; 2] = [0, 1];
    const REMOVE: [u8; 2] = [0, 3];
    const EXTERNAL_INIT: [u8; 2] = [0, 6];

    let rest = &mut &*commit;
    take_opaque(rest)?; // group_id
    take(rest, 8)?; // epoch
    match take_u8(rest)? {
        MEMBER => drop(take(rest, 4)?), // leaf_index
        NEW_MEMBER_COMMIT => {}
        _ => return Err(TlsError::InvalidInput),
    }
    take_opaque(rest)?; // authenticated_data
    take_u8(rest)?; // content_type
    let mut proposals = take_opaque(rest)?;
    let end = commit.len().saturating_sub(rest.len());
    let rest = &mut proposals;
    let mut places = Vec::new();
    while !rest.is_empty() {
        if take_u8(rest)? != PROPOSAL {
            return Err(TlsError::InvalidInput);
        }
        match <[u8; 2]>::try_from(take(rest, 2)?) {
            Ok(ADD) => {
                let start = end.saturating_sub(rest.len());
                places.push(start.saturating_add(skip_key_package(rest)?));
            }
            Ok(REMOVE) => drop(take(rest, 4)?),
            Ok(EXTERNAL_INIT) => drop(take_opaque(rest)?),
            _ => return Err(TlsError::InvalidInput),
        }
    }
    Ok(places)
}

/// Skips a key package (RFC 9420 §10) and returns where in it the lifetime is.
fn skip_key_package(rest: &mut &[u8]) -> Result<usize, TlsError> {
    let start = rest.len();
    take(rest, 4)?; // version, cipher_suite
    take_opaque(rest)?; // init_key
    let leaf = start.saturating_sub(rest.len());
    let lifetime = Leaf::take(rest)?.lifetime_at.ok_or(TlsError::InvalidInput)?;
    take_opaque(rest)?; // extensions
    take_opaque(rest)?; // signature
    Ok(leaf.saturating_add(lifetime))
}

/// A signer that signs what is meant.
pub(crate) struct Meaning<'a, S> {
    pub(crate) signer: &'a S,
    pub(crate) undated: &'a Undated,
}

impl<S: Signer> Signer for Meaning<'_, S> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.signer.sign(&self.undated.means(payload))
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.signer.signature_scheme()
    }
}

#[cfg(test)]
mod tests;
