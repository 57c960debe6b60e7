//! The `Authorization` header of scheme `X-Matrix`: parameters, quoting, escapes (LM-04 §12.4, RFC 9110 §11.4).

use mimi_transport::request_auth::Credentials;

use super::{Claim, ask_with, question, refused, taken, value, x_matrix};
use crate::case::{Case, Finding, case, fault};
use crate::context::Context;
use crate::peer::Peer;

pub(in crate::cases) const CASES: &[Case] = &[
    case!(
        Must,
        Server,
        "12.4/parameter-order",
        "the parameters of the header may come in any order, with spaces around the commas",
        ["LM-04/12.4/8"],
        parameter_order
    ),
    case!(
        Must,
        Server,
        "12.4/parameter-names",
        "the names of the parameters are recognised in any case",
        ["LM-04/12.4/9"],
        parameter_names
    ),
    case!(
        Must,
        Server,
        "12.4/quoting",
        "a value that is a token is recognised with and without quotes",
        ["LM-04/12.4/10"],
        quoting
    ),
    case!(
        Must,
        Server,
        "12.4/escapes",
        "backslashes in a quoted value are removed before it is used",
        ["LM-04/12.4/12", "LM-04/12.4/11"],
        escapes
    ),
    case!(
        Must,
        Server,
        "12.4/unknown-parameters",
        "parameters that nobody knows do not matter",
        ["LM-04/12.4/17"],
        unknown_parameters
    ),
    case!(
        Must,
        Server,
        "12.4/missing-parameters",
        "a header that lacks a parameter, or has one that makes no sense, is refused",
        ["LM-04/12.4/13", "LM-04/12.4/14", "LM-04/12.4/15", "LM-04/12.4/16", "LM-04/12.4/23"],
        missing_parameters
    ),
    case!(
        Must,
        Server,
        "12.4/signature-name",
        "the signature is found under `sig` and under `signature`",
        ["LM-04/12.4/16", "R17"],
        signature_name
    ),
];

/// What a sound header says.
struct Parts {
    peer: Peer,
    /// The request that is signed.
    target: String,
    origin: String,
    destination: String,
    key: String,
    signature: String,
}

/// A sound header for a question. The signature has no character that a token may not have.
async fn parts(ctx: &Context) -> Result<Parts, Finding> {
    let peer = ctx.peer().await?;
    // One signature in four has no slash. These are more than enough attempts to find one.
    let claims = (0..1_000_u32).map(|n| Claim::of(&peer, ctx, &format!("{}&n={n}", question())));
    let found = claims.map(|claim| (claim.sign(&peer.key), claim)).find(|(sig, _)| !sig.contains('/'));
    let Some((signature, claim)) = found else {
        return Err(Finding::Suite("no signature is a token".to_owned()));
    };
    let Claim { uri: target, origin, destination, .. } = claim;
    let key = peer.key.id().to_string();
    Ok(Parts { peer, target, origin, destination, key, signature })
}

impl Parts {
    /// The usual form, with each parameter in quotes.
    fn usual(&self) -> String {
        let Self { origin, destination, key, signature, .. } = self;
        format!("origin=\"{origin}\",destination=\"{destination}\",key=\"{key}\",sig=\"{signature}\"")
    }

    async fn expect_taken(&self, parameters: &str) -> Result<(), Finding> {
        let reply = ask_with(&self.peer, &self.target, &[x_matrix(parameters)?]).await?;
        taken(&reply, &format!("a request signed in the form `{parameters}`"))
    }

    async fn expect_refused(&self, parameters: &str) -> Result<(), Finding> {
        let reply = ask_with(&self.peer, &self.target, &[x_matrix(parameters)?]).await?;
        refused(&reply, &format!("a request signed in the form `{parameters}`"))
    }
}

async fn parameter_order(ctx: &Context) -> Result<(), Finding> {
    let parts = parts(ctx).await?;
    let Parts { origin, destination, key, signature, .. } = &parts;
    for parameters in [
        format!("sig=\"{signature}\",key=\"{key}\",destination=\"{destination}\",origin=\"{origin}\""),
        format!("key=\"{key}\",origin=\"{origin}\",sig=\"{signature}\",destination=\"{destination}\""),
        format!("destination=\"{destination}\" , sig=\"{signature}\",  origin=\"{origin}\" ,key=\"{key}\""),
        format!("   {}", parts.usual()),
    ] {
        parts.expect_taken(&parameters).await?;
    }
    Ok(())
}

async fn parameter_names(ctx: &Context) -> Result<(), Finding> {
    let parts = parts(ctx).await?;
    let Parts { origin, destination, key, signature, .. } = &parts;
    for [o, d, k, s] in [["ORIGIN", "DESTINATION", "KEY", "SIG"], ["Origin", "deStination", "kEy", "Sig"]] {
        let parameters = format!("{o}=\"{origin}\",{d}=\"{destination}\",{k}=\"{key}\",{s}=\"{signature}\"");
        parts.expect_taken(&parameters).await?;
    }
    Ok(())
}

/// Whether every character may stand in a token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let is = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is)
}

async fn quoting(ctx: &Context) -> Result<(), Finding> {
    let parts = parts(ctx).await?;
    parts.expect_taken(&parts.usual()).await?;
    // Names with a port and key ids have a colon and need their quotes; what needs none goes without.
    let bare = |name: &str, text: &str| {
        if is_token(text) { format!("{name}={text}") } else { format!("{name}=\"{text}\"") }
    };
    let Parts { origin, destination, key, signature, .. } = &parts;
    let parameters = [
        bare("origin", origin),
        bare("destination", destination),
        bare("key", key),
        format!("sig={signature}"),
    ];
    parts.expect_taken(&parameters.join(",")).await
}

async fn escapes(ctx: &Context) -> Result<(), Finding> {
    let parts = parts(ctx).await?;
    let all = |text: &str| text.chars().flat_map(|character| ['\\', character]).collect::<String>();
    let Parts { origin, destination, key, signature, .. } = &parts;
    let (first, rest) = origin.split_at(1);
    for parameters in [
        format!("origin=\"\\{first}{rest}\",destination=\"{destination}\",key=\"{key}\",sig=\"{signature}\""),
        format!(
            "origin=\"{}\",destination=\"{}\",key=\"{}\",sig=\"{}\"",
            all(origin),
            all(destination),
            all(key),
            all(signature)
        ),
    ] {
        parts.expect_taken(&parameters).await?;
    }
    Ok(())
}

async fn unknown_parameters(ctx: &Context) -> Result<(), Finding> {
    let parts = parts(ctx).await?;
    let usual = parts.usual();
    for parameters in [
        format!("{usual},nonce=abc"),
        format!("nonce=\"abc\",{usual}"),
        format!("org.example.text=\"a, b=\\\"c\\\", origin=x\",{usual}"),
    ] {
        parts.expect_taken(&parameters).await?;
    }
    Ok(())
}

async fn missing_parameters(ctx: &Context) -> Result<(), Finding> {
    let parts = parts(ctx).await?;
    parts.expect_taken(&parts.usual()).await?;
    let Parts { origin, destination, key, signature, .. } = &parts;
    let without = |missing: &str| {
        let all = [
            ("origin", origin.as_str()),
            ("destination", destination.as_str()),
            ("key", key.as_str()),
            ("sig", signature.as_str()),
        ];
        let rest = all.iter().filter(|(name, _)| *name != missing);
        rest.map(|(name, text)| format!("{name}=\"{text}\"")).collect::<Vec<_>>().join(",")
    };
    for missing in ["origin", "destination", "key", "sig"] {
        parts.expect_refused(&without(missing)).await?;
    }
    for nonsense in ["key=\"1\"", "key=\"rsa:1\"", "key=\"ed25519:\""] {
        parts.expect_refused(&format!("{},{nonsense}", without("key"))).await?;
    }
    let cut = signature.get(1..).unwrap_or_default();
    for nonsense in ["sig=\"\"".to_owned(), format!("sig=\"{cut}\""), "sig=\"!!!!\"".to_owned()] {
        parts.expect_refused(&format!("{},{nonsense}", without("sig"))).await?;
    }
    parts.expect_refused(&format!("{},origin=\"not a name\"", without("origin"))).await?;
    let reply = ask_with(&parts.peer, &parts.target, &[value("X-Matrix")?]).await?;
    refused(&reply, "a request with the scheme and nothing else")
}

async fn signature_name(ctx: &Context) -> Result<(), Finding> {
    let parts = parts(ctx).await?;
    let usual = parts.usual();
    // What is sent is read by the suite's own servers too: the alias is well formed.
    let alias = usual.replace(",sig=", ",signature=");
    if Credentials::parse(format!("X-Matrix {alias}").as_bytes()).is_err() {
        return Err(Finding::Suite("the header with `signature` is malformed".to_owned()));
    }
    let mut known = Vec::new();
    for parameters in [&usual, &alias] {
        let reply = ask_with(&parts.peer, &parts.target, &[x_matrix(parameters)?]).await?;
        known.push(!reply.is(401, "M_FORBIDDEN"));
    }
    match known.as_slice() {
        [true, true] => Ok(()),
        [true, false] => Err(Finding::Acceptable { reading: "R17", what: "only `sig` is known".to_owned() }),
        [false, true] => {
            Err(Finding::Acceptable { reading: "R17", what: "only `signature` is known".to_owned() })
        }
        _ => Err(fault("the signature is found neither under `sig` nor under `signature`")),
    }
}
