//! Canonical JSON (LM-04 §7, RFC 8785).
//!
//! The canonical form of each event is written out by hand here and hashed as text, so that the suite's own encoder is
//! not taken at its word either.

use std::slice::from_ref;

use mimi_linearized::base64;
use mimi_linearized::event::hash::sha256;
use mimi_transport::clock;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::{HubRoom, Tolerated, altered, hub_room, open_room};
use crate::context::Context;
use crate::peer::lpdu_hash;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "7/key-order",
        "names are put in the order of their UTF-16 code units",
        ["LM-04/7/1", "LM-04/6.2/2", "LM-04/9.1/4", "LM-04/9.1/5", "LM-04/9.1/6"],
        key_order
    ),
    driven_case!(
        Must,
        Hub,
        "7/escapes",
        "strings are hashed in their one canonical form, however they were escaped on the way",
        ["LM-04/7/1", "LM-04/9.1/4"],
        escapes
    ),
    driven_case!(
        Must,
        Hub,
        "7/numbers",
        "numbers are hashed as RFC 8785 writes them: -0, 50.0 and 1e2 are 0, 50 and 100",
        ["LM-04/7/1", "R07"],
        numbers
    ),
    driven_case!(
        Must,
        Hub,
        "7/integral-levels",
        "a level of 50.0 is the integer 50",
        ["LM-04/auth/9.1", "R07"],
        integral_levels
    ),
    driven_case!(
        Must,
        Hub,
        "7/fractions",
        "numbers with a fraction are accepted and hashed",
        ["LM-04/7/1", "R07"],
        fractions
    ),
    driven_case!(
        Must,
        Hub,
        "7/ambiguous-json",
        "an event that readers would disagree on is dropped, and its neighbours are accepted",
        ["LM-04/5.1/4", "LM-04/12.5.1/5", "R07", "R19"],
        ambiguous_json
    ),
    driven_case!(
        Must,
        Hub,
        "7/impossible-json",
        "text that is no JSON that a double or a character could hold is not accepted",
        ["R07"],
        impossible_json
    ),
];

/// The content of an event, written by hand.
#[derive(Debug, Clone, Copy)]
struct Content<'t> {
    /// In canonical form.
    canonical: &'t str,
    /// What redaction leaves of it, in canonical form.
    redacted: &'t str,
    /// As it is sent.
    wire: &'t str,
}

impl<'t> Content<'t> {
    /// The content of a message, of which redaction leaves nothing.
    fn message(canonical: &'t str, wire: &'t str) -> Self {
        Self { canonical, redacted: "{}", wire }
    }

    /// The content of power levels, all of which redaction keeps.
    fn levels(canonical: &'t str, wire: &'t str) -> Self {
        Self { canonical, redacted: canonical, wire }
    }
}

/// An LPDU of `bob` written by hand.
struct Written {
    content: (String, String),
    /// Its fields before `prev_events`, in canonical form.
    head: String,
    /// Those after it.
    tail: String,
    hash: String,
    /// What is sent.
    text: String,
    /// What that reads as.
    read: Value,
}

/// Writes an LPDU of `bob`: a message, or power levels if its content is kept by redaction.
fn write(room: &HubRoom<'_>, content: Content<'_>) -> Result<Written, Finding> {
    let Content { canonical, redacted, wire } = content;
    let target = &room.ctx.environment.target.name;
    let kind = match redacted {
        "{}" => "\"type\":\"m.room.message\"",
        _ => "\"state_key\":\"\",\"type\":\"m.room.power_levels\"",
    };
    let head = format!("\"hub_server\":\"{target}\",\"origin_server_ts\":{}", clock::now_ms());
    let tail = format!("\"room_id\":\"{}\",\"sender\":\"{}\",{kind}", room.id, room.bob);
    let hash = base64::encode(&sha256(format!("{{\"content\":{canonical},{head},{tail}}}").as_bytes()));
    let hashes = format!("\"hashes\":{{\"lpdu\":{{\"sha256\":\"{hash}\"}}}}");
    let signed = format!("{{\"content\":{redacted},{hashes},{head},{tail}}}");
    let (name, key) = (&room.peer.name, &room.peer.key);
    let signature = key.sign(signed.as_bytes()).to_base64();
    let signatures = format!("\"signatures\":{{\"{name}\":{{\"{}\":\"{signature}\"}}}}", key.id());
    let text =
        |content: &str| format!("{{ {signatures},\n\t{tail} ,{head},\r\n{hashes}, \"content\": {content} }}");
    let read = serde_json::from_str(&text(canonical))
        .map_err(|error| Finding::Suite(format!("an event written by hand: {error}")))?;
    let (text, content) = (text(wire), (canonical.to_owned(), redacted.to_owned()));
    Ok(Written { content, head, tail, hash, text, read })
}

/// Sends an LPDU written by hand; the hub takes it, and the hashes it makes are those of the form written by hand.
async fn takes(room: &HubRoom<'_>, content: Content<'_>) -> Result<(), Finding> {
    let written = write(room, content)?;
    let sent = room.peer.send_text(from_ref(&written.text), from_ref(&written.read)).await?;
    sent.expect_accepted()?;
    is_sealed(room, &written).await
}

/// The hub has sealed an LPDU written by hand as it is.
async fn is_sealed(room: &HubRoom<'_>, written: &Written) -> Result<(), Finding> {
    let pdu = room.peer.until_echo(&written.read).await?;
    let Written { content: (canonical, redacted), head, tail, hash, .. } = written;
    let list = |field: &str| pdu.get(field).unwrap_or(&Value::Null).to_string();
    let (cited, prev) = (list("auth_events"), list("prev_events"));
    let of = |content: &str, hashes: &str| {
        let text = format!(
            "{{\"auth_events\":{cited},\"content\":{content},\"hashes\":{{\"lpdu\":{{\"sha256\":\"{hash}\"}}{hashes}}},{head},\
             \"prev_events\":{prev},{tail}}}"
        );
        sha256(text.as_bytes())
    };
    let claimed = pdu.pointer("/hashes/sha256").and_then(Value::as_str).unwrap_or_default();
    let expected = base64::encode(&of(canonical, ""));
    check!(
        pdu.get("content") != Some(&json!({})),
        "the hub finds that an LPDU's hash is wrong: it takes {canonical} for something else"
    );
    check!(
        claimed == expected,
        "the PDU's hash for the content {canonical} is {claimed} instead of {expected}"
    );
    let id = base64::encode_url_safe(&of(redacted, &format!(",\"sha256\":\"{claimed}\"")));
    let head = room.ctx.room(&room.id).await?.head().to_owned();
    check!(
        head == format!("${id}"),
        "the event with the content {canonical} has the id {head} instead of ${id}"
    );
    Ok(())
}

async fn key_order(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    // By code points, or by bytes of UTF-8, the one beyond U+FFFF would be last.
    let canonical = "{\"\":0,\"\\r\":1,\"1\":2,\"A\":3,\"a\":4,\"aa\":5,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":8,\
                     \"\u{1f600}\":9,\"\u{1f600}a\":10,\"\u{e000}\":11,\"\u{fb33}\":12,\"\u{ffff}\":13}";
    let wire = "{\"\u{ffff}\":13,\"\u{fb33}\":12,\"\u{e000}\":11,\"\u{1f600}a\":10,\"\u{1f600}\":9,\"\u{20ac}\":8,\
                \"\u{f6}\":7,\"\u{80}\":6,\"aa\":5,\"a\":4,\"A\":3,\"1\":2,\"\\r\":1,\"\":0}";
    takes(&room, Content::message(canonical, wire)).await?;
    let canonical =
        "{\"inner\":{\"\u{1f600}\":{\"\u{1d11e}\":1,\"\u{f8ff}\":2},\"\u{f8ff}\":[{\"b\":1},{\"a\":2}]}}";
    let wire =
        "{\"inner\":{\"\u{f8ff}\":[{\"b\":1},{\"a\":2}],\"\u{1f600}\":{\"\u{f8ff}\":2,\"\u{1d11e}\":1}}}";
    takes(&room, Content::message(canonical, wire)).await?;
    // Here the order decides about signatures and the event id too.
    let canonical = "{\"events\":{\"z\":1,\"\u{1f600}\":2,\"\u{ffff}\":3},\"users_default\":100}";
    let wire = "{\"users_default\":100,\"events\":{\"\u{ffff}\":3,\"z\":1,\"\u{1f600}\":2}}";
    takes(&room, Content::levels(canonical, wire)).await
}

async fn escapes(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let canonical = "{\"a\":\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\/\u{7f}\u{80}\u{2028}\u{e9}\u{1f600}A\"}";
    let escaped = "{\"\\u0061\":\"\\u0000\\u0001\\u0008\\u0009\\u000A\\u000B\\u000C\\u000D\\u001F\\u0020\\u0022\\u005C\\/\
                   \\u007F\\u0080\\u2028\\u00E9\\uD83D\\uDE00\\u0041\"}";
    takes(&room, Content::message(canonical, canonical)).await?;
    takes(&room, Content::message(canonical, escaped)).await?;
    let canonical = "{\"\\n\\\"\u{1f600}\":\"</script>\",\"e\u{301}\":\"\u{e9}\"}";
    let escaped = "{ \"e\\u0301\" : \"\\u00e9\" , \"\\u000a\\u0022\\ud83d\\ude00\" : \"<\\/script\\u003e\" }";
    takes(&room, Content::message(canonical, escaped)).await
}

async fn numbers(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let canonical = "{\"a\":0,\"b\":50,\"c\":100,\"d\":[0,-5,1000000,120],\"e\":9007199254740991,\"f\":-9007199254740991}";
    for wire in [
        "{\"a\":-0,\"b\":50.0,\"c\":1e2,\"d\":[0.0,-5.00,1E+6,12e1],\"e\":9007199254740991,\"f\":-9007199254740991}",
        "{\"a\":-0.0,\"b\":5e1,\"c\":1.0E2,\"d\":[0e9,-50E-1,1000.000e3,0.12E3],\"e\":9007199254740991.0,\
         \"f\":-9.007199254740991e15}",
    ] {
        takes(&room, Content::message(canonical, wire)).await?;
    }
    Ok(())
}

async fn integral_levels(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let bob = &room.bob;
    let carol = room.peer.user("carol")?;
    room.peer.join(&room.id, &carol).await?;
    let said = |n: u32| room.peer.draft(&room.id, &carol, "m.room.message", json!({"n": n}));
    let canonical =
        format!("{{\"ban\":50,\"events_default\":50,\"users\":{{\"{bob}\":100}},\"users_default\":50}}");
    let wire = format!(
        "{{\"ban\":50.0,\"events_default\":5e1,\"users\":{{\"{bob}\":1.0e2}},\"users_default\":50.00}}"
    );
    takes(&room, Content::levels(&canonical, &wire)).await?;
    room.accepts(&said(1)).await?;
    let canonical = canonical.replace("\"events_default\":50", "\"events_default\":51");
    let wire = wire.replace("\"events_default\":5e1", "\"events_default\":51.0");
    takes(&room, Content::levels(&canonical, &wire)).await?;
    room.rejects(&said(2), "a message at level 50.00 where 51.0 is needed").await
}

async fn fractions(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let canonical = "{\"a\":0.1,\"b\":1e-7,\"c\":333333333.3333333,\"d\":4.5,\"e\":5e-324,\"f\":1e-27,\"g\":-0.5,\
                     \"h\":0.000001,\"i\":0.002,\"j\":2251799813685249.5,\"k\":1.7976931348623157e-300}";
    let wire = "{\"a\":0.10,\"b\":0.0000001,\"c\":333333333.33333329,\"d\":4.50,\"e\":5e-324,\
                \"f\":0.000000000000000000000000001,\"g\":-5e-1,\"h\":1e-6,\"i\":2E-3,\"j\":2251799813685249.5,\
                \"k\":1.7976931348623157E-300}";
    let sound = room.peer.lpdu(&room.message("sound"))?;
    let written = write(&room, Content::message(canonical, wire))?;
    let texts = [written.text.clone(), sound.to_string()];
    let sent = room.peer.send_text(&texts, &[written.read.clone(), sound.clone()]).await?;
    let refused = |how: &str| {
        Err(Finding::Acceptable { reading: "R07", what: format!("an event with fractions is {how}") })
    };
    if sent.0.status.is_client_error() {
        return refused("refused with its transaction");
    }
    if !sent.expect_processed()?.is_empty() {
        return refused("rejected");
    }
    room.peer.until_echo(&sound).await?;
    if !ctx.events(&room.id).await?.iter().any(|event| lpdu_hash(event) == written.hash) {
        return refused("dropped");
    }
    let pdu = room.peer.until_echo(&written.read).await?;
    check!(
        pdu.get("content") != Some(&json!({})),
        "the hub takes the fractions {canonical} for other numbers"
    );
    takes(&room, Content::message(canonical, wire)).await
}

/// Text for a message's content, and what it is read as, in canonical form, by somebody who does not mind.
const AMBIGUOUS: [(&str, &str, &str); 10] = [
    ("a key twice", "{\"body\":\"one\",\"body\":\"two\"}", "{\"body\":\"two\"}"),
    ("a key twice, of which the first counts", "{\"body\":\"two\",\"body\":\"one\"}", "{\"body\":\"two\"}"),
    ("a key twice with one value", "{\"body\":\"one\",\"body\":\"one\"}", "{\"body\":\"one\"}"),
    ("a key twice, once escaped", "{\"body\":1,\"b\\u006fdy\":2}", "{\"body\":2}"),
    (
        "a key twice, deep inside",
        "{\"in\":[{\"a\":{\"b\":1,\"c\":2,\"b\":3}}]}",
        "{\"in\":[{\"a\":{\"b\":3,\"c\":2}}]}",
    ),
    ("2^53", "{\"n\":9007199254740992}", "{\"n\":9007199254740992}"),
    ("-2^53", "{\"n\":[-9007199254740992]}", "{\"n\":[-9007199254740992]}"),
    ("2^53 with a fraction of zero", "{\"n\":9007199254740992.0}", "{\"n\":9007199254740992}"),
    ("1e300", "{\"n\":1e300}", "{\"n\":1e+300}"),
    ("2^64", "{\"n\":18446744073709551616}", "{\"n\":18446744073709552000}"),
];

async fn ambiguous_json(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let mut tolerated = Tolerated::default();
    for (what, wire, canonical) in AMBIGUOUS {
        let bad = write(&room, Content::message(canonical, wire))?;
        // Most readers take the last of two members with one name.
        let last: Value = serde_json::from_str(wire).map_err(|error| Finding::Suite(error.to_string()))?;
        let read = altered(&bad.read, |read| drop(read.insert("content".to_owned(), last)));
        tolerated.note(is_kept_apart(&room, &bad.text, &read, &format!("an event with {what}")).await)?;
    }
    // The same in the event's own fields.
    let bad = write(&room, Content::message("{}", "{}"))?;
    let mallory = format!("\"sender\":\"{}\",\"sender\":", room.peer.user("mallory")?);
    let text = bad.text.replacen("\"sender\":", &mallory, 1);
    tolerated.note(is_kept_apart(&room, &text, &bad.read, "an event with two senders").await)?;
    tolerated.end()
}

/// Sends an event that readers would disagree on, as text and as most would read it, between two sound ones: it is
/// dropped, and they are taken. A hub may also refuse the three, and takes the two when they come alone.
async fn is_kept_apart(room: &HubRoom<'_>, text: &str, read: &Value, what: &str) -> Result<(), Finding> {
    let (before, after) = (
        room.peer.lpdu(&room.message(&format!("before {what}")))?,
        room.peer.lpdu(&room.message(&format!("after {what}")))?,
    );
    let texts = [before.to_string(), text.to_owned(), after.to_string()];
    let sent = room.peer.send_text(&texts, &[before.clone(), read.clone(), after.clone()]).await?;
    let refused = sent.0.is_refusal();
    if refused {
        room.peer.send(&[before.clone(), after.clone()], &[]).await?.expect_accepted()?;
    } else {
        let failed = sent.expect_processed()?;
        check!(failed.is_empty(), "beside {what} failed_pdus is {}", Value::Object(failed));
    }
    for neighbour in [&before, &after] {
        room.peer.until_echo(neighbour).await?;
    }
    room.is_not_listed(read, what).await?;
    if refused {
        let what = format!("a transaction with {what} is refused");
        return Err(Finding::Acceptable { reading: "R07", what });
    }
    Ok(())
}

async fn impossible_json(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    for (what, wire, canonical) in [
        ("half a surrogate pair", "{\"body\":\"\\ud800\"}", "{\"body\":\"\u{fffd}\"}"),
        (
            "a surrogate pair the wrong way round",
            "{\"body\":\"\\ude00\\ud83d\"}",
            "{\"body\":\"\u{fffd}\u{fffd}\"}",
        ),
        ("half a surrogate pair in a key", "{\"\\udfff\":1}", "{\"\u{fffd}\":1}"),
        ("a number beyond every double", "{\"n\":1e999}", "{\"n\":null}"),
    ] {
        let bad = write(&room, Content::message(canonical, wire))?;
        let sent = room.peer.send_text(from_ref(&bad.text), from_ref(&bad.read)).await?;
        let status = sent.0.status;
        let answered = status.is_success() || status.is_client_error();
        check!(answered, "a transaction with {what} is answered {}", status.as_u16());
        room.is_not_listed(&bad.read, &format!("an event with {what}")).await?;
        room.accepts(&room.message(&format!("the room goes on after {what}"))).await?;
    }
    Ok(())
}
