//! Wrong statuses and errcodes (LM-04 §12.2 to §12.7).

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::mutant::seen::{remove, set};
use crate::mutant::{Fault, Mutant, mutant};

const FORBIDDEN: &str = "M_FORBIDDEN";
const NOT_FOUND: &str = "M_NOT_FOUND";
const UNRECOGNIZED: &str = "M_UNRECOGNIZED";
const WRONG_SERVER: &str = "M_WRONG_SERVER";
const BAD_JSON: &str = "M_BAD_JSON";
const INCOMPATIBLE: &str = "M_INCOMPATIBLE_ROOM_VERSION";

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.2.1/answers-say-nothing",
        "answers do not say that they are JSON",
        &["LM-04/12.2.1/3"],
        Fault::Answers(|_, answer| {
            if answer.is_ok() {
                answer.headers.remove(header::CONTENT_TYPE);
            }
        }),
    ),
    mutant(
        "12.2.2/errors-are-text",
        "errors say that they are text",
        &["LM-04/12.2.2/3"],
        Fault::Answers(|_, answer| {
            if !answer.is_ok() {
                answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            }
        }),
    ),
    mutant(
        "12.2.2/no-errcode",
        "errors have no errcode",
        &["LM-04/12.2.2/4"],
        Fault::Answers(|_, answer| {
            if !answer.is_ok() {
                answer.edit(|value| remove(value, "errcode"));
            }
        }),
    ),
    mutant(
        "12.2.2/error-is-no-string",
        "what is wrong is told as an object",
        &["LM-04/12.2.2/4"],
        Fault::Answers(|_, answer| {
            if !answer.is_ok() {
                answer.edit(|value| set(value, "error", json!({"en": "no"})));
            }
        }),
    ),
    mutant(
        "12.2.2/errors-are-no-json",
        "errors are plain text",
        &["LM-04/12.2.2/4"],
        Fault::Answers(|_, answer| {
            if !answer.is_ok() {
                answer.body = "no".into();
                answer.headers.remove(header::CONTENT_LENGTH);
            }
        }),
    ),
    mutant(
        "12.2.2/large-is-malformed",
        "what is too large is called malformed",
        &["LM-04/12.2.2/5"],
        Fault::Answers(|_, answer| {
            answer.instead((413, "M_TOO_LARGE"), (400, BAD_JSON));
        }),
    ),
    mutant(
        "12.2.3/unknown-path-is-not-found",
        "an unknown path is answered M_NOT_FOUND",
        &["LM-04/12.2.3/1"],
        Fault::Answers(|_, answer| {
            answer.instead((404, UNRECOGNIZED), (404, NOT_FOUND));
        }),
    ),
    mutant(
        "12.2.3/unknown-path-is-malformed",
        "an unknown path is answered 400",
        &["LM-04/12.2.3/1"],
        Fault::Answers(|_, answer| {
            answer.instead((404, UNRECOGNIZED), (400, UNRECOGNIZED));
        }),
    ),
    mutant(
        "12.2.3/wrong-method-is-unknown",
        "a wrong method is answered 404",
        &["LM-04/12.2.3/2"],
        Fault::Answers(|_, answer| {
            answer.instead((405, UNRECOGNIZED), (404, UNRECOGNIZED));
        }),
    ),
    mutant(
        "12.2.4/no-json-is-malformed",
        "a body that is not JSON is answered M_BAD_JSON",
        &["LM-04/12.2.4/1"],
        Fault::Answers(|_, answer| {
            answer.instead((400, "M_NOT_JSON"), (400, BAD_JSON));
        }),
    ),
    mutant(
        "12.2.4/malformed-is-no-json",
        "malformed JSON is answered M_NOT_JSON",
        &["LM-04/12.2.4/2"],
        Fault::Answers(|_, answer| {
            answer.instead((400, BAD_JSON), (400, "M_NOT_JSON"));
        }),
    ),
    mutant(
        "12.2.4/malformed-is-a-failure",
        "malformed JSON is answered 500",
        &["LM-04/12.2.4/2", "LM-04/12.2.2/1"],
        Fault::Answers(|_, answer| {
            answer.instead((400, BAD_JSON), (500, "M_UNKNOWN"));
        }),
    ),
    mutant(
        "12.4/refused-with-403",
        "a request that does not authenticate is answered 403",
        &["LM-04/12.4/23"],
        Fault::Answers(|_, answer| {
            answer.instead((401, FORBIDDEN), (403, FORBIDDEN));
        }),
    ),
    mutant(
        "12.4/refused-with-unauthorized",
        "a request that does not authenticate is answered M_UNAUTHORIZED",
        &["LM-04/12.4/23"],
        Fault::Answers(|_, answer| {
            answer.instead((401, FORBIDDEN), (401, "M_UNAUTHORIZED"));
        }),
    ),
    mutant(
        "12.5.1/busy-is-a-limit",
        "a second transaction at the same time is answered 429",
        &["LM-04/12.5.1/16"],
        Fault::Answers(|_, answer| {
            answer.instead((400, "M_BAD_STATE"), (429, "M_LIMIT_EXCEEDED"));
        }),
    ),
    mutant(
        "12.6/hidden-is-forbidden",
        "what a server may not see is answered 403",
        &[
            "LM-04/12.6.1/3",
            "LM-04/12.6.2/4",
            "LM-04/12.6.3/3",
            "LM-04/12.6.4/7",
            "LM-04/12.6.2/5",
            "LM-04/12.6.2/6",
            "LM-04/12.6.4/8",
            "LM-04/12.6.4/9",
        ],
        Fault::Answers(|asked, answer| {
            if asked.is(&["event", "state", "state_ids", "backfill"]) {
                answer.instead((404, NOT_FOUND), (403, FORBIDDEN));
            }
        }),
    ),
    mutant(
        "12.6.2/wrong-server-is-not-found",
        "a participant that is asked for state answers 404",
        &["LM-04/12.6.2/10", "LM-04/12.6.3/4"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["state", "state_ids"]) {
                answer.instead((400, WRONG_SERVER), (404, NOT_FOUND));
            }
        }),
    ),
    mutant(
        "12.7.1/unknown-room-is-forbidden",
        "a template for an unknown room is answered 403",
        &["LM-04/12.7.3.1/5", "LM-04/12.7.2.2.1/5", "LM-04/12.7.4.1/5"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["make_join", "make_leave", "make_knock"]) {
                answer.instead((404, NOT_FOUND), (403, FORBIDDEN));
            }
        }),
    ),
    mutant(
        "12.7.1/wrong-server-is-not-found",
        "a participant that is asked for a template answers 404",
        &["LM-04/12.7.3.1/4", "LM-04/12.7.2.2.1/4", "LM-04/12.7.4.1/4"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["make_join", "make_leave", "make_knock"]) {
                answer.instead((400, WRONG_SERVER), (404, NOT_FOUND));
            }
        }),
    ),
    mutant(
        "12.7.1/sent-to-unknown-room",
        "a membership change in an unknown room is answered 400",
        &["LM-04/12.7.3.2/5", "LM-04/12.7.2.2.2/3", "LM-04/12.7.4.2/3"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join", "send_leave", "send_knock"]) {
                answer.instead((404, NOT_FOUND), (400, BAD_JSON));
            }
        }),
    ),
    mutant(
        "12.7.1/sent-to-wrong-server",
        "a membership change that is sent to a participant is answered 403",
        &["LM-04/12.7.3.2/5", "LM-04/12.7.2.2.2/3", "LM-04/12.7.4.2/3"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join", "send_leave", "send_knock"]) {
                answer.instead((400, WRONG_SERVER), (403, FORBIDDEN));
            }
        }),
    ),
    mutant(
        "12.7.1/template-refused-with-400",
        "who may not have a template is answered 400",
        &["LM-04/12.7.3.1/6", "LM-04/12.7.2.2.1/6", "LM-04/12.7.4.1/6"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["make_join", "make_leave", "make_knock"]) {
                answer.instead((403, FORBIDDEN), (400, BAD_JSON));
            }
        }),
    ),
    mutant(
        "12.7.1/template-for-everybody",
        "a template is for who may not change the membership too",
        &["LM-04/12.7.1/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["make_join", "make_leave", "make_knock"]) && answer.status == StatusCode::FORBIDDEN
            {
                answer.status = StatusCode::OK;
                answer.set(&json!({"event": {}, "room_version": "I.1"}));
            }
        }),
    ),
    mutant(
        "12.7.1/sending-refused-with-400",
        "a membership change that is not allowed is answered 400",
        &["LM-04/12.7.3.2/5", "LM-04/12.7.2.2.2/3", "LM-04/12.7.4.2/3"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join", "send_leave", "send_knock"]) {
                answer.instead((403, FORBIDDEN), (400, BAD_JSON));
            }
        }),
    ),
    mutant(
        "12.7.1/refusal-not-told",
        "a membership change that is not allowed is answered 200",
        &["LM-04/12.7.1/4"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send_join", "send_leave", "send_knock"]) && answer.status == StatusCode::FORBIDDEN
            {
                answer.status = StatusCode::OK;
                answer.set(&json!({}));
            }
        }),
    ),
    mutant(
        "12.7.3.1/incompatible-is-forbidden",
        "who does not support the room's version is answered 403",
        &["LM-04/12.7.3.1/7", "LM-04/12.7.4.1/7"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["make_join", "make_knock"]) {
                answer.instead((400, INCOMPATIBLE), (403, FORBIDDEN));
            }
        }),
    ),
    mutant(
        "12.7.2.1/incompatible-is-malformed",
        "an invite to a room of an unknown version is answered M_BAD_JSON",
        &["LM-04/12.7.2.1/15"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["invite"]) {
                answer.instead((400, INCOMPATIBLE), (400, BAD_JSON));
            }
        }),
    ),
    mutant(
        "12.7.2.1/refused-with-400",
        "an invite that is not allowed is answered 400",
        &["LM-04/12.7.2.1/8"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["invite"]) {
                answer.instead((403, FORBIDDEN), (400, BAD_JSON));
            }
        }),
    ),
    mutant(
        "12.7.2.1/refusal-is-its-own",
        "the refusal of the invited user's server is told as a failure of the hub's",
        &["LM-04/12.7.2.1/14"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["invite"]) && answer.status.is_client_error() {
                answer.status = StatusCode::INTERNAL_SERVER_ERROR;
                answer.edit(|value| set(value, "errcode", Value::from("M_UNKNOWN")));
            }
        }),
    ),
    mutant(
        "12.10.1.1/unknown-device-is-empty",
        "an unknown device is an empty object",
        &["LM-04/12.10.1.1/3", "LM-04/12.10.1.1/4"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["device"]) && answer.status == StatusCode::NOT_FOUND {
                answer.status = StatusCode::OK;
                answer.set(&json!({}));
            }
        }),
    ),
    mutant(
        "12.2.1/no-final-paths",
        "endpoints are under their unstable paths alone",
        &["R24"],
        Fault::Answers(|asked, answer| {
            if asked.target.starts_with("/_matrix/federation/v1/user/") && asked.is(&["device"]) {
                answer.status = StatusCode::NOT_FOUND;
                answer.set(&json!({"errcode": NOT_FOUND, "error": "unknown"}));
            }
        }),
    ),
    mutant(
        "12.2.1/no-unstable-paths",
        "endpoints are not under their unstable paths",
        &["R24"],
        Fault::Answers(|asked, answer| {
            if asked.target.contains("/unstable/org.matrix.i-d.") {
                answer.status = StatusCode::NOT_FOUND;
                answer.set(&json!({"errcode": UNRECOGNIZED, "error": "unknown"}));
            }
        }),
    ),
];
