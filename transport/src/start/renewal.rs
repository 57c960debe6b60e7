//! A new certificate while the server runs: its files are read again, as those of certbot change every other month.

use std::sync::Arc;
use std::time::Duration;

use mimi_linearized::id::ServerName;
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{StartError, check};
use crate::telemetry::Metrics;
use crate::tls::shown::{Shown, certified, chain_of, key_of};
use crate::tls::{ServerCertificate, read};

/// How often the files are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The files of a certificate, and what was in them when they were last looked at.
#[derive(Debug)]
pub(super) struct Renewal {
    files: ServerCertificate,
    name: ServerName,
    shown: Arc<Shown>,
    ends: i64,
    last: [u8; 32],
    doubt: Option<Doubt>,
}

/// Files that cannot be used. While one is new and the other is not yet, that is as it should be.
#[derive(Debug)]
struct Doubt {
    digest: [u8; 32],
    told: bool,
}

/// What the two files have.
struct Texts {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Texts {
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(Sha256::digest(&self.chain));
        digest.update(&*self.key);
        digest.finalize().into()
    }
}

impl Renewal {
    /// Reads a certificate that is shown as `name`. Blocks.
    pub(super) fn open(files: ServerCertificate, name: ServerName) -> Result<Self, StartError> {
        let texts = texts(&files)?;
        let pair = pair(&files, &texts)?;
        let ends = *check::validity(&files.certificate, &pair.cert)?.end();
        Ok(Self { files, name, shown: Shown::new(pair), ends, last: texts.digest(), doubt: None })
    }

    /// What the listener shows.
    pub(super) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// When the certificate ends, in milliseconds since the Unix epoch.
    pub(super) fn ends(&self) -> i64 {
        self.ends
    }

    /// Looks at the files, and shows what is in them if it is another certificate that is good for this server now:
    /// `true`. One that is not good is an error the second time that it is seen, and none after that. Blocks.
    pub(super) fn look(&mut self) -> Result<bool, StartError> {
        let texts = texts(&self.files);
        let digest = texts.as_ref().map_or([0; 32], Texts::digest);
        if digest == self.last {
            self.doubt = None;
            return Ok(false);
        }
        match texts.map_err(StartError::from).and_then(|texts| self.good(&texts)) {
            Ok((pair, ends)) => {
                self.shown.replace(pair);
                (self.ends, self.last, self.doubt) = (ends, digest, None);
                Ok(true)
            }
            Err(error) => match &mut self.doubt {
                Some(doubt) if doubt.digest == digest => {
                    if std::mem::replace(&mut doubt.told, true) {
                        Ok(false)
                    } else {
                        Err(error)
                    }
                }
                doubt => {
                    *doubt = Some(Doubt { digest, told: false });
                    Ok(false)
                }
            },
        }
    }

    fn good(&self, texts: &Texts) -> Result<(CertifiedKey, i64), StartError> {
        let pair = pair(&self.files, texts)?;
        let ends = check::check_chain(&self.files.certificate, &pair.cert, &self.name)?;
        Ok((pair, ends))
    }

    /// Looks at the files each `every`, for as long as it is polled. What comes of it is logged.
    pub(super) async fn follow(self, every: Duration, metrics: Metrics) {
        let mut renewal = self;
        loop {
            tokio::time::sleep(every).await;
            let looked = tokio::task::spawn_blocking(move || {
                let outcome = renewal.look();
                (renewal, outcome)
            });
            // If it panicked, or the runtime ends, the certificate stays as it is.
            let Ok((looked, outcome)) = looked.await else { return std::future::pending().await };
            renewal = looked;
            match outcome {
                Ok(true) => {
                    metrics.certificate_ends(renewal.ends);
                    tracing::info!(ends_ms = renewal.ends, "there is a new certificate");
                }
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the certificate stays as it was"),
            }
        }
    }
}

fn texts(files: &ServerCertificate) -> Result<Texts, crate::tls::TlsError> {
    Ok(Texts { chain: read(&files.certificate)?, key: Zeroizing::new(read(&files.key)?) })
}

fn pair(files: &ServerCertificate, texts: &Texts) -> Result<CertifiedKey, StartError> {
    let chain = chain_of(&texts.chain, &files.certificate)?;
    Ok(certified(chain, key_of(&texts.key, &files.key)?)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::clock;
    use crate::tls::DevCa;

    const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1_000;

    /// The files of a certificate for this host that was issued then.
    fn issue(folder: &Path, host: &str, at: i64) -> ServerCertificate {
        let folder = folder.join(format!("{host}-{at}"));
        DevCa::open(&folder, at).unwrap().server_certificate(&folder, &[host], at).unwrap()
    }

    fn put(from: &ServerCertificate, to: &ServerCertificate) {
        fs::copy(&from.certificate, &to.certificate).unwrap();
        fs::copy(&from.key, &to.key).unwrap();
    }

    #[test]
    fn a_new_certificate_is_shown_and_one_that_is_not_good_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let now = clock::now_ms();
        let files = issue(folder.path(), "a.example", now);
        let name = ServerName::parse("a.example:7").unwrap();
        let mut renewal = Renewal::open(files.clone(), name).unwrap();
        let shown = |renewal: &Renewal| renewal.shown().current().cert.clone();
        let first = shown(&renewal);
        assert!(!renewal.look().unwrap());

        let (over, others) =
            (issue(folder.path(), "a.example", now - 20 * YEAR_MS), issue(folder.path(), "b.example", now));
        for (bad, why) in [(&over, "not valid now"), (&others, "not valid for a.example")] {
            put(bad, &files);
            assert!(!renewal.look().unwrap(), "the first time it may be half of a change");
            assert!(renewal.look().unwrap_err().to_string().contains(why));
            assert!(!renewal.look().unwrap(), "it was told");
            assert_eq!(shown(&renewal), first);
        }

        // First one file, then the other.
        let next = issue(folder.path(), "a.example", now - YEAR_MS / 1_000);
        fs::copy(&next.key, &files.key).unwrap();
        assert!(!renewal.look().unwrap());
        fs::copy(&next.certificate, &files.certificate).unwrap();
        assert!(renewal.look().unwrap());
        assert_ne!(shown(&renewal), first);
        assert!(renewal.ends() < now + 2 * YEAR_MS && !renewal.look().unwrap());

        fs::remove_file(&files.key).unwrap();
        assert!(!renewal.look().unwrap());
        assert!(renewal.look().is_err() && !renewal.look().unwrap());
    }
}
