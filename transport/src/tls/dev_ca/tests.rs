use super::*;
use crate::clock::now_ms;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn contents(files: &ServerCertificate) -> (Vec<u8>, Vec<u8>) {
    (std::fs::read(&files.certificate).unwrap(), std::fs::read(&files.key).unwrap())
}

#[test]
fn a_ca_is_made_once_and_reused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/ca");
    let now = now_ms();
    let first = DevCa::open(&path, now).unwrap();
    let pem = std::fs::read(first.certificate()).unwrap();
    let second = DevCa::open(&path, now + 3000 * DAY_MS).unwrap();
    assert_eq!(std::fs::read(second.certificate()).unwrap(), pem);
    let files = first.server_certificate(folder.path(), &["example.org"], now).unwrap();
    let names = BTreeSet::from(["example.org".to_owned()]);
    assert!(second.is_good(&files, &names, now), "both are the same authority");
    let other = DevCa::open(&folder.path().join("other"), now).unwrap();
    assert!(!other.is_good(&files, &names, now), "another authority is not");
}

#[cfg(unix)]
#[test]
fn keys_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let ca = DevCa::open(folder.path(), now_ms()).unwrap();
    ca.server_certificate(folder.path(), &["example.org"], now_ms()).unwrap();
    for file in ["ca-key.pem", "tls-key.pem"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_server_certificate_is_reused_until_names_or_time_ask_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let now = now_ms();
    let ca = DevCa::open(folder.path(), now).unwrap();
    let issue = |names: &[&str], now| contents(&ca.server_certificate(folder.path(), names, now).unwrap());
    let first = issue(&["a.org", "localhost"], now);
    assert_eq!(issue(&["localhost", "A.org"], now + 334 * DAY_MS), first);
    let fewer = issue(&["a.org"], now);
    assert_ne!(fewer, first, "names that are no longer asked for are dropped");
    let later = issue(&["a.org"], now + 336 * DAY_MS);
    assert_ne!(later, fewer, "less than 30 days are left");
    assert_ne!(issue(&["a.org"], now), later, "one from the future is not valid yet");
}

#[test]
fn damaged_server_files_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let now = now_ms();
    let ca = DevCa::open(folder.path(), now).unwrap();
    let files = ca.server_certificate(folder.path(), &["a.org"], now).unwrap();
    let other = folder.path().join("other");
    let other = ca.server_certificate(&other, &["a.org"], now).unwrap();
    std::fs::copy(&other.key, &files.key).unwrap();
    assert!(files.server_config().is_err(), "the key is another one");
    let again = ca.server_certificate(folder.path(), &["a.org"], now).unwrap();
    assert!(again.server_config().is_ok());
    std::fs::write(&files.certificate, "x").unwrap();
    assert!(ca.server_certificate(folder.path(), &["a.org"], now).unwrap().server_config().is_ok());
}

#[test]
fn an_old_ca_is_renewed_and_what_it_issued_stays_good() {
    let folder = tempfile::tempdir().unwrap();
    let now = now_ms();
    let old = DevCa::open(folder.path(), now).unwrap();
    let later = now + 3625 * DAY_MS;
    let files = old.server_certificate(folder.path(), &["a.org"], later).unwrap();
    let new = DevCa::open(folder.path(), later).unwrap();
    assert_ne!(old.anchor, new.anchor);
    let names = BTreeSet::from(["a.org".to_owned()]);
    assert!(new.is_good(&files, &names, later), "the new certificate vouches for what the old one issued");
    let issued = contents(&files);
    assert_eq!(contents(&new.server_certificate(folder.path(), &["a.org"], later).unwrap()), issued);
    assert_eq!(DevCa::open(folder.path(), later).unwrap().anchor, new.anchor);
}

#[test]
fn unusable_ca_files_are_reported_and_left_alone() {
    let now = now_ms();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("ca.pem"), folder.path().join("ca-key.pem"));
    DevCa::open(folder.path(), now).unwrap();
    let other = tempfile::tempdir().unwrap();
    DevCa::open(other.path(), now).unwrap();
    std::fs::copy(other.path().join("ca.pem"), &certificate).unwrap();
    assert!(matches!(DevCa::open(folder.path(), now), Err(DevCaError::Mismatch { .. })));
    std::fs::write(&certificate, "x").unwrap();
    assert!(matches!(DevCa::open(folder.path(), now), Err(DevCaError::File(TlsError::NoCertificate { .. }))));
    std::fs::write(&key, "x").unwrap();
    assert!(matches!(DevCa::open(folder.path(), now), Err(DevCaError::File(TlsError::NoKey { .. }))));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(DevCa::open(folder.path(), now), Err(DevCaError::Mismatch { .. })));
    assert_eq!(std::fs::read(&certificate).unwrap(), b"x");
}

#[test]
fn many_at_once_end_up_with_one_ca() {
    let folder = tempfile::tempdir().unwrap();
    let now = now_ms();
    let anchors: Vec<_> = std::thread::scope(|scope| {
        let path = folder.path();
        let openers: Vec<_> =
            (0..8).map(|_| scope.spawn(move || DevCa::open(path, now).unwrap().anchor)).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    assert!(anchors.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn names_have_to_be_host_names() {
    let folder = tempfile::tempdir().unwrap();
    let ca = DevCa::open(folder.path(), now_ms()).unwrap();
    assert!(matches!(ca.server_certificate(folder.path(), &[], now_ms()), Err(DevCaError::NoNames)));
    for name in ["é.org", "a b", "127.0.0.1", "::1", "a.org:8448", ""] {
        let error = ca.server_certificate(folder.path(), &["a.org", name], now_ms()).unwrap_err();
        assert!(matches!(&error, DevCaError::NotAHostName(found) if found == name), "{error}");
    }
}

#[test]
fn no_time_is_too_early_or_too_late() {
    for now in [i64::MIN, 0, i64::MAX] {
        let folder = tempfile::tempdir().unwrap();
        let ca = DevCa::open(folder.path(), now).unwrap();
        assert!(ca.server_certificate(folder.path(), &["a.org"], now).is_ok());
    }
}
