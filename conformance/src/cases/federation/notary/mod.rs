//! The target as a notary, which gives out other servers' keys (LM-04 §12.4.1.3, reading R41).

pub(super) mod asking;
pub(super) mod bulk;
mod given;

use mimi_linearized::event::hash::sha256;
use mimi_linearized::signing::SigningKey;
use mimi_transport::clock;
use mimi_transport::keys::KEY_PATH;
use serde_json::{Value, json};

use self::given::{any_lists, lists, query, sound, until_given};
use crate::case::{Case, Finding, case, check, fault, said};
use crate::cases::steps::key_responses::{HOUR_MS, KeyResponse, further_key};
use crate::context::Context;
use crate::peer::{Peer, Response};

pub(super) const CASES: &[Case] = &[
    case!(
        Must,
        Server,
        "12.4.1/notary-asks",
        "a notary that is queried asks the server itself, also one that it has nothing to do with",
        ["LM-04/12.4.1/1", "LM-04/12.4.1/3", "LM-04/12.4.1.3/3", "R41"],
        notary_asks
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/notary-caches",
        "a notary does not ask a server again for every query",
        ["LM-04/12.4.1.2/10", "LM-04/12.4.1.2/12"],
        notary_caches
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/notary-of-the-gone",
        "a notary goes on giving out the last answer of a server that is gone, also when that is no longer valid",
        ["LM-04/12.4.1.2/13", "R41"],
        notary_of_the_gone
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/notary-keeps-key-sets",
        "a notary keeps an answer when a later one has other keys",
        ["LM-04/12.4.1.2/14", "R41"],
        notary_keeps_key_sets
    ),
    case!(
        Must,
        Server,
        "12.4.1.3/signed-by-both",
        "what a notary gives out is what the server published, with its signatures and the notary's",
        ["LM-04/12.4.1.3/3", "LM-04/12.4.1.3/6", "R41"],
        signed_by_both
    ),
    case!(
        Must,
        Server,
        "12.4.1.3/refreshed",
        "a notary gets the keys anew when it needs them, and falls back to those it has when it cannot",
        ["LM-04/12.4.1.3/1"],
        refreshed
    ),
    case!(
        Must,
        Server,
        "12.4.1.3/minimum",
        "keys that are not valid as long as they have to be are left out",
        ["LM-04/12.4.1.3/5", "LM-04/12.4.1.3/2", "LM-04/12.4.1.1/2"],
        minimum
    ),
    case!(
        Must,
        Server,
        "12.4.1.3/minimum-is-now",
        "without a minimum, keys have to be valid at the time of the query",
        ["LM-04/12.4.1.3/2", "LM-04/12.4.1.3/5", "R41"],
        minimum_is_now
    ),
    case!(
        Must,
        Server,
        "12.4.1.3/unreachable",
        "a query about a server that nobody can reach, and of which nothing is known, is answered with an empty array",
        ["LM-04/12.4.1.3/4"],
        unreachable
    ),
    case!(
        Must,
        Server,
        "12.4.1.3/unusable-responses",
        "what a server has not signed, or another one has, is not given out as its keys",
        ["LM-04/12.4.1.3/3", "LM-04/12.4.1.2/2", "LM-04/12.4.1.2/3"],
        unusable_responses
    ),
    case!(
        Must,
        Server,
        "12.4.1.3/itself",
        "a notary that is queried for itself gives out its own keys",
        ["LM-04/12.4.1.3/3", "LM-04/12.4.1.3/6"],
        itself
    ),
];

/// How often the peer was asked for its keys.
fn fetches(peer: &Peer) -> usize {
    peer.requests().iter().filter(|request| request.target.starts_with(KEY_PATH)).count()
}

/// Lets a peer publish a response that ends so many milliseconds from now, with its own key.
fn publish_until(peer: &Peer, ahead: i64) {
    let response = KeyResponse::of(peer).with("valid_until_ts", json!(clock::now_ms() + ahead));
    peer.publish_response(response.signed_by(peer, &[&peer.key]));
}

/// Lets a peer answer questions for its keys with an error from now on.
fn refuse_keys(peer: &Peer) {
    peer.answer_with(|request| {
        request.target.starts_with(KEY_PATH).then(|| Response::error(500, "M_UNKNOWN"))
    });
}

async fn notary_asks(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    // A slow server: the notary has to wait for its answer, as there is no other.
    let gate = peer.hold(|request| request.target.starts_with(KEY_PATH));
    let asking = query(ctx, &peer.name, None);
    tokio::pin!(asking);
    let what = "ask a server for its keys on behalf of whoever queries it";
    let early = tokio::select! {
        // What is answered before the server was asked needs no more waiting.
        objects = &mut asking => Some(objects?),
        arrived = gate.until_arrived(what) => arrived.map(|_| None)?,
    };
    gate.open();
    let objects = match early {
        Some(objects) => objects,
        None => asking.await?,
    };
    check!(any_lists(&objects, &peer.key), "the notary does not give out the key that the server publishes");
    Ok(())
}

async fn notary_caches(ctx: &Context) -> Result<(), Finding> {
    const QUERIES: usize = 5;
    let peer = ctx.peer().await?;
    for _ in 0..QUERIES {
        let objects = query(ctx, &peer.name, None).await?;
        check!(
            any_lists(&objects, &peer.key),
            "the notary does not give out the key that the server publishes"
        );
    }
    let fetches = fetches(&peer);
    check!(fetches < QUERIES, "{QUERIES} queries made the notary fetch keys {fetches} times");
    Ok(())
}

async fn notary_of_the_gone(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let (name, key) = (peer.name.clone(), peer.key.clone());
    publish_until(&peer, -HOUR_MS);
    let before = clock::now_ms() - 2 * HOUR_MS;
    let objects = query(ctx, &name, Some(before)).await?;
    check!(any_lists(&objects, &key), "keys that were valid at the time in question are not given out");
    drop(peer);
    let objects = query(ctx, &name, Some(before)).await?;
    check!(any_lists(&objects, &key), "the last answer of a server that is gone is not given out");
    Ok(())
}

async fn notary_keeps_key_sets(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let before = Some(clock::now_ms() - 2 * HOUR_MS);
    // No longer valid, so that the notary has reason to ask again.
    publish_until(&peer, -HOUR_MS);
    let objects = query(ctx, &peer.name, before).await?;
    check!(any_lists(&objects, &peer.key), "keys that were valid at the time in question are not given out");
    let next = further_key(&peer, "next")?;
    let keys = json!({next.id().as_str(): {"key": next.verify_key().to_base64()}});
    peer.publish_response(KeyResponse::of(&peer).with("verify_keys", keys).signed_by(&peer, &[&next]));
    let what = "give out the new key of a server whose keys had expired";
    let objects = until_given(ctx, &peer.name, before, what, |objects| any_lists(objects, &next)).await?;
    check!(
        any_lists(&objects, &peer.key),
        "the answer with the former key was displaced by one with another"
    );
    Ok(())
}

async fn signed_by_both(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let (second, old) = (further_key(&peer, "second")?, further_key(&peer, "old")?);
    let published = KeyResponse::of(&peer)
        .with_key(second.id().as_str(), &second.verify_key().to_base64())
        .with_old_key(&old, clock::now_ms() - HOUR_MS)
        .with("org.example.further", json!({"n": [1, null, "é"]}))
        .signed_by(&peer, &[&peer.key, &second]);
    peer.publish_response(published.clone());
    let objects = query(ctx, &peer.name, None).await?;
    let [object] = objects.as_slice() else {
        return Err(fault(format!(
            "the notary gives out {} objects of a server with one answer",
            objects.len()
        )));
    };
    for key in [&peer.key, &second] {
        sound(ctx, object, &peer.name, key).await?;
    }
    for (field, value) in published.as_object().into_iter().flatten() {
        let same = field == "signatures" || object.get(field) == Some(value);
        check!(same, "`{field}` is {} and not {value}, as it was published", said(&object.get(field)));
    }
    Ok(())
}

async fn refreshed(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let (name, key) = (peer.name.clone(), peer.key.clone());
    publish_until(&peer, 2 * HOUR_MS);
    let now = clock::now_ms();
    check!(any_lists(&query(ctx, &name, None).await?, &key), "the published key is not given out");
    publish_until(&peer, 10 * HOUR_MS);
    let what = "get the keys anew that it has, but not for as long as they are wanted";
    let later = Some(now + 5 * HOUR_MS);
    until_given(ctx, &name, later, what, |objects| any_lists(objects, &key)).await?;
    drop(peer);
    for minimum in [None, later, Some(now + 9 * HOUR_MS)] {
        let objects = query(ctx, &name, minimum).await?;
        check!(any_lists(&objects, &key), "what is there is not given out when the server is gone");
    }
    let objects = query(ctx, &name, Some(now + 11 * HOUR_MS)).await?;
    check!(!any_lists(&objects, &key), "keys are given out that are not valid as long as they have to be");
    Ok(())
}

async fn minimum(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    publish_until(&peer, 2 * HOUR_MS);
    let now = clock::now_ms();
    for (minimum, expected) in [
        (Some(now + HOUR_MS), true),
        (None, true),
        (Some(now - HOUR_MS), true),
        (Some(0), true),
        (Some(now + 3 * HOUR_MS), false),
        (Some(now + 9 * 24 * HOUR_MS), false),
    ] {
        let objects = query(ctx, &peer.name, minimum).await?;
        let (given, ahead) =
            (any_lists(&objects, &peer.key), minimum.map(|minimum| (minimum - now) / HOUR_MS));
        check!(
            given == expected,
            "keys valid for 2 hours, wanted for {ahead} hours: given out is {given}",
            ahead = said(&ahead)
        );
    }
    let long = ctx.peer().await?;
    publish_until(&long, 60 * 24 * HOUR_MS);
    for (days, expected) in [(6, true), (8, false)] {
        let objects = query(ctx, &long.name, Some(now + days * 24 * HOUR_MS)).await?;
        let given = any_lists(&objects, &long.key);
        check!(given == expected, "keys that claim 60 days, wanted for {days} days: given out is {given}");
    }
    Ok(())
}

async fn minimum_is_now(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    publish_until(&peer, -HOUR_MS);
    let objects = query(ctx, &peer.name, None).await?;
    if any_lists(&objects, &peer.key) {
        let what = "keys that expired an hour ago are given out to who does not say for when".to_owned();
        return Err(Finding::Acceptable { reading: "R41", what });
    }
    Ok(())
}

async fn unreachable(ctx: &Context) -> Result<(), Finding> {
    let gone = ctx.peer().await?.name.clone();
    let refusing = ctx.peer().await?;
    refuse_keys(&refusing);
    for (what, name) in [("is gone", &gone), ("answers with an error", &refusing.name)] {
        let objects = query(ctx, name, None).await?;
        check!(
            objects.is_empty(),
            "about a server that {what} the notary gives out {objects}",
            objects = said(&objects)
        );
    }
    Ok(())
}

async fn unusable_responses(ctx: &Context) -> Result<(), Finding> {
    let expect_nothing = async |what: &str, response: fn(&Peer) -> Result<Value, Finding>| {
        let peer = ctx.peer().await?;
        peer.publish_response(response(&peer)?);
        let objects = query(ctx, &peer.name, Some(0)).await?;
        check!(fetches(&peer) > 0, "the notary did not ask the server");
        check!(
            objects.is_empty(),
            "of a server whose answer {what} the notary gives out {objects}",
            objects = said(&objects)
        );
        Ok::<_, Finding>(())
    };
    expect_nothing("is another server's", |peer| {
        Ok(KeyResponse::of(peer).with("server_name", json!("example.org")).signed_by(peer, &[&peer.key]))
    })
    .await?;
    expect_nothing("is not signed", |peer| Ok(KeyResponse::of(peer).signed_by(peer, &[]))).await?;
    expect_nothing("is signed by a key that it does not list", |peer| {
        Ok(KeyResponse::of(peer).signed_by(peer, &[&further_key(peer, "unlisted")?]))
    })
    .await?;
    expect_nothing("is signed by another key than it lists under the id", |peer| {
        let seed = sha256(peer.name.as_str().as_bytes());
        let impostor = SigningKey::from_seed(peer.key.id().clone(), &seed);
        Ok(KeyResponse::of(peer).signed_by(peer, &[&impostor]))
    })
    .await
}

async fn itself(ctx: &Context) -> Result<(), Finding> {
    let name = &ctx.environment.target.name;
    let keys = ctx.environment.target_keys().await?;
    let objects = query(ctx, name, None).await?;
    for id in keys.verify_keys().keys() {
        let object = objects.iter().find(|object| lists(object, id.as_str()));
        let object =
            object.ok_or_else(|| fault(format!("the notary does not give out {id}, its own key")))?;
        let ring = ctx.environment.target_ring().await?;
        let signed = mimi_linearized::signing::check_object(object, name, &ring, clock::now_ms());
        signed.map_err(|error| fault(format!("the notary's own keys: {error}")))?;
    }
    Ok(())
}
