//! How the target takes what a host says of its delegation (LM-04 §12.3.1).

use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use mimi_transport::resolve::WELL_KNOWN_PATH;
use serde_json::json;

use crate::case::{Case, Finding, check, fault, named_case, said};
use crate::cases::steps::named::{is_found, listener, looked_up, port, server};
use crate::context::Context;
use crate::mls::KEY_PACKAGES;
use crate::network::{Page, Service};
use crate::peer::Peer;

pub(super) const CASES: &[Case] = &[
    named_case!(
        Must,
        [],
        "12.3.1/unusable-delegation",
        "whatever is wrong with a delegation, the target goes on with the next step",
        ["LM-04/12.3/8", "LM-04/12.3/12", "LM-04/12.3.1/4", "LM-04/12.3.1/8"],
        unusable_delegation
    ),
    named_case!(
        Must,
        [],
        "12.3.1/redirections",
        "redirections are followed, on the same host and to another one",
        ["LM-04/12.3.1/1", "R37"],
        redirections
    ),
    named_case!(
        Should,
        [],
        "12.3.1/redirection-loop",
        "redirections that lead round in a circle are given up",
        ["LM-04/12.3.1/2", "LM-04/12.3.1/8", "R37"],
        redirection_loop
    ),
    named_case!(
        Must,
        [],
        "12.3.1/certificate-of-the-host",
        "a delegation from a host whose certificate is for another name is none",
        ["LM-04/12.3.1/3", "LM-04/12.3/8"],
        certificate_of_the_host
    ),
    named_case!(
        Should,
        [],
        "12.3.1/other-content-type",
        "a delegation is read as JSON whatever its `Content-Type` says",
        ["LM-04/12.3.1/7"],
        other_content_type
    ),
    named_case!(
        Should,
        [Control],
        "12.3.1/kept",
        "a delegation is kept as long as its headers say, and without any for longer than a moment",
        ["LM-04/12.3.1/9", "LM-04/12.3.1/11"],
        kept
    ),
    named_case!(
        Should,
        [Control],
        "12.3.1/not-kept",
        "a delegation that is not to be kept is asked for again, and the new one is followed",
        ["LM-04/12.3.1/9"],
        not_kept
    ),
    named_case!(
        Should,
        [Control],
        "12.3.1/errors",
        "a host that answers with an error is not asked again at once",
        ["LM-04/12.3.1/13", "R38"],
        errors
    ),
];

/// A host that says this of its delegation, and its server, which its SRV record leads to.
async fn without_delegation(ctx: &Context, page: Option<Page>) -> Result<Peer, Finding> {
    let network = ctx.network()?;
    let (name, tcp) = (network.new_host(), listener().await?);
    if let Some(page) = page {
        network.open_web(&name)?;
        network.well_known(&name, page);
    }
    network.serve_at(&name, &Service { target: name.clone(), port: port(&tcp)? });
    server(ctx, &name, tcp, &name)
}

async fn unusable_delegation(ctx: &Context) -> Result<(), Finding> {
    // Where each of these would lead if it were followed, nobody is.
    let sound = r#"{"m.server":"nowhere.suite.example:9"}"#;
    let pages = [
        ("404", Page::new(404, sound)),
        ("201", Page::new(201, sound)),
        ("500", Page::new(500, "")),
        ("nothing", Page::new(200, "")),
        ("HTML", Page::new(200, "<html>nowhere.suite.example:9</html>").with(CONTENT_TYPE, "text/html")),
        ("half a document", Page::new(200, r#"{"m.server":"nowhere"#)),
        ("an array", Page::new(200, r#"["nowhere.suite.example:9"]"#)),
        ("an object without `m.server`", Page::new(200, r#"{"server":"nowhere.suite.example:9"}"#)),
        ("a number as `m.server`", Page::new(200, r#"{"m.server":8448}"#)),
        ("null as `m.server`", Page::new(200, r#"{"m.server":null}"#)),
        ("a URL as `m.server`", Page::new(200, r#"{"m.server":"https://nowhere.suite.example"}"#)),
        ("a port beyond all ports", Page::new(200, r#"{"m.server":"nowhere.suite.example:65536"}"#)),
        ("a redirection without a place", Page::new(302, "")),
    ];
    for (what, page) in pages {
        let peer = without_delegation(ctx, Some(page)).await?;
        is_found(&peer, peer.name.as_str(), &format!("whose delegation is {what}")).await?;
    }
    let peer = without_delegation(ctx, None).await?;
    is_found(&peer, peer.name.as_str(), "whose host serves nothing").await
}

async fn redirections(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let web = network.web_port();
    for status in [301, 302, 307, 308] {
        let (name, other, delegated) = (network.new_host(), network.new_host(), network.new_host());
        let tcp = listener().await?;
        let to = format!("{delegated}:{}", port(&tcp)?);
        network.open_web(&name)?;
        network.open_web(&other)?;
        network.well_known(&name, Page::redirection(status, "/moved?by=suite"));
        network.page(
            &name,
            "/moved?by=suite",
            Page::redirection(status, format!("https://{other}:{web}/here")),
        );
        network.page(&other, "/here", Page::delegation(&to));
        let peer = server(ctx, &name, tcp, &delegated)?;
        is_found(&peer, &to, &format!("whose delegation is behind redirections with {status}")).await?;
        let asked = (network.asked_web(&name), network.asked_web(&other));
        let way = (vec![WELL_KNOWN_PATH.to_owned(), "/moved?by=suite".to_owned()], vec!["/here".to_owned()]);
        check!(
            asked == way,
            "the target asked for {asked} instead of {way}",
            asked = said(&asked),
            way = said(&way)
        );
    }
    Ok(())
}

async fn redirection_loop(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let peer = without_delegation(ctx, Some(Page::redirection(302, "/round"))).await?;
    let name = peer.name.to_string();
    network.page(&name, "/round", Page::redirection(302, WELL_KNOWN_PATH));
    is_found(&peer, &name, "whose delegation is redirected in a circle").await?;
    let asked = network.asked_web(&name).len();
    // Common clients give up after 10 to 50.
    check!((2..=100).contains(&asked), "the target went round {asked} times");
    Ok(())
}

async fn certificate_of_the_host(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let peer = without_delegation(ctx, None).await?;
    let (name, other, tcp) = (peer.name.to_string(), network.new_host(), listener().await?);
    network.open_web_as(&name, &other)?;
    network.well_known(&name, Page::delegation(&format!("{other}:{}", port(&tcp)?)));
    // Whoever pretends to be the host has a server too, and says that it is the one.
    let pretender = server(ctx, &name, tcp, &other)?;
    is_found(&peer, &name, "whose host has a certificate for another name").await?;
    check!(
        network.asked_web(&name).is_empty(),
        "the target sent a request to a host without its certificate"
    );
    check!(pretender.requests().is_empty(), "the target followed a delegation that the host did not make");
    Ok(())
}

async fn other_content_type(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    for content_type in ["text/html", "application/octet-stream", "none/at all"] {
        let (name, delegated, tcp) = (network.new_host(), network.new_host(), listener().await?);
        let to = format!("{delegated}:{}", port(&tcp)?);
        network.open_web(&name)?;
        network.well_known(&name, Page::delegation(&to).with(CONTENT_TYPE, content_type));
        let peer = server(ctx, &name, tcp, &delegated)?;
        is_found(&peer, &to, &format!("whose delegation says it is {content_type}")).await?;
    }
    Ok(())
}

/// Has the target send a server a request over a new connection.
async fn is_asked_anew(ctx: &Context, peer: &mut Peer) -> Result<bool, Finding> {
    peer.cut_off().await?;
    let claims = |peer: &Peer| {
        let is_claim = |request: &&crate::peer::Inbound| {
            request.method == Method::POST && request.segments().last().is_some_and(|last| last == "claim")
        };
        peer.requests().iter().filter(is_claim).count()
    };
    let before = claims(peer);
    let user = peer.user("somebody")?;
    let wanted = json!({user.as_str(): {"DEVICE": KEY_PACKAGES}});
    // Whatever comes of it.
    let claimed = ctx.control()?.claim(&ctx.recorder, &ctx.user("alice")?, &wanted).await;
    if let Err(finding @ Finding::Suite(_)) = claimed {
        return Err(finding);
    }
    Ok(claims(peer) > before)
}

/// A server that delegates to itself under another name, and that the target has asked for its keys. Returns the server
/// and the name that delegates.
async fn delegating(ctx: &Context, cached: Option<&str>) -> Result<(Peer, String), Finding> {
    let network = ctx.network()?;
    let (name, delegated, tcp) = (network.new_host(), network.new_host(), listener().await?);
    let to = format!("{delegated}:{}", port(&tcp)?);
    let page = Page::delegation(&to);
    network.open_web(&name)?;
    network.well_known(&name, cached.map_or(page.clone(), |cached| page.with(CACHE_CONTROL, cached)));
    let peer = server(ctx, &name, tcp, &delegated)?;
    is_found(&peer, &to, "which delegates").await?;
    Ok((peer, name))
}

async fn kept(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    for (cached, what) in
        [(None, "has no cache control headers"), (Some("max-age=3600"), "is good for an hour")]
    {
        let (mut peer, name) = delegating(ctx, cached).await?;
        check!(is_asked_anew(ctx, &mut peer).await?, "the target sends no claim to {name}");
        let asked = network.asked_web(&name).len();
        check!(asked == 1, "the target asked {asked} times for a delegation that {what}");
    }
    Ok(())
}

async fn not_kept(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    for cached in ["no-store", "max-age=0"] {
        let (mut old, name) = delegating(ctx, Some(cached)).await?;
        let (delegated, tcp) = (network.new_host(), listener().await?);
        network.well_known(&name, Page::delegation(&format!("{delegated}:{}", port(&tcp)?)));
        let mut new = server(ctx, &name, tcp, &delegated)?;
        old.cut_off().await?;
        let found = is_asked_anew(ctx, &mut new).await?;
        let asked = network.asked_web(&name).len();
        check!(asked > 1, "the target did not ask again for a delegation with `Cache-Control: {cached}`");
        check!(found, "the target did not follow the new delegation");
    }
    Ok(())
}

async fn errors(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let mut peer = without_delegation(ctx, Some(Page::new(503, ""))).await?;
    if looked_up(&peer).await?.is_none() {
        return Err(fault("the target did not find a server whose host answers with an error"));
    }
    check!(is_asked_anew(ctx, &mut peer).await?, "the target sends no claim to {}", peer.name);
    let asked = network.asked_web(peer.name.as_str()).len();
    check!(asked == 1, "the target asked {asked} times in a row for a delegation and got errors");
    Ok(())
}
