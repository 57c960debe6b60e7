//! JSON Web Signatures (RFC 7515) whose keys are in certificates: compact, flattened and general.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use mimi_linearized::json::{Object, Value, strict};

/// How many signatures are looked at.
const MAX_SIGNATURES: usize = 8;

/// The longest chain of certificates.
const MAX_CHAIN: usize = 8;

/// How a signature was made (RFC 7518 §3.1, RFC 8037 §3.1; `BP256R1` is that of the German telematics infrastructure,
/// gemSpec_Krypt, for ECDSA on brainpoolP256r1 with SHA-256).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Es256,
    Es384,
    Bp256r1,
    Rs256,
    Ps256,
    EdDsa,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "BP256R1" => Self::Bp256r1,
            "RS256" => Self::Rs256,
            "PS256" => Self::Ps256,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// Why a text is no signed object that can be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwsError {
    /// Its form is none of RFC 7515.
    #[error("it is no JWS: {0}")]
    Form(&'static str),
    /// It has no signature, or more than are looked at.
    #[error("it has {0} signatures; 1 to 8 are looked at")]
    Count(usize),
    /// The algorithm is none that is taken.
    #[error("the algorithm {0:?} is not taken")]
    Algorithm(String),
    /// A header parameter says that something has to be understood that is not.
    #[error("a critical header parameter is not understood")]
    Critical,
    /// `x5c` is missing, or no chain.
    #[error("`x5c` must be a chain of 1 to 8 certificates")]
    Chain,
}

/// A signed object. Nothing of it is checked yet.
#[derive(Debug)]
pub(super) struct Jws {
    payload: Vec<u8>,
    pub(super) signatures: Vec<Result<Signature, JwsError>>,
}

/// One of its signatures.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) algorithm: Algorithm,
    /// The certificates, that of the signing key first, in DER.
    pub(super) chain: Vec<Vec<u8>>,
    /// What is signed.
    pub(super) input: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl Jws {
    /// Reads a signed object in any of its three forms.
    pub(super) fn read(text: &[u8]) -> Result<Self, JwsError> {
        let text = text.trim_ascii();
        if text.first() == Some(&b'{') {
            return Self::read_json(text);
        }
        let text = std::str::from_utf8(text).map_err(|_| JwsError::Form("it is not UTF-8"))?;
        let parts: Vec<&str> = text.split('.').collect();
        let [protected, payload, signature] = parts.as_slice() else {
            return Err(JwsError::Form("three parts between dots are expected"));
        };
        let signatures = vec![Signature::read(protected, payload, signature)];
        Ok(Self { payload: decode(payload)?, signatures })
    }

    fn read_json(text: &[u8]) -> Result<Self, JwsError> {
        // A name that comes twice is an error (RFC 7515 §4).
        let Ok(Value::Object(object)) = strict::parse(text) else {
            return Err(JwsError::Form("it is no JSON object"));
        };
        let payload = text_of(&object, "payload")?;
        let read = |of: &Object| {
            Ok::<_, JwsError>(Signature::read(text_of(of, "protected")?, payload, text_of(of, "signature")?))
        };
        let signatures = match object.get("signatures") {
            None => vec![read(&object)?],
            Some(Value::Array(signatures)) if (1..=MAX_SIGNATURES).contains(&signatures.len()) => {
                let each = signatures.iter().map(|signature| match signature {
                    Value::Object(signature) => read(signature),
                    _ => Err(JwsError::Form("a signature is no object")),
                });
                each.collect::<Result<_, _>>()?
            }
            Some(Value::Array(signatures)) => return Err(JwsError::Count(signatures.len())),
            Some(_) => return Err(JwsError::Form("`signatures` is no array")),
        };
        Ok(Self { payload: decode(payload)?, signatures })
    }

    /// What was signed. Worth nothing until one of the signatures is found to be right.
    pub(super) fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

impl Signature {
    /// Reads a signature by its protected header. Keys and certificates that stand elsewhere are passed over, and none is
    /// ever fetched.
    fn read(protected: &str, payload: &str, value: &str) -> Result<Self, JwsError> {
        let Ok(Value::Object(header)) = strict::parse(&decode(protected)?) else {
            return Err(JwsError::Form("the protected header is no JSON object"));
        };
        if header.contains_key("crit") {
            return Err(JwsError::Critical);
        }
        let name = text_of(&header, "alg")?;
        let algorithm =
            Algorithm::named(name).ok_or_else(|| JwsError::Algorithm(name.chars().take(32).collect()))?;
        let chain = match header.get("x5c") {
            Some(Value::Array(chain)) if (1..=MAX_CHAIN).contains(&chain.len()) => chain,
            _ => return Err(JwsError::Chain),
        };
        // Certificates are in ordinary base64 (RFC 7515 §4.1.6).
        let der = |certificate: &Value| BASE64_STANDARD.decode(certificate.as_str()?).ok();
        let chain = chain.iter().map(der).collect::<Option<_>>().ok_or(JwsError::Chain)?;
        let input = format!("{protected}.{payload}").into_bytes();
        Ok(Self { algorithm, chain, input, value: decode(value)? })
    }
}

fn text_of<'o>(object: &'o Object, name: &str) -> Result<&'o str, JwsError> {
    object.get(name).and_then(Value::as_str).ok_or(JwsError::Form("a member is missing"))
}

fn decode(text: &str) -> Result<Vec<u8>, JwsError> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| JwsError::Form("a part is not base64url without padding"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn encode(value: &Value) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn header() -> Value {
        json!({"alg": "ES256", "x5c": [BASE64_STANDARD.encode("leaf"), BASE64_STANDARD.encode("ca")], "typ": "JOSE"})
    }

    fn compact(header: &Value) -> String {
        format!(
            "{}.{}.{}",
            encode(header),
            encode(&json!({"version": 1})),
            BASE64_URL_SAFE_NO_PAD.encode("sig")
        )
    }

    fn only(jws: &str) -> Result<Signature, JwsError> {
        Jws::read(jws.as_bytes())?.signatures.pop().unwrap()
    }

    #[test]
    fn the_three_forms_say_the_same() {
        let (protected, payload) = (encode(&header()), encode(&json!({"version": 1})));
        let signature = BASE64_URL_SAFE_NO_PAD.encode("sig");
        let one = json!({"protected": protected, "signature": signature, "header": {"kid": "x"}});
        let mut flattened = one.clone();
        flattened["payload"] = json!(payload);
        let general = json!({"payload": payload, "signatures": [one]});
        for text in [format!(" {}\n", compact(&header())), flattened.to_string(), general.to_string()] {
            let mut jws = Jws::read(text.as_bytes()).unwrap();
            let read = jws.signatures.pop().unwrap().unwrap();
            assert_eq!(read.algorithm, Algorithm::Es256);
            assert_eq!(read.chain, [b"leaf".to_vec(), b"ca".to_vec()]);
            assert_eq!(read.input, format!("{protected}.{payload}").into_bytes());
            assert_eq!(
                (read.value.as_slice(), jws.into_payload().as_slice()),
                (&b"sig"[..], &br#"{"version":1}"#[..])
            );
        }
    }

    #[test]
    fn headers_that_cannot_be_relied_on_are_refused() {
        let with = |name: &str, value: Value| {
            let mut header = header();
            header[name] = value;
            only(&compact(&header)).unwrap_err()
        };
        for algorithm in ["none", "HS256", "es256", "ES512", ""] {
            assert_eq!(with("alg", json!(algorithm)), JwsError::Algorithm(algorithm.to_owned()));
        }
        assert_eq!(with("crit", json!(["b64"])), JwsError::Critical);
        for chain in [json!(null), json!([]), json!("AAAA"), json!(["%"]), json!([5]), json!(vec!["AAAA"; 9])]
        {
            assert_eq!(with("x5c", chain), JwsError::Chain);
        }
    }

    #[test]
    fn what_is_no_jws_is_refused() {
        for text in ["", "a", "a.b", "a.b.c.d", "=.=.=", "{}", "[]", r#"{"payload":"","signatures":5}"#] {
            assert!(Jws::read(text.as_bytes()).is_err() || only(text).is_err(), "{text}");
        }
        let none = json!({"payload": "", "signatures": []}).to_string();
        assert_eq!(Jws::read(none.as_bytes()).unwrap_err(), JwsError::Count(0));
        let many = json!({"payload": "", "signatures": vec![json!({}); 9]}).to_string();
        assert_eq!(Jws::read(many.as_bytes()).unwrap_err(), JwsError::Count(9));
        let twice = r#"{"payload":"","payload":"","protected":"","signature":""}"#;
        assert_eq!(Jws::read(twice.as_bytes()).unwrap_err(), JwsError::Form("it is no JSON object"));
    }
}
