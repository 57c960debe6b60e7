//! One request and its answer.

use maud::{Markup, html};
use serde_json::Value;

use super::super::Evidence;
use super::super::events::Part;
use super::{Page, curl, lines};

/// How much of one body is shown, in bytes.
const SHOWN_BODY: usize = 24 * 1024;

/// In one line.
pub(super) fn line(evidence: &Evidence) -> Markup {
    let exchange = &evidence.kept.exchange;
    html! {
        span.between { (lines(&exchange.between)) } " "
        code { (exchange.method) " " (lines(&path(&exchange.url))) } " "
        span.code { (status(evidence)) }
        @if evidence.kept.times > 1 { span.times { " ×" (evidence.kept.times) } }
    }
}

/// What follows the authority of a URL.
pub(super) fn path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/").to_owned()
}

/// The answer's status with its errcode.
pub(super) fn status(evidence: &Evidence) -> String {
    let exchange = &evidence.kept.exchange;
    let errcode = exchange.answer.get("errcode").and_then(Value::as_str);
    match (exchange.status, errcode) {
        (None, _) => "no answer".to_owned(),
        (Some(status), None) => status.to_string(),
        (Some(status), Some(errcode)) => {
            format!("{status} {}", lines(&errcode.chars().take(40).collect::<String>()))
        }
    }
}

/// All of it.
pub(super) fn whole(page: &Page<'_>, evidence: &Evidence, name: &str) -> Markup {
    let (kept, exchange) = (&evidence.kept, &evidence.kept.exchange);
    html! {
        div.whole {
            p.between { (lines(&exchange.between)) ", " (kept.at_ms) " ms after the case began"
                @if kept.times > 1 { ", " (kept.times) " times with the same answer" }
            }
            div.sides {
                div.side {
                    h5 { "Request" }
                    p.start { code { strong { (exchange.method) } " " (lines(&exchange.url)) } }
                    (headers(&exchange.headers, "the request"))
                    (body(page, &exchange.body, "Body of the request"))
                    @if kept.details.body_base64.is_some() {
                        p.hint { "The bytes differ from this form of it; the JSON report and a bundle have them." }
                    }
                }
                div.side {
                    h5 { "Answer" }
                    p.start { code { strong { (status(evidence)) } } }
                    (headers(&kept.details.answer_headers, "the answer"))
                    (body(page, &exchange.answer, "Body of the answer"))
                }
            }
            (ids(evidence))
            @if curl::is_possible(&exchange.url) {
                details.curl {
                    summary { "As curl" }
                    pre id={ "curl-" (name) } tabindex="0" aria-label="The request as a curl command" { (curl::command(kept)) }
                    button type="button" data-copy={ "curl-" (name) } { "Copy as curl" }
                }
            }
        }
    }
}

fn headers(headers: &[(String, String)], of: &str) -> Markup {
    html! {
        @if !headers.is_empty() {
            details.headers {
                summary { (headers.len()) @if headers.len() == 1 { " header of " } @else { " headers of " } (of) }
                dl { @for (name, value) in headers { dt { (lines(name)) } dd { (lines(value)) } } }
            }
        }
    }
}

fn body(page: &Page<'_>, body: &Value, label: &str) -> Markup {
    let text = match body {
        Value::Null => return html! { p.hint { "no body" } },
        Value::String(text) => text.clone(),
        json => serde_json::to_string_pretty(json).unwrap_or_default(),
    };
    let allowed = SHOWN_BODY.min(page.left.get());
    let end = text.floor_char_boundary(allowed);
    let shown = text.get(..end).unwrap_or_default();
    page.left.set(page.left.get().saturating_sub(shown.len()));
    html! {
        pre.body tabindex="0" role="region" aria-label=(label) { (lines(shown)) }
        @if shown.len() < text.len() {
            p.hint { (text.len().saturating_sub(shown.len())) " bytes more, which the JSON report has." }
        }
    }
}

/// The events in the exchange by both sides' ids.
fn ids(evidence: &Evidence) -> Markup {
    if evidence.events.is_empty() && evidence.named.is_empty() {
        return html! {};
    }
    let computed = |id: &String| evidence.events.iter().any(|event| event.id == *id);
    html! {
        table.ids {
            caption { "Events" }
            thead { tr { th scope="col" { "event" } th scope="col" { "where" } th scope="col" { "id, as the suite computes it" }
                th scope="col" { "in the answer" } } }
            tbody {
                @for event in &evidence.events {
                    tr {
                        td data-label="event" { code { (lines(&event.kind)) } }
                        td data-label="where" { (match event.part { Part::Request => "request", Part::Answer => "answer" })
                            " " code { (lines(&event.at)) } }
                        td data-label="id" { code.id { (event.id) } }
                        td data-label="in the answer" { @if evidence.named.contains(&event.id) { "the same id" } @else { "not named" } }
                    }
                }
                @for id in evidence.named.iter().filter(|id| !computed(id)) {
                    tr {
                        td data-label="event" { "not in this exchange" }
                        td data-label="where" { "answer" }
                        td data-label="id" { "–" }
                        td data-label="in the answer" { code.id { (lines(id)) } }
                    }
                }
            }
        }
    }
}
