//! The target asks a notary about a server that does not answer (LM-04 §12.4.1, §12.4.1.3, reading R42).

use http::Method;
use mimi_linearized::json::Object;
use mimi_linearized::signing::{SigningKey, sign_object};
use serde_json::{Value, json};

use super::refuse_keys;
use crate::case::{Case, Finding, case, check};
use crate::cases::steps::key_responses::{HOUR_MS, KeyResponse, further_key};
use crate::cases::steps::paths;
use crate::context::Context;
use crate::peer::{Inbound, Peer, Response};

pub(in crate::cases::federation) const CASES: &[Case] = &[case!(
    Must,
    Server,
    "12.4.1.3/asks-a-notary",
    "keys from a notary are used if the server and the notary have signed them, and not otherwise",
    ["LM-04/12.4.1.3/7", "LM-04/12.4.1.4/7", "LM-04/12.4.1/2", "R42"],
    asks_a_notary
)
.alone()];

fn is_query(request: &Inbound) -> bool {
    request.target.starts_with("/_matrix/key/v2/query")
}

/// The keys of a server as it would publish them, signed by it.
fn object(peer: &Peer) -> Object {
    match KeyResponse::of(peer).signed_by(peer, &[&peer.key]) {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// Signed by the notary, too.
fn notarised(mut object: Object, notary: &Peer, key: &SigningKey) -> Object {
    sign_object(&mut object, &notary.name, key);
    object
}

/// Whether the target takes a signed request of a server that does not give out its keys, when the notary gives out
/// these.
async fn is_taken(
    ctx: &Context,
    notary: &Peer,
    given: impl Fn(&Peer) -> Result<Vec<Object>, Finding>,
) -> Result<bool, Finding> {
    let gone = ctx.peer().await?;
    refuse_keys(&gone);
    let answer = json!({"server_keys": given(&gone)?});
    notary.answer_with(move |request| is_query(request).then(|| Response::ok(answer.clone())));
    let reply = gone.request(Method::GET, &paths::state("!none:example.org", "$none"), None).await?;
    if reply.is(401, "M_FORBIDDEN") {
        return Ok(false);
    }
    reply.expect_error("a signed question about a room that nobody knows", 404, "M_NOT_FOUND")?;
    Ok(true)
}

async fn asks_a_notary(ctx: &Context) -> Result<(), Finding> {
    let Some(notary) = ctx.notary().await? else {
        let what = "the target was not told to ask a notary of the suite (mimi run --peer-notary)";
        return Err(Finding::Untried(what.to_owned()));
    };
    let other = ctx.peer().await?;
    let sound = |gone: &Peer| Ok(vec![notarised(object(gone), &notary, &notary.key)]);
    let taken = is_taken(ctx, &notary, sound).await?;
    check!(
        notary.requests().iter().any(is_query),
        "the target does not ask its notary about a server that is gone"
    );
    check!(taken, "keys that the server itself and the notary have signed are not used");
    let beside = |gone: &Peer| {
        let of_other = notarised(object(&other), &notary, &notary.key);
        Ok(vec![of_other, notarised(object(gone), &notary, &notary.key)])
    };
    check!(is_taken(ctx, &notary, beside).await?, "keys are not used because others are beside them");

    let expect_unused = async |what: &str, given: &(dyn Fn(&Peer) -> Result<Object, Finding> + Sync)| {
        let taken = is_taken(ctx, &notary, |gone| Ok(vec![given(gone)?])).await?;
        check!(!taken, "keys from a notary are used although {what}");
        Ok::<_, Finding>(())
    };
    expect_unused("the notary has not signed them", &|gone| Ok(object(gone))).await?;
    let unlisted = further_key(&notary, "unlisted")?;
    expect_unused("they are signed with a key that the notary does not publish", &|gone| {
        Ok(notarised(object(gone), &notary, &unlisted))
    })
    .await?;
    let impostor = SigningKey::from_seed(notary.key.id().clone(), &unlisted.seed());
    expect_unused("the signature of the notary does not verify", &|gone| {
        Ok(notarised(object(gone), &notary, &impostor))
    })
    .await?;
    expect_unused("the server itself has not signed them", &|gone| {
        let mut object = object(gone);
        object.insert("signatures".to_owned(), json!({}));
        Ok(notarised(object, &notary, &notary.key))
    })
    .await?;
    expect_unused("the notary has changed them", &|gone| {
        let mut object = object(gone);
        let later = mimi_transport::clock::now_ms() + 24 * HOUR_MS;
        object.insert("valid_until_ts".to_owned(), json!(later));
        Ok(notarised(object, &notary, &notary.key))
    })
    .await
}
