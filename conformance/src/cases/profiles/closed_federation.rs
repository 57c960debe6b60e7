//! Requests of a server that is outside a federation of listed servers, and what it may not learn by them.

use http::Method;
use mimi_transport::api::UNSTABLE_PREFIX;
use mimi_transport::keys::KEY_PATH;
use serde_json::{Value, json};

use super::outside::{expect_kept_out, expect_left_alone, outsider};
use crate::case::{Case, Finding, case, check, driven_case};
use crate::cases::steps::endpoints::authenticated;
use crate::cases::steps::{hub_room, paths, reference_id};
use crate::context::Context;
use crate::peer::{Peer, Response};
use crate::target::segment;
use crate::wire::Ask;

pub(super) const CASES: &[Case] = &[
    case!(
        Must,
        Server,
        "closed-federation/outsider",
        "a server outside is answered 403 M_FORBIDDEN at every endpoint that asks who the caller is",
        ["PROFILE/closed-federation/1", "R50"],
        every_endpoint
    ),
    case!(
        Must,
        Server,
        "closed-federation/further-endpoints",
        "endpoints that the draft does not have are closed to servers outside as well",
        ["PROFILE/closed-federation/1", "R50"],
        further_endpoints
    ),
    case!(
        Must,
        Server,
        "closed-federation/keys-of-outsiders",
        "a server outside that signs a request is not asked for its keys",
        ["PROFILE/closed-federation/3", "R50"],
        keys_are_not_fetched
    ),
    case!(
        Must,
        Server,
        "closed-federation/notary-of-outsiders",
        "whoever asks the target for the keys of a server outside does not make it contact that server",
        ["PROFILE/closed-federation/4", "R50"],
        is_no_notary_of_outsiders
    ),
    case!(
        Must,
        Server,
        "closed-federation/no-notary-is-asked",
        "no notary is asked for the keys of a server outside",
        ["PROFILE/closed-federation/3", "R50"],
        no_notary_is_asked
    ),
    driven_case!(
        Must,
        Hub,
        "closed-federation/nothing-leaks",
        "the answer to a server outside is the same whether what it asks for exists or not",
        ["PROFILE/closed-federation/2", "R50"],
        nothing_leaks
    ),
];

pub(super) async fn every_endpoint(ctx: &Context) -> Result<(), Finding> {
    let outsider = outsider(ctx).await?;
    for harmless in authenticated(&outsider) {
        let paths = [Some(&harmless.target), harmless.unstable.as_ref()];
        for path in paths.into_iter().flatten() {
            let what = format!("{} {path}", harmless.method);
            let reply =
                outsider.request_exactly(harmless.method.clone(), path, harmless.body.as_ref()).await?;
            // Of the two paths of an endpoint, a target may have one alone (reading R24).
            let has_other = harmless.unstable.is_some() && ctx.path(&harmless.target) != *path;
            if !(has_other && reply.is(404, "M_UNRECOGNIZED")) {
                expect_kept_out(&reply, &what)?;
            }
        }
    }
    Ok(())
}

/// What servers of Matrix, and the reference server, have besides.
fn further() -> [(Method, String); 7] {
    let get = |path: String| (Method::GET, path);
    [
        get("/_matrix/federation/v1/media/download/none".to_owned()),
        get("/_matrix/federation/unstable/org.mimi-interop.media/media/download/none".to_owned()),
        get("/_matrix/federation/v1/media/thumbnail/none?width=32&height=32".to_owned()),
        get("/_matrix/federation/v1/query/profile?user_id=%40nobody%3Aexample.org".to_owned()),
        get("/_matrix/federation/v1/query/directory?room_alias=%23none%3Aexample.org".to_owned()),
        get("/_matrix/federation/v1/publicRooms".to_owned()),
        get(format!("{UNSTABLE_PREFIX}/publicRooms")),
    ]
}

async fn further_endpoints(ctx: &Context) -> Result<(), Finding> {
    let (outsider, insider) = (outsider(ctx).await?, ctx.peer().await?);
    let mut tried = 0_usize;
    for (method, path) in further() {
        let ours = insider.request_exactly(method.clone(), &path, None).await?;
        if ours.is(404, "M_UNRECOGNIZED") {
            continue;
        }
        tried = tried.saturating_add(1);
        let theirs = outsider.request_exactly(method.clone(), &path, None).await?;
        expect_kept_out(&theirs, &format!("{method} {path}"))?;
    }
    if tried == 0 {
        return Err(Finding::Untried("the target has none of the endpoints that are tried".to_owned()));
    }
    Ok(())
}

/// A sound request of a server outside, which the target could check with its keys, whatever the answer.
async fn knock_at(peer: &Peer) -> Result<(), Finding> {
    peer.request(Method::GET, &paths::event("$none"), None).await.map(drop)
}

pub(super) async fn keys_are_not_fetched(ctx: &Context) -> Result<(), Finding> {
    let outsider = outsider(ctx).await?;
    knock_at(&outsider).await?;
    outsider.send(&[], &[]).await?;
    expect_left_alone(&outsider, "two requests that it signed")
}

async fn is_no_notary_of_outsiders(ctx: &Context) -> Result<(), Finding> {
    let outsider = outsider(ctx).await?;
    let name = outsider.name.as_str();
    let one = format!("/_matrix/key/v2/query/{}", segment(name));
    let many = json!({"server_keys": {name: {}}});
    for ask in
        [Ask::new(Method::GET, one), Ask::new(Method::POST, "/_matrix/key/v2/query".to_owned()).json(&many)]
    {
        let reply = ctx.ask(ask).await?;
        let given = reply.body.get("server_keys").and_then(Value::as_array);
        let has_keys = given.is_some_and(|given| {
            given.iter().any(|keys| keys.get("server_name").and_then(Value::as_str) == Some(name))
        });
        check!(!has_keys, "the target gives out keys of {name}, which is outside");
    }
    expect_left_alone(&outsider, "being asked for its keys as a notary")
}

async fn no_notary_is_asked(ctx: &Context) -> Result<(), Finding> {
    let Some(notary) = ctx.notary().await? else {
        return Err(Finding::Untried("the target asks no notary of the suite".to_owned()));
    };
    let outsider = outsider(ctx).await?;
    // A server that does not tell its keys is what notaries are for.
    outsider.answer_with(|request| {
        request.target.starts_with(KEY_PATH).then(|| Response::error(500, "M_UNKNOWN"))
    });
    knock_at(&outsider).await?;
    let about = |target: &str| target.contains(outsider.name.host());
    let asked = notary.requests().into_iter().find(|request| {
        !request.target.starts_with(KEY_PATH)
            && (about(&request.target) || request.body.to_string().contains(outsider.name.host()))
    });
    check!(asked.is_none(), "a notary was asked for the keys of {}, which is outside", outsider.name);
    expect_left_alone(&outsider, "a request that it signed")
}

async fn nothing_leaks(ctx: &Context) -> Result<(), Finding> {
    let (room, outsider) = (hub_room(ctx).await?, outsider(ctx).await?);
    let said = room.accepts(&room.message("inside")).await?;
    let (alice, stranger) = (ctx.user("alice")?, outsider.user("stranger")?);
    let device = ctx.device(&alice, "LEAK")?;
    ctx.control()?.publish_device(&ctx.recorder, &device.object()?, &[]).await?;
    let (id, event) = (room.id.as_str(), reference_id(&said));
    let none_room = format!("!none:{}", ctx.environment.target.name);
    let none_user = ctx.user("nobody")?;
    let none_event = "$5sJv8aE0CzYV1Yk0x0mS0l5g0nJ6l5Vb1p3mW3k9sQA";
    let of_device = |user: &str, device: &str| {
        format!("/_matrix/federation/v1/user/{}/device/{}", segment(user), segment(device))
    };
    let make = |change: &str, room: &str| format!("{}?ver=I.1", paths::make(change, room, stranger.as_str()));
    let pairs = [
        (paths::event(&event), paths::event(none_event)),
        (paths::state(id, &event), paths::state(&none_room, none_event)),
        (paths::state_ids(id, &event), paths::state_ids(&none_room, none_event)),
        (paths::backfill(id, &event, 10), paths::backfill(&none_room, none_event, 10)),
        (make("join", id), make("join", &none_room)),
        (make("knock", id), make("knock", &none_room)),
        (make("leave", id), make("leave", &none_room)),
        (of_device(alice.as_str(), "LEAK"), of_device(none_user.as_str(), "LEAK")),
    ];
    for (there, not_there) in pairs {
        let one = outsider.request(Method::GET, &there, None).await?;
        let other = outsider.request(Method::GET, &not_there, None).await?;
        expect_kept_out(&one, &format!("GET {there}"))?;
        let same = one.status == other.status && one.body == other.body;
        check!(
            same,
            "a server outside can tell what exists: GET {there} is answered {} {}, GET {not_there} {} {}",
            one.status.as_u16(),
            one.body,
            other.status.as_u16(),
            other.body
        );
    }
    Ok(())
}
