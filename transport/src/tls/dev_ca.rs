//! A certificate authority for development: made once in a folder and reused, so that whoever trusts its `ca.pem`
//! goes on doing so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SerialNumber, date_time_ymd,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::files::{self, Access};
use super::{TlsError, load_chain, load_key, provider, server_config};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority's certificate is valid.
const CA_VALIDITY: Duration = DAY.saturating_mul(3650);
/// How long a server's certificate is valid. Some clients refuse more than 398 days.
const LEAF_VALIDITY: Duration = DAY.saturating_mul(365);
/// What has less left than this is made anew.
const RENEWAL: Duration = DAY.saturating_mul(30);
/// How far back validity reaches, for peers whose clocks are behind.
const BACKDATING: Duration = DAY;
/// The latest time for which certificates are made: the year 8000, within what a certificate can say.
const LATEST: Duration = Duration::from_secs(190_288_396_800);

/// Why there is no development CA, or no certificate by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevCaError {
    /// A file or folder cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// A file is there, but it is not what it should be. It is not overwritten.
    #[error(transparent)]
    File(#[from] TlsError),
    /// A file holds a key that cannot be used.
    #[error("{}: {error}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: rcgen::Error,
    },
    /// A file holds a certificate that cannot be used.
    #[error("{}: not a certificate that can be used", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
    },
    /// The authority's certificate is for another key than the one beside it.
    #[error("{}: the certificate does not belong to {}", certificate.display(), key.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A certificate was asked for something that is no host name.
    #[error("`{0}` is not a host name")]
    NotAHostName(String),
    /// A certificate cannot be made.
    #[error("making a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A certificate was asked for no name at all.
    #[error("a certificate needs at least one host name")]
    NoNames,
}

/// A development CA in a folder: `ca.pem` and `ca-key.pem`.
#[derive(Debug)]
pub struct DevCa {
    certificate: PathBuf,
    anchor: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate and key, in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// The PEM file of the certificate.
    pub certificate: PathBuf,
    /// The PEM file of its private key.
    pub key: PathBuf,
}

impl ServerCertificate {
    /// The configuration of a listener with this certificate; see [`server_config`]. Blocks.
    ///
    /// # Errors
    /// [`TlsError`] if a file cannot be read, or the two do not belong together.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        server_config(load_chain(&self.certificate)?, load_key(&self.key)?)
    }
}

impl DevCa {
    /// Opens the CA in `folder`, and makes folder and CA if need be. Several processes may do this at once. A
    /// certificate with less than 30 days left is renewed with the same key and name, so that certificates issued
    /// before stay good. Blocks.
    ///
    /// `now` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`DevCaError`] names the file at fault. Files that are there and cannot be used are left alone.
    pub fn open(folder: &Path, now: i64) -> Result<Self, DevCaError> {
        std::fs::create_dir_all(folder).map_err(|error| DevCaError::Io { path: folder.to_owned(), error })?;
        let (certificate, key_file) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
        // In this order: whoever makes a CA writes the key first, so that a certificate seen has a key.
        let made_before = certificate.exists();
        if !key_file.exists() {
            if made_before {
                return Err(DevCaError::Mismatch { certificate, key: key_file });
            }
            write(&key_file, KeyPair::generate()?.serialize_pem().as_bytes(), Access::Secret, files::create)?;
        }
        let key = read_key(&key_file)?;
        if !certificate.exists() {
            write(&certificate, &self_signed(&key, now)?, Access::Public, files::create)?;
        }
        let mut anchor = read_certificate(&certificate)?;
        let (subject_key, valid_until) = read_x509(&anchor, &certificate, |x509| {
            (x509.public_key().raw.to_vec(), x509.validity().not_after.timestamp())
        })?;
        if subject_key != key.subject_public_key_info() {
            return Err(DevCaError::Mismatch { certificate, key: key_file });
        }
        if ends_soon(valid_until, now) {
            write(&certificate, &self_signed(&key, now)?, Access::Public, files::replace)?;
            anchor = read_certificate(&certificate)?;
        }
        let issuer = Issuer::from_ca_cert_der(&anchor, key)
            .map_err(|_| DevCaError::Certificate { path: certificate.clone() })?;
        Ok(Self { certificate, anchor, issuer })
    }

    /// The PEM file of the CA's certificate, to be trusted by those who connect.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The certificate of a server with these host names, in `folder` as `tls.pem` and `tls-key.pem`. What is there
    /// is reused if it was issued by this CA for exactly these names and has at least 30 days left, and is otherwise
    /// replaced, key included. Blocks.
    ///
    /// `now` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`DevCaError`] if a name is no host name, or a file cannot be written.
    pub fn server_certificate(
        &self,
        folder: &Path,
        host_names: &[&str],
        now: i64,
    ) -> Result<ServerCertificate, DevCaError> {
        let names: BTreeSet<String> = host_names.iter().map(|name| name.to_ascii_lowercase()).collect();
        if names.is_empty() {
            return Err(DevCaError::NoNames);
        }
        let is_host =
            |name: &&String| matches!(ServerName::try_from(name.as_str()), Ok(ServerName::DnsName(_)));
        if let Some(name) = names.iter().find(|name| !is_host(name)) {
            return Err(DevCaError::NotAHostName(name.clone()));
        }
        std::fs::create_dir_all(folder).map_err(|error| DevCaError::Io { path: folder.to_owned(), error })?;
        let files =
            ServerCertificate { certificate: folder.join("tls.pem"), key: folder.join("tls-key.pem") };
        if !self.is_good(&files, &names, now) {
            let (certificate, key) = self.issue(&names, now)?;
            // If the process ends between the two, they do not match, and the next one makes both anew.
            write(&files.key, key.serialize_pem().as_bytes(), Access::Secret, files::replace)?;
            write(&files.certificate, certificate.as_bytes(), Access::Public, files::replace)?;
        }
        Ok(files)
    }

    /// Issues a certificate: its PEM, and its new key.
    fn issue(&self, names: &BTreeSet<String>, now: i64) -> Result<(String, KeyPair), DevCaError> {
        let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
        let first = names.first().map_or("", String::as_str);
        // A common name has at most 64 characters (RFC 5280 appendix A.1); nobody looks at it beside the names.
        params.distinguished_name = named(if first.len() <= 64 { first } else { "server" });
        set_validity(&mut params, now, LEAF_VALIDITY);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key))
    }

    /// Whether the files hold a certificate by this CA for exactly these names with enough time left, and its key.
    fn is_good(&self, files: &ServerCertificate, names: &BTreeSet<String>, now: i64) -> bool {
        let (Ok(chain), Ok(_)) = (load_chain(&files.certificate), files.server_config()) else {
            return false;
        };
        let Some(certificate) = chain.first() else { return false };
        let found = read_x509(certificate, &files.certificate, |x509| {
            (subject_names(x509), x509.validity().not_after.timestamp())
        });
        let Ok((found, valid_until)) = found else { return false };
        found == *names && !ends_soon(valid_until, now) && self.issued(certificate, names, now)
    }

    /// Whether a client that trusts this CA accepts the certificate for all of the names.
    fn issued(&self, certificate: &CertificateDer<'_>, names: &BTreeSet<String>, now: i64) -> bool {
        let mut roots = RootCertStore::empty();
        if roots.add(self.anchor.clone()).is_err() {
            return false;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let Ok(verifier) = verifier else { return false };
        let now = UnixTime::since_unix_epoch(since_epoch(now));
        names.iter().all(|name| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| verifier.verify_server_cert(certificate, &[], &name, &[], now).is_ok())
        })
    }
}

type Writer = fn(&Path, &[u8], Access) -> std::io::Result<()>;

fn write(path: &Path, content: &[u8], access: Access, how: Writer) -> Result<(), DevCaError> {
    how(path, content, access).map_err(|error| DevCaError::Io { path: path.to_owned(), error })
}

fn read_key(path: &Path) -> Result<KeyPair, DevCaError> {
    let der: PrivateKeyDer<'static> = load_key(path)?;
    KeyPair::try_from(der.secret_der()).map_err(|error| DevCaError::Key { path: path.to_owned(), error })
}

fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, DevCaError> {
    let first = load_chain(path)?.into_iter().next();
    first.ok_or_else(|| DevCaError::Certificate { path: path.to_owned() })
}

/// Looks into a certificate; `path` is for the error.
fn read_x509<T>(
    der: &CertificateDer<'_>,
    path: &Path,
    look: impl FnOnce(&X509Certificate<'_>) -> T,
) -> Result<T, DevCaError> {
    match parse_x509_certificate(der) {
        Ok((_, x509)) => Ok(look(&x509)),
        Err(_) => Err(DevCaError::Certificate { path: path.to_owned() }),
    }
}

/// The DNS names that a certificate is for.
fn subject_names(x509: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(names)) = x509.subject_alternative_name() else { return BTreeSet::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    dns.collect()
}

/// The PEM of the CA's certificate. The name is made from the key, so that two authorities never share one, and a
/// renewed one keeps it.
fn self_signed(key: &KeyPair, now: i64) -> Result<Vec<u8>, DevCaError> {
    let mut params = CertificateParams::default();
    let mark: String = key.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = named(&format!("Mimi development CA {mark}"));
    set_validity(&mut params, now, CA_VALIDITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem().into_bytes())
}

fn named(common_name: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, now: i64, validity: Duration) {
    let now = since_epoch(now);
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATING);
    params.not_after = epoch + now.saturating_add(validity);
    // Positive, and not two alike under one issuer, as RFC 5280 §4.1.2.2 asks.
    let serial = rand::random::<u128>() >> 1 | 1;
    params.serial_number = Some(SerialNumber::from_slice(&serial.to_be_bytes()));
}

/// Milliseconds since the Unix epoch as whole seconds, within what a certificate can say.
fn since_epoch(now: i64) -> Duration {
    let seconds = u64::try_from(now).unwrap_or(0) / 1000;
    Duration::from_secs(seconds).min(LATEST)
}

/// Whether what is valid until then, in seconds since the Unix epoch, has less than [`RENEWAL`] left.
fn ends_soon(valid_until: i64, now: i64) -> bool {
    let end = Duration::from_secs(u64::try_from(valid_until).unwrap_or(0));
    end < since_epoch(now).saturating_add(RENEWAL)
}

#[cfg(test)]
mod tests;
