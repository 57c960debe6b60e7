//! A signed list of servers, as the German TI-Messenger's (gematik, `api-vzd`), with the certificate of who signs it.

use mimi_linearized::base64;
use mimi_linearized::event::hash::sha256;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a list is to say; a table of a profile's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ListSettings {
    /// The servers.
    pub(super) servers: Vec<String>,
    /// Whether it has their SHA-256 instead of their names.
    #[serde(default)]
    pub(super) hashed: bool,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
#[error("the profile's list of servers cannot be signed: {0}")]
pub(crate) struct ListError(String);

fn failed(error: impl std::fmt::Display) -> ListError {
    ListError(error.to_string())
}

/// The list as a compact JWS, and the PEM certificate of the authority behind it.
pub(super) fn sign(settings: &ListSettings) -> Result<(String, String), ListError> {
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?);
    let authority = authority.map_err(failed)?;
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let certificate = params.signed_by(&key, &authority).map_err(failed)?;

    let chain = [padded(certificate.der())];
    let header = json!({"alg": "ES256", "x5c": chain}).to_string();
    let encode = |bytes: &[u8]| base64::encode_url_safe(bytes);
    let input = format!("{}.{}", encode(header.as_bytes()), encode(payload(settings).to_string().as_bytes()));
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &random);
    let signature = key.map_err(failed)?.sign(&random, input.as_bytes()).map_err(failed)?;
    Ok((format!("{input}.{}", encode(signature.as_ref())), authority.pem()))
}

/// Base64 with its padding, as `x5c` has it (RFC 7515 §4.1.6).
fn padded(bytes: &[u8]) -> String {
    let mut text = base64::encode(bytes);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

fn payload(settings: &ListSettings) -> Value {
    let hex = |name: &str| -> String {
        sha256(name.to_ascii_lowercase().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let domain = |name: &String| if settings.hashed { hex(name) } else { name.clone() };
    let domains: Vec<Value> =
        settings.servers.iter().map(|name| json!({"domain": domain(name), "isInsurance": false})).collect();
    let mut list = json!({"version": 1, "domainList": domains});
    if let Some(list) = list.as_object_mut().filter(|_| settings.hashed) {
        list.insert("hashAlgorithm".to_owned(), json!("SHA-256"));
    }
    list
}
