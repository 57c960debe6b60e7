//! Cryptography that knows more than what it is asked.
//!
//! OpenMLS computes everything through a provider that is handed to it. A [`Layer`] stands between the two.

pub(crate) mod ahead;
pub(crate) mod undated;

use std::borrow::Cow;

use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig, HpkeKeyPair,
    KemOutput, SignatureScheme,
};
use tls_codec::SecretVLBytes;

use crate::storage::{MemberStore, Provider};

/// What is different from the cryptography underneath.
pub(crate) trait Layer: Send + Sync {
    /// Whether a signature is known to verify.
    fn is_verified(
        &self,
        crypto: &RustCrypto,
        scheme: SignatureScheme,
        message: &[u8],
        key: &[u8],
        signature: &[u8],
    ) -> bool {
        let _ = (crypto, scheme, message, key, signature);
        false
    }

    /// What stands for `message` wherever it is hashed, authenticated, verified or encrypted.
    fn means<'a>(&self, message: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(message)
    }
}

/// Nothing is different.
impl Layer for () {}

/// The cryptography of [`RustCrypto`] with a layer on it.
#[derive(Debug, Default)]
pub(crate) struct Layered<L> {
    crypto: RustCrypto,
    pub(crate) layer: L,
}

impl<L> Layered<L> {
    pub(crate) fn new(layer: L) -> Self {
        Self { crypto: RustCrypto::default(), layer }
    }
}

/// The storage of a provider, with such a cryptography.
#[derive(Debug)]
pub(crate) struct LayeredProvider<'a, L> {
    crypto: &'a Layered<L>,
    provider: &'a Provider,
}

impl<'a, L> LayeredProvider<'a, L> {
    pub(crate) fn new(crypto: &'a Layered<L>, provider: &'a Provider) -> Self {
        Self { crypto, provider }
    }
}

impl<L: Layer> OpenMlsProvider for LayeredProvider<'_, L> {
    type CryptoProvider = Layered<L>;
    type RandProvider = RustCrypto;
    type StorageProvider = MemberStore;

    fn storage(&self) -> &MemberStore {
        self.provider.storage()
    }

    fn crypto(&self) -> &Layered<L> {
        self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        self.provider.rand()
    }
}

impl<L: Layer> OpenMlsCrypto for Layered<L> {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        self.crypto.supports(ciphersuite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        self.crypto.supported_ciphersuites()
    }

    fn hkdf_extract(
        &self,
        hash_type: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.crypto.hkdf_extract(hash_type, salt, ikm)
    }

    fn hmac(&self, hash_type: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.crypto.hmac(hash_type, key, &self.layer.means(message))
    }

    fn hkdf_expand(
        &self,
        hash_type: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        self.crypto.hkdf_expand(hash_type, prk, info, okm_len)
    }

    fn hash(&self, hash_type: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.crypto.hash(hash_type, &self.layer.means(data))
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        // A Welcome has the tree in it.
        self.crypto.aead_encrypt(alg, key, &self.layer.means(data), nonce, aad)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.crypto.aead_decrypt(alg, key, ct_tag, nonce, aad)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        self.crypto.signature_key_gen(alg)
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        if self.layer.is_verified(&self.crypto, alg, data, pk, signature) {
            return Ok(());
        }
        self.crypto.verify_signature(alg, &self.layer.means(data), pk, signature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.crypto.sign(alg, data, key)
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        self.crypto.hpke_seal(config, pk_r, info, aad, ptxt)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.crypto.hpke_open(config, input, sk_r, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        self.crypto.hpke_setup_sender_and_export(config, pk_r, info, exporter_context, exporter_length)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        self.crypto.hpke_setup_receiver_and_export(config, enc, sk_r, info, exporter_context, exporter_length)
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        self.crypto.derive_hpke_keypair(config, ikm)
    }
}
