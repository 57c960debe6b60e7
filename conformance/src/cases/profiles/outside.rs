//! Steps about a server that is outside the target's federation.

use http::{Method, StatusCode};

use crate::case::{Finding, fault};
use crate::cases::steps::named::{broken, listener, port, server};
use crate::context::Context;
use crate::peer::Peer;
use crate::target::EMBEDDED;
use crate::wire::Reply;

/// A request that every server of the federation may send, and that changes nothing.
const PROBE: &str = "/_matrix/federation/v1/state/%21none?event_id=%24none";

/// A server of the suite that the target's list does not have. It would be found if the target looked for it.
pub(super) async fn outsider(ctx: &Context) -> Result<Peer, Finding> {
    let outsider = elsewhere(ctx).await?;
    is_kept_out(ctx, &outsider).await?;
    Ok(outsider)
}

/// A server of the suite with another host name than the others have.
pub(super) async fn elsewhere(ctx: &Context) -> Result<Peer, Finding> {
    let environment = &ctx.environment;
    if let Some(network) = &environment.network {
        let (host, listener) = (network.new_host(), listener().await?);
        let name = format!("{host}:{}", port(&listener)?);
        return server(ctx, &name, listener, &host);
    }
    let Some(host) = &environment.terms().outsider_host else {
        let what = "all servers of the suite have one host name: give --outsider-host HOST, a second name for where they \
                    listen, which the target takes for somebody else";
        return Err(Finding::Untried(what.to_owned()));
    };
    let (name, listener) = environment.ports.take().await.map_err(broken)?;
    let certificate = environment.setup.certificate_for(host).map_err(broken)?;
    ctx.peer_named(&format!("{host}:{}", name.port().unwrap_or_default()), listener, &certificate)
}

/// Whether the target has a list at all: if it takes an outsider for one of its own, there is nothing to judge. A target that
/// the suite has given a list to has one.
async fn is_kept_out(ctx: &Context, outsider: &Peer) -> Result<(), Finding> {
    if ctx.environment.target.info.driver == EMBEDDED {
        return Ok(());
    }
    let theirs = outsider.request(Method::GET, PROBE, None).await?;
    let ours = ctx.peer().await?.request(Method::GET, PROBE, None).await?;
    // A list that is in force looks for no keys. One that answers 401 without looking for any has the wrong answer.
    let keys_are_wanted = theirs.status == StatusCode::UNAUTHORIZED && !outsider.requests().is_empty();
    if keys_are_wanted || (theirs.status == ours.status && theirs.errcode() == ours.errcode()) {
        return Err(Finding::Untried(format!(
            "no list is in force: the target answers {} with {}, and a server that is inside with {}; its list has to have \
             {} and not {}",
            outsider.name,
            theirs.status.as_u16(),
            ours.status.as_u16(),
            ctx.environment.ports.host(),
            outsider.name.host(),
        )));
    }
    Ok(())
}

/// The reply is the one that servers outside get, whatever they ask.
pub(super) fn expect_kept_out(reply: &Reply, what: &str) -> Result<(), Finding> {
    reply.expect_error(&format!("{what} by a server outside"), 403, "M_FORBIDDEN")
}

/// The target has sent nothing to a server. Requests of the case that would have made it are over.
pub(super) fn expect_left_alone(outsider: &Peer, after: &str) -> Result<(), Finding> {
    match outsider.requests().first() {
        None => Ok(()),
        Some(request) => Err(fault(format!(
            "after {after}, the target sent {} {} to {}, which is outside",
            request.method, request.target, outsider.name
        ))),
    }
}
