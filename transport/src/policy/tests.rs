//! Policies from files, signed lists included.

use std::fs;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::trust::Trust;
use super::*;

fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

/// A folder with a policy's files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(file), text).unwrap();
    }

    fn load(&self) -> Result<FederationPolicy, PolicyError> {
        FederationPolicy::load(&self.0.path().join("policy.toml"), &name("own.example"), self.0.path())
    }

    /// A policy by a signed list.
    fn signed(authority: &Authority, list: &str) -> Self {
        let folder = Self::new();
        folder.write("policy.toml", "mode = \"signed\"\nlist = \"list.jws\"\ncertificates = \"ca.pem\"\n");
        folder.write("ca.pem", authority.0.pem());
        folder.write("list.jws", list);
        folder
    }
}

/// An authority, as one runs a federation.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Who signs a list.
struct Signer {
    key: KeyPair,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn signer(&self, change: impl FnOnce(&mut CertificateParams)) -> Signer {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Signer { key, certificate }
    }
}

impl Signer {
    fn sign(&self, list: &Value) -> String {
        let chain = [BASE64_STANDARD.encode(self.certificate.der())];
        let header = json!({"alg": "ES256", "x5c": chain}).to_string();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let input = format!("{}.{}", encode(header.as_bytes()), encode(list.to_string().as_bytes()));
        let random = SystemRandom::new();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key.serialize_der(), &random);
        let signature = key.unwrap().sign(&random, input.as_bytes()).unwrap();
        format!("{input}.{}", encode(signature.as_ref()))
    }
}

fn list(version: u64, domains: &[&str]) -> Value {
    let domains: Vec<Value> = domains.iter().map(|domain| json!({"domain": domain})).collect();
    json!({"version": version, "domainList": domains})
}

#[test]
fn a_policy_is_read_from_its_file() {
    let folder = Folder::new();
    let inside = |text: &str| {
        folder.write("policy.toml", text);
        let policy = folder.load().unwrap();
        ["own.example", "a.example", "b.example:1"].map(|server| policy.allows(&name(server)))
    };
    assert_eq!(inside("mode = \"open\""), [true, true, true]);
    assert_eq!(inside("mode = \"allow\"\nservers = [\"a.example\"]"), [true, true, false]);
    assert_eq!(inside("mode = \"deny\"\nservers = [\"a.example\"]"), [true, false, true]);
    assert_eq!(inside("mode = \"allow\"\nservers = []"), [true, false, false]);
    assert_eq!(inside("mode = \"deny\"\nservers = [\"*\"]"), [true, false, false], "it deals with itself");
    assert!(FederationPolicy::open().allows(&name("a.example")));
}

#[test]
fn a_file_that_is_none_is_refused() {
    let folder = Folder::new();
    assert!(matches!(folder.load(), Err(PolicyError::Read { .. })));
    for (text, what) in [
        ("", "mode"),
        ("mode = \"closed\"", "closed"),
        ("mode = \"open\"\nserver = []", "server"),
        ("mode = \"open\"\nservers = []", "does not go with"),
        ("mode = \"allow\"", "`servers` is missing"),
        ("mode = \"allow\"\nservers = [\"a b\"]", "a b"),
        ("mode = \"deny\"\nservers = []\nmax-age-hours = 1", "\"signed\" alone"),
        ("mode = \"open\"\n[rooms]\nhistory-visibility = \"all\"", "unknown variant"),
        ("mode = \"open\"\n[rooms]\nexternal-servers = [\"a b\"]", "no pattern"),
        ("mode = \"signed\"\ncertificates = \"x\"", "`list` is missing"),
        ("mode = \"signed\"\nlist = \"x\"", "`certificates` is missing"),
        ("mode = \"signed\"\nlist = \"x\"\ncertificates = \"y\"", "x: "),
    ] {
        folder.write("policy.toml", text);
        let error = folder.load().unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(folder.0.path().to_str().unwrap()), "{text}: {error}");
    }
}

#[test]
fn a_file_is_read_again_and_a_bad_one_is_not_taken() {
    let folder = Folder::new();
    folder.write("policy.toml", "mode = \"allow\"\nservers = [\"a.example\"]");
    let policy = folder.load().unwrap();
    let inside = || ["a.example", "b.example"].map(|server| policy.allows(&name(server)));
    assert!(!policy.reload().unwrap(), "nothing has changed");
    folder.write("policy.toml", "mode = \"allow\"\nservers = [\"b.example\"]");
    assert!(policy.reload().unwrap());
    assert_eq!(inside(), [false, true]);
    folder.write("policy.toml", "mode = \"allow\"\nservers = [\"b.exam");
    assert!(policy.reload().is_err());
    assert!(!policy.reload().unwrap(), "a fault is told once");
    assert_eq!(inside(), [false, true]);
    fs::remove_file(folder.0.path().join("policy.toml")).unwrap();
    assert!(policy.reload().is_err());
    assert_eq!(inside(), [false, true]);
    folder.write("policy.toml", "mode = \"open\"");
    assert!(policy.reload().unwrap());
    assert_eq!(inside(), [true, true]);
}

#[tokio::test]
async fn a_file_is_looked_at_by_itself_and_whoever_waits_is_told() {
    let folder = Folder::new();
    folder.write("policy.toml", "mode = \"allow\"\nservers = []");
    let policy = folder.load().unwrap();
    let (following, waiting) = (policy.clone(), policy.clone());
    let following = tokio::spawn(async move { following.follow(Duration::from_millis(1)).await });
    let waiting = tokio::spawn(async move { waiting.until_allowed(&name("a.example")).await });
    folder.write("policy.toml", "mode = \"open\"");
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
    following.abort();
}

#[test]
fn a_signed_list_is_taken() {
    let authority = Authority::new();
    let signer = authority.signer(|_| {});
    let folder = Folder::signed(&authority, &signer.sign(&list(3, &["a.example"])));
    let policy = folder.load().unwrap();
    assert_eq!(
        ["own.example", "a.example", "b.example"].map(|s| policy.allows(&name(s))),
        [true, true, false]
    );
    folder.write("list.jws", signer.sign(&list(4, &["b.example"])));
    assert!(policy.reload().unwrap());
    assert_eq!(
        ["own.example", "a.example", "b.example"].map(|s| policy.allows(&name(s))),
        [true, false, true]
    );
    // The signer itself may be what is configured.
    folder.write("ca.pem", signer.certificate.pem());
    assert!(policy.reload().unwrap());
}

#[test]
fn an_older_list_does_not_come_back() {
    let authority = Authority::new();
    let signer = authority.signer(|_| {});
    let folder = Folder::signed(&authority, &signer.sign(&list(3, &["a.example"])));
    let policy = folder.load().unwrap();
    for other in [list(2, &["b.example"]), list(3, &["b.example"])] {
        folder.write("list.jws", signer.sign(&other));
        assert!(matches!(policy.reload(), Err(PolicyError::Seen { .. })));
        assert!(policy.allows(&name("a.example")) && !policy.allows(&name("b.example")));
        assert!(matches!(folder.load(), Err(PolicyError::Seen { .. })), "a new start remembers it too");
    }
    // Signed anew, it is the same list.
    folder.write("list.jws", signer.sign(&list(3, &["a.example"])));
    assert!(policy.reload().unwrap());
}

/// Why a list by this signer is not taken.
fn refusal(authority: &Authority, list: &str) -> TrustError {
    match Folder::signed(authority, list).load() {
        Err(PolicyError::Trust { error, .. }) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lists_of_others_are_not_taken() {
    let authority = Authority::new();
    let signer = authority.signer(|_| {});
    let good = signer.sign(&list(1, &["a.example"]));
    let parts: Vec<&str> = good.split('.').collect();
    let other = BASE64_URL_SAFE_NO_PAD.encode(list(1, &["evil.example"]).to_string());
    assert_eq!(refusal(&authority, &format!("{}.{other}.{}", parts[0], parts[2])), TrustError::Signature);
    let nothing = BASE64_URL_SAFE_NO_PAD.encode([0; 64]);
    assert_eq!(refusal(&authority, &format!("{}.{}.{nothing}", parts[0], parts[1])), TrustError::Signature);
    assert!(matches!(refusal(&Authority::new(), &good), TrustError::Chain(_)), "another authority's");
    let unsigned = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let unsigned = format!("{unsigned}.{}.", parts[1]);
    assert_eq!(refusal(&authority, &unsigned), TrustError::Jws(JwsError::Algorithm("none".to_owned())));
}

#[test]
fn certificates_for_something_else_sign_no_list() {
    let authority = Authority::new();
    let signed = |change: fn(&mut CertificateParams)| authority.signer(change).sign(&list(1, &["a.example"]));
    let web = signed(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(matches!(refusal(&authority, &web), TrustError::Chain(_)));
    let documents = signed(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 36])];
    });
    Folder::signed(&authority, &documents).load().unwrap();
    let agreement = signed(|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    assert_eq!(refusal(&authority, &agreement), TrustError::Usage);
    let over = signed(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    assert_eq!(refusal(&authority, &over), TrustError::Validity);
    let early = signed(|params| params.not_before = rcgen::date_time_ymd(4000, 1, 1));
    assert_eq!(refusal(&authority, &early), TrustError::Validity);
}

#[test]
fn a_list_ends() {
    let authority = Authority::new();
    let signer = authority.signer(|_| {});
    let mut over = list(1, &["a.example"]);
    over["exp"] = json!(clock::now_ms() / 1_000 - 1);
    let folder = Folder::signed(&authority, &signer.sign(&over));
    assert!(matches!(folder.load(), Err(PolicyError::List { error: ListError::Over(_), .. })));
    // Written long ago.
    let settings = "mode = \"signed\"\nlist = \"list.jws\"\ncertificates = \"ca.pem\"\nmax-age-hours = 72\n";
    let folder = Folder::signed(&authority, &signer.sign(&list(1, &["a.example"])));
    folder.write("policy.toml", settings);
    let policy = folder.load().unwrap();
    let file = fs::File::options().write(true).open(folder.0.path().join("list.jws")).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(73 * 3_600)).unwrap();
    assert!(matches!(policy.reload(), Err(PolicyError::Stale { hours: 73, .. })));
    // Fetched again, the same list is a fresh one.
    file.set_modified(std::time::SystemTime::now()).unwrap();
    assert!(policy.reload().unwrap());
}

/// As the German telematics infrastructure signs: made with OpenSSL and Python's `cryptography`.
#[test]
fn lists_on_brainpool_curves_are_taken() {
    let folder = Folder::new();
    folder.write("policy.toml", "mode = \"signed\"\nlist = \"list.jws\"\ncertificates = \"ca.pem\"\n");
    folder.write("ca.pem", include_bytes!("testdata/brainpool-ca.pem"));
    let jws = include_str!("testdata/brainpool.jws");
    let trust = Trust::read(include_bytes!("testdata/brainpool-ca.pem")).unwrap();
    let now = 1_900_000_000_000;
    let members = list::read(&trust.open(jws.as_bytes(), now).unwrap(), now).unwrap();
    assert_eq!((members.version, members.hashes.len()), (12, 2));
    let rules = Rules::Signed(members);
    assert_eq!(
        ["a.example", "b.example:8448", "c.example"].map(|s| rules.allow(&name(s), now)),
        [true, true, false]
    );
    let (signed, _) = jws.trim().rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode([1; 64]));
    assert_eq!(trust.open(forged.as_bytes(), now), Err(TrustError::Signature));
    assert_eq!(trust.open(jws.as_bytes(), 1_600_000_000_000), Err(TrustError::Validity));
}
