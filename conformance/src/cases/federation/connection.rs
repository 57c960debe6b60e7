//! What a server negotiates: HTTP/2, TLS 1.3, a certificate (LM-04 §12, §12.1).

use http::{Method, Version};
use mimi_transport::client::{ClientError, Response};
use mimi_transport::keys::KEY_PATH;
use mimi_transport::tls::{ClientOffer, HttpVersions, TlsVersions};
use rustls::ProtocolVersion;

use crate::case::{Case, Finding, case, check, fault};
use crate::context::Context;
use crate::wire::Ask;

pub(super) const CASES: &[Case] = &[
    case!(Must, Server, "12/http2", "HTTP/2 is spoken over TLS", ["LM-04/12/1", "R26", "TR-00/3/2"], http2),
    case!(Must, Server, "12/tls13", "TLS 1.3 is negotiated", ["LM-04/12/2", "R26"], tls13),
    case!(
        Must,
        Server,
        "12/only-http11",
        "a client that speaks no HTTP/2 is refused",
        ["LM-04/12/1", "R26"],
        only_http11
    ),
    case!(
        Must,
        Server,
        "12/only-tls12",
        "a client that speaks no TLS 1.3 is refused",
        ["LM-04/12/2", "R26"],
        only_tls12
    ),
    case!(
        Must,
        Server,
        "12.1/certificate",
        "the certificate is valid for the server's name and its chain ends at a known authority",
        ["LM-04/12.1/1", "LM-04/12.3/4"],
        certificate
    ),
];

/// Asks for the target's keys, over a new connection that offers these versions.
async fn ask(
    ctx: &Context,
    tls: TlsVersions,
    http: HttpVersions,
) -> Result<Result<Response, ClientError>, Finding> {
    ctx.probe(ClientOffer { tls, http }, Ask::new(Method::GET, KEY_PATH)).await
}

fn expect_answer(answer: Result<Response, ClientError>, offered: &str) -> Result<Response, Finding> {
    answer.map_err(|error| fault(format!("a client that offers {offered} gets no answer: {error}")))
}

async fn http2(ctx: &Context) -> Result<(), Finding> {
    let only = ask(ctx, TlsVersions::Tls12AndTls13, HttpVersions::Http2).await?;
    expect_answer(only, "HTTP/2 alone")?;
    let both = ask(ctx, TlsVersions::Tls12AndTls13, HttpVersions::Http2AndHttp11).await?;
    let spoken = expect_answer(both, "HTTP/2 and HTTP/1.1")?.http_version;
    check!(spoken == Version::HTTP_2, "of HTTP/2 and HTTP/1.1 the target chooses {spoken:?}");
    Ok(())
}

async fn tls13(ctx: &Context) -> Result<(), Finding> {
    let only = ask(ctx, TlsVersions::Tls13, HttpVersions::Http2AndHttp11).await?;
    expect_answer(only, "TLS 1.3 alone")?;
    let both = ask(ctx, TlsVersions::Tls12AndTls13, HttpVersions::Http2AndHttp11).await?;
    let spoken = expect_answer(both, "TLS 1.2 and TLS 1.3")?.tls_version;
    check!(
        spoken == Some(ProtocolVersion::TLSv1_3),
        "of TLS 1.2 and 1.3 the target chooses {spoken}",
        spoken = spoken.and_then(|version| version.as_str()).unwrap_or("neither")
    );
    Ok(())
}

/// A client with an old version is to be refused; a target that serves it besides may do so.
fn expect_refused(answer: Result<Response, ClientError>, offered: &str) -> Result<(), Finding> {
    match answer {
        Ok(response) if response.status.is_success() => Err(Finding::Acceptable {
            reading: "R26",
            what: format!("a client that offers {offered} is served"),
        }),
        // An answer that says no, such as 426 or 505, is a refusal too.
        Ok(_) => Ok(()),
        Err(
            ClientError::Tls { .. }
            | ClientError::Negotiation { .. }
            | ClientError::Connect { .. }
            | ClientError::Protocol(_),
        ) => Ok(()),
        Err(error) => Err(fault(format!("a client that offers {offered} is not refused: {error}"))),
    }
}

async fn only_http11(ctx: &Context) -> Result<(), Finding> {
    let tls = TlsVersions::Tls12AndTls13;
    expect_answer(ask(ctx, tls, HttpVersions::Http2AndHttp11).await?, "every version")?;
    expect_refused(ask(ctx, tls, HttpVersions::Http11).await?, "HTTP/1.1 alone")?;
    // Without ALPN, HTTP/1.1 is what a client means.
    expect_refused(ask(ctx, tls, HttpVersions::Silent).await?, "no version of HTTP")
}

async fn only_tls12(ctx: &Context) -> Result<(), Finding> {
    let http = HttpVersions::Http2AndHttp11;
    expect_answer(ask(ctx, TlsVersions::Tls12AndTls13, http).await?, "every version")?;
    expect_refused(ask(ctx, TlsVersions::Tls12, http).await?, "TLS 1.2 alone")
}

async fn certificate(ctx: &Context) -> Result<(), Finding> {
    // The suite verifies the chain and the name, and has no way to be content with less.
    let answer = ask(ctx, TlsVersions::Tls12AndTls13, HttpVersions::Http2AndHttp11).await?;
    match answer {
        Ok(response) => {
            check!(response.status.is_success(), "the key endpoint answers {}", response.status);
            Ok(())
        }
        Err(ClientError::Tls { error, .. }) => {
            Err(fault(format!("the certificate is not accepted: {error}")))
        }
        Err(error) => Err(fault(format!("the target does not answer: {error}"))),
    }
}
