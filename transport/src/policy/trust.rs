//! Whose signatures count: certificate chains up to what is configured.

use std::time::Duration;

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519, Oid,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::brainpool;
use super::jws::{Algorithm, Jws, JwsError, Signature};

/// `id-kp-documentSigning` (RFC 9336 §3.1), as the contents of its encoding. A certificate that names purposes has to name
/// this one: that of a web server of the same authority signs no list.
const DOCUMENT_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x24];

/// Why a signed object is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It cannot be checked.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// A certificate cannot be read.
    #[error("a certificate cannot be read")]
    Certificate,
    /// The chain does not lead to a configured certificate.
    #[error("the chain of certificates: {0}")]
    Chain(webpki::Error),
    /// The signing certificate is not valid now.
    #[error("the signing certificate is not valid now")]
    Validity,
    /// The signing certificate's key is for something else.
    #[error("the signing certificate's key is not for signatures")]
    Usage,
    /// The key is not of the kind that the algorithm needs.
    #[error("the key is none for the algorithm")]
    Key,
    /// The signature does not fit.
    #[error("the signature is wrong")]
    Signature,
}

/// The certificates that are configured: authorities, and signers themselves.
#[derive(Debug)]
pub(super) struct Trust {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Vec<TrustAnchor<'static>>,
}

impl Trust {
    /// Reads them from PEM.
    pub(super) fn read(pem: &[u8]) -> Result<Self, TrustError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|_| TrustError::Certificate)?;
        let mut authorities = Vec::new();
        for certificate in &certificates {
            let (_, read) = X509Certificate::from_der(certificate).map_err(|_| TrustError::Certificate)?;
            if read.is_ca() {
                let anchor = anchor_from_trusted_cert(certificate).map_err(TrustError::Chain)?;
                authorities.push(anchor.to_owned());
            }
        }
        if certificates.is_empty() {
            Err(TrustError::Certificate)
        } else {
            Ok(Self { certificates, authorities })
        }
    }

    /// What a signed object says, if one of its signatures is right at `now`, in milliseconds since the Unix epoch.
    pub(super) fn open(&self, text: &[u8], now: i64) -> Result<Vec<u8>, TrustError> {
        let jws = Jws::read(text)?;
        let mut failure = TrustError::Signature;
        for signature in &jws.signatures {
            let checked = match signature {
                Ok(signature) => self.check(signature, now),
                Err(error) => Err(error.clone().into()),
            };
            match checked {
                Ok(()) => return Ok(jws.into_payload()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn check(&self, signature: &Signature, now: i64) -> Result<(), TrustError> {
        let mut chain = signature.chain.iter().map(|der| CertificateDer::from(der.as_slice()));
        let signer = chain.next().ok_or(JwsError::Chain)?;
        let (_, read) = X509Certificate::from_der(&signer).map_err(|_| TrustError::Certificate)?;
        let seconds = now.div_euclid(1_000);
        let time = ASN1Time::from_timestamp(seconds).map_err(|_| TrustError::Validity)?;
        if !read.validity().is_valid_at(time) {
            return Err(TrustError::Validity);
        }
        let usage = read.key_usage().map_err(|_| TrustError::Certificate)?;
        if usage.is_some_and(|usage| !usage.value.digital_signature()) {
            return Err(TrustError::Usage);
        }
        if !self.certificates.contains(&signer) {
            let seconds = u64::try_from(seconds).map_err(|_| TrustError::Validity)?;
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let between: Vec<_> = chain.collect();
            let end = EndEntityCert::try_from(&signer).map_err(TrustError::Chain)?;
            let mut algorithms = ALL_VERIFICATION_ALGS.to_vec();
            algorithms.push(&brainpool::CERTIFICATES);
            let usage = KeyUsage::required_if_present(DOCUMENT_SIGNING);
            end.verify_for_usage(&algorithms, &self.authorities, &between, time, usage, None, None)
                .map_err(TrustError::Chain)?;
        }
        verify(signature, &read)
    }
}

/// Checks a signature with the key of a certificate.
fn verify(signature: &Signature, certificate: &X509Certificate<'_>) -> Result<(), TrustError> {
    let key = certificate.public_key();
    let kind = &key.algorithm.algorithm;
    let curve = || key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let on = |wanted: &Oid<'_>| *kind == OID_KEY_TYPE_EC_PUBLIC_KEY && curve().as_ref() == Some(wanted);
    let bits = &key.subject_public_key.data;
    let (fits, algorithm): (bool, &dyn VerificationAlgorithm) = match signature.algorithm {
        Algorithm::Es256 => (on(&OID_EC_P256), &ECDSA_P256_SHA256_FIXED),
        Algorithm::Es384 => (on(&OID_NIST_EC_P384), &ECDSA_P384_SHA384_FIXED),
        Algorithm::Rs256 => (*kind == OID_PKCS1_RSAENCRYPTION, &RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Ps256 => (*kind == OID_PKCS1_RSAENCRYPTION, &RSA_PSS_2048_8192_SHA256),
        Algorithm::EdDsa => (*kind == OID_SIG_ED25519, &ED25519),
        Algorithm::Bp256r1 => {
            if !on(&brainpool::CURVE) {
                return Err(TrustError::Key);
            }
            let right = brainpool::verify_fixed(bits, &signature.input, &signature.value);
            return if right { Ok(()) } else { Err(TrustError::Signature) };
        }
    };
    if !fits {
        return Err(TrustError::Key);
    }
    UnparsedPublicKey::new(algorithm, bits)
        .verify(&signature.input, &signature.value)
        .map_err(|_| TrustError::Signature)
}
