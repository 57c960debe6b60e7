//! ECDSA on brainpoolP256r1 (RFC 5639 §3.4) with SHA-256, which the German telematics infrastructure signs its federation
//! lists and their certificates with, and which `ring` does not have.

use bp256::BrainpoolP256r1;
use ecdsa::signature::Verifier as _;
use ecdsa::{Signature, VerifyingKey};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use x509_parser::oid_registry::Oid;
use x509_parser::oid_registry::asn1_rs::oid;

/// The curve's name in certificates.
pub(super) const CURVE: Oid<'static> = oid!(1.3.36.3.3.2.8.1.1.7);

/// `id-ecPublicKey` with the curve (RFC 5480 §2.1.1), as the contents of its encoding.
const KEY: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
    0x06, 0x09, 0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07, // brainpoolP256r1
];

/// `ecdsa-with-SHA256` (RFC 5758 §3.2), likewise.
const SIGNATURE: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// How certificates are signed with it.
#[derive(Debug)]
pub(super) struct Certificates;

/// As `webpki` takes it.
pub(super) static CERTIFICATES: Certificates = Certificates;

impl SignatureVerificationAlgorithm for Certificates {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        if verify(key, message, &signature) { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(KEY)
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(SIGNATURE)
    }
}

/// Whether a signature in the form that JWS has it (RFC 7518 §3.4), the two numbers one after the other, is right.
pub(super) fn verify_fixed(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| verify(key, message, &signature))
}

fn verify(key: &[u8], message: &[u8], signature: &Signature<BrainpoolP256r1>) -> bool {
    let key = VerifyingKey::<BrainpoolP256r1>::from_sec1_bytes(key);
    key.is_ok_and(|key| key.verify(message, signature).is_ok())
}
