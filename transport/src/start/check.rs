//! What is wrong with a configuration, found without starting anything.

use std::fs::{self, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use mimi_linearized::id::ServerName;
use rustls::pki_types::{CertificateDer, ServerName as TlsName};
use rustls::server::ParsedCertificate;

use super::{KEY_FILE, ServerConfig, StartError};
use crate::clock;
use crate::keys::OwnKeys;
use crate::policy::FederationPolicy;
use crate::tls::{Roots, ServerCertificate, TlsError, load_chain};

/// What is wrong with a server's certificate, or will be soon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// Others would not take it for this server.
    #[error("{path}: the certificate is not valid for {host}: {error}")]
    Name {
        /// The file.
        path: PathBuf,
        /// The host that others connect to.
        host: String,
        /// What the check says.
        #[source]
        error: rustls::Error,
    },
    /// It is not valid yet, or any more.
    #[error("{path}: the certificate is not valid now")]
    Time {
        /// The file.
        path: PathBuf,
    },
    /// It is no X.509 certificate.
    #[error("{path}: the certificate cannot be read")]
    Form {
        /// The file.
        path: PathBuf,
    },
}

impl ServerConfig {
    /// Everything that would keep a server with this configuration from starting, or others from reaching it, as far as
    /// files tell. Nothing is made, the data folder neither. Blocks.
    #[must_use]
    pub fn problems(&self) -> Vec<StartError> {
        let mut problems = Vec::new();
        if let Some(certificate) = &self.certificate {
            // Others verify the name that they were led to (LM-04 §12.3.1).
            let name = self.delegate_to.as_ref().unwrap_or(&self.server_name);
            problems.extend(check_certificate(certificate, name).err());
        }
        let mut roots = Roots::none();
        problems
            .extend(self.cas.iter().filter_map(|path| roots.add_pem_file(path).err()).map(StartError::from));
        if let Some(policy) = &self.policy {
            problems.extend(FederationPolicy::examine(policy, &self.data_dir).err().map(StartError::from));
        }
        problems.extend(check_folder(&self.data_dir).err());
        problems.extend(OwnKeys::read(&self.data_dir.join(KEY_FILE)).err().map(StartError::from));
        problems
    }
}

fn check_certificate(certificate: &ServerCertificate, name: &ServerName) -> Result<(), StartError> {
    certificate.server_config()?;
    check_chain(&certificate.certificate, &load_chain(&certificate.certificate)?, name).map(drop)
}

/// Whether a chain, which was read from `path`, is good for this server now, and until when, in milliseconds since the Unix
/// epoch.
pub(super) fn check_chain(
    path: &Path,
    chain: &[CertificateDer<'_>],
    name: &ServerName,
) -> Result<i64, StartError> {
    let path = path.to_owned();
    let form = || CertificateProblem::Form { path: path.clone() };
    let validity = validity(&path, chain)?;
    if !validity.contains(&clock::now_ms()) {
        return Err(CertificateProblem::Time { path }.into());
    }
    let host = name.host().to_owned();
    let own = chain.first().ok_or_else(form)?;
    let parsed = ParsedCertificate::try_from(own).map_err(TlsError::Config)?;
    let expected = TlsName::try_from(host.as_str()).map_err(|_| form())?;
    rustls::client::verify_server_name(&parsed, &expected).map_err(|error| CertificateProblem::Name {
        path,
        host,
        error,
    })?;
    Ok(*validity.end())
}

/// When a certificate, which was read from `path`, is valid, in milliseconds since the Unix epoch.
pub(super) fn validity(path: &Path, chain: &[CertificateDer<'_>]) -> Result<RangeInclusive<i64>, StartError> {
    let form = || CertificateProblem::Form { path: path.to_owned() };
    let own = chain.first().ok_or_else(form)?;
    let (_, x509) = x509_parser::parse_x509_certificate(own).map_err(|_| form())?;
    let ms = |time: x509_parser::time::ASN1Time| time.timestamp().saturating_mul(1_000);
    Ok(ms(x509.validity().not_before)..=ms(x509.validity().not_after))
}

/// Whether a folder can be written in, or made.
fn check_folder(folder: &Path) -> Result<(), StartError> {
    let data = |path: &Path| {
        let path = path.to_owned();
        move |error| StartError::Data { path, error }
    };
    if !folder.exists() {
        let above = folder.ancestors().skip(1).find(|above| above.as_os_str().is_empty() || above.exists());
        let above = above.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return writable(above).map_err(data(above));
    }
    writable(folder).map_err(data(folder))
}

fn writable(folder: &Path) -> io::Result<()> {
    if !fs::metadata(folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let probe = folder.join(format!(".{:016x}.tmp", rand::random::<u64>()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(&probe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::DevCa;

    fn problems(config: &ServerConfig) -> String {
        config.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_sound_configuration_has_no_problems_and_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        let config = ServerConfig::new(ServerName::parse("a.example").unwrap(), data.clone());
        assert_eq!(problems(&config), "");
        assert!(!data.exists() && fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn every_problem_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let ca = DevCa::open(folder.path(), clock::now_ms()).unwrap();
        let certificate = ca.server_certificate(folder.path(), &["a.example"], clock::now_ms()).unwrap();
        let name = |text: &str| ServerName::parse(text).unwrap();
        let mut config = ServerConfig::new(name("a.example:7"), folder.path().join("data"));
        config.certificate = Some(certificate.clone());
        assert_eq!(problems(&config), "");
        config.delegate_to = Some(name("b.example"));
        assert!(problems(&config).contains("not valid for b.example"), "{}", problems(&config));

        fs::write(folder.path().join("file"), "no folder").unwrap();
        config.data_dir = folder.path().join("file");
        config.cas = vec![folder.path().join("none.pem"), folder.path().join("file")];
        config.certificate = Some(ServerCertificate { key: folder.path().join("ca-key.pem"), ..certificate });
        let all = problems(&config);
        assert_eq!(all.lines().count(), 5, "{all}");
        assert!(all.contains("none.pem") && all.contains("not a directory"), "{all}");
        assert!(all.contains("the certificate and its key cannot be used"), "{all}");
    }

    #[test]
    fn a_certificate_that_is_over_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let past = clock::now_ms() - 20 * 365 * 24 * 60 * 60 * 1_000;
        let ca = DevCa::open(folder.path(), past).unwrap();
        let certificate = ca.server_certificate(folder.path(), &["a.example"], past).unwrap();
        let mut config =
            ServerConfig::new(ServerName::parse("a.example").unwrap(), folder.path().join("data"));
        config.certificate = Some(certificate);
        assert!(problems(&config).contains("not valid now"), "{}", problems(&config));
    }
}
