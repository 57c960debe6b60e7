//! Listeners that offer too much or too little of TLS and HTTP (LM-04 §12, §12.1).

use std::sync::Arc;

use mimi_transport::clock;
use mimi_transport::tls::{DevCa, load_chain, load_key, server_config};
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::mutant::{Fault, Mutant, mutant};

/// The same certificate with other versions of TLS.
fn with_versions(
    config: &ServerConfig,
    versions: &[&'static SupportedProtocolVersion],
) -> Option<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(versions).ok()?.with_no_client_auth();
    let mut other = builder.with_cert_resolver(Arc::clone(&config.cert_resolver));
    other.alpn_protocols.clone_from(&config.alpn_protocols);
    Some(other)
}

/// A certificate for `host`, of an authority that nobody knows.
fn of_stranger(host: &str) -> Option<Arc<ServerConfig>> {
    let folder = tempfile::tempdir().ok()?;
    let now = clock::now_ms();
    let ca = DevCa::open(folder.path(), now).ok()?;
    let files = ca.server_certificate(folder.path(), &[host], now).ok()?;
    server_config(load_chain(&files.certificate).ok()?, load_key(&files.key).ok()?).ok()
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12/tls12-too",
        "TLS 1.2 is negotiated with who speaks nothing newer",
        &["LM-04/12/2"],
        Fault::Tls(|config| with_versions(&config, &[&TLS12, &TLS13]).map_or(config, Arc::new)),
    ),
    mutant(
        "12/tls12-only",
        "TLS 1.3 is not negotiated",
        &["LM-04/12/2"],
        Fault::Tls(|config| with_versions(&config, &[&TLS12]).map_or(config, Arc::new)),
    ),
    mutant(
        "12/no-http2",
        "HTTP/2 is not negotiated",
        &["LM-04/12/1"],
        Fault::Tls(|config| {
            let mut other = ServerConfig::clone(&config);
            other.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(other)
        }),
    ),
    mutant(
        "12.1/unknown-authority",
        "the certificate is of an authority that nobody knows",
        &["LM-04/12.1/1"],
        Fault::Tls(|config| of_stranger("localhost").unwrap_or(config)),
    ),
];
