//! What a client shows of an event.
//!
//! A client that knows the kind shows it as what it is. One that does not takes the best representation that it knows:
//! of MSC1767 a video goes before an audio clip, then an image, a file, a place, and a text is the last resort (MF-01
//! §2). The result depends on nothing but the event and the [`Capabilities`].
//!
//! Texts come out with nothing in them that could reorder what is around them, and HTML only with what Matrix suggests
//! ([`html::sanitise`]).

mod bidi;
pub mod html;
pub mod markdown;
mod mimi;
mod native;

use std::collections::BTreeSet;

use ruma_events::message::TextRepresentation;
use serde_json::Value;

use super::blocks::is_type;
use super::names::{AUDIO_DETAILS, FILE, IMAGE_DETAILS, LOCATION, TEXT, VIDEO_DETAILS};
use super::{Blocks, Content, Kind, PollText, View, view};
use crate::json::Object;

pub use mimi::render_mimi;

/// The media type of Markdown, of whatever variant (RFC 7763).
const MARKDOWN: &str = "text/markdown";

/// What a client can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    kinds: BTreeSet<Kind>,
    mimetypes: BTreeSet<String>,
}

impl Capabilities {
    /// A client that knows every kind, HTML and Markdown.
    #[must_use]
    pub fn all() -> Self {
        Self::of(super::KINDS.iter().map(|facts| facts.kind)).with_mimetype(MARKDOWN)
    }

    /// What every client is expected to know: texts, images, videos and files (MF-01 §2), in either form, and HTML.
    #[must_use]
    pub fn base() -> Self {
        Self::of([
            Kind::Message,
            Kind::Legacy,
            Kind::Image,
            Kind::Video,
            Kind::File,
            Kind::Redaction,
            Kind::Encrypted,
        ])
    }

    /// A client that knows these kinds, and HTML. Plain text is always known.
    #[must_use]
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let mimetypes = ["text/plain", "text/html"].map(str::to_owned).into();
        Self { kinds: kinds.into_iter().collect(), mimetypes }
    }

    /// The same client without a kind.
    #[must_use]
    pub fn without(mut self, kind: Kind) -> Self {
        self.kinds.remove(&kind);
        self
    }

    /// The same client, which reads texts of another media type as well. It gets them as they were written, except
    /// Markdown (`text/markdown`), which it gets as text and HTML.
    #[must_use]
    pub fn with_mimetype(mut self, mimetype: &str) -> Self {
        self.mimetypes.insert(mimetype.to_ascii_lowercase());
        self
    }

    /// The same client, without HTML.
    #[must_use]
    pub fn without_html(mut self) -> Self {
        self.mimetypes.remove("text/html");
        self
    }

    /// Whether it knows the kind.
    #[must_use]
    pub fn knows(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    fn reads(&self, mimetype: &str) -> bool {
        self.mimetypes.iter().any(|known| is_type(mimetype, known))
    }
}

/// How an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shown {
    /// As what it is.
    Native(Kind),
    /// As another kind, of which it has a representation.
    As(Kind),
    /// By its text.
    Text,
    /// Not at all: it has nothing that this client knows, or nothing that is meant to be shown.
    Nothing,
}

/// What a client shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rendering {
    /// As what.
    pub shown: Shown,
    /// As plain text; empty if nothing is shown.
    pub text: String,
    /// As HTML that is safe to show.
    pub html: String,
    /// The media type of the text that was chosen, if one was.
    pub mimetype: Option<String>,
}

impl Rendering {
    fn nothing() -> Self {
        Self { shown: Shown::Nothing, text: String::new(), html: String::new(), mimetype: None }
    }

    /// Plain text, which is its own HTML.
    fn plain(shown: Shown, text: &str) -> Self {
        let text = bidi::neutralise(text);
        let html = html::escape(&text);
        Self { shown, text, html, mimetype: None }
    }
}

/// What a client with `capabilities` shows of an event.
///
/// The content need not match its event type: what cannot be shown as what it is meant to be is shown as something that
/// it is, or by its text.
#[must_use]
pub fn render(event_type: &str, content: &Object, capabilities: &Capabilities) -> Rendering {
    // Depth is judged here, since nothing below goes into a content that is too deep.
    let parsed = Content::parse(event_type, content.clone());
    if matches!(parsed, Err(super::ContentError::TooDeep)) {
        return Rendering::nothing();
    }
    let kind = Kind::of(event_type);
    if let Ok(parsed) = &parsed
        && capabilities.knows(kind)
        && let Some(rendering) = native::render(parsed.view(), content, Shown::Native(kind), capabilities)
    {
        return rendering;
    }
    if kind == Kind::Encrypted && capabilities.knows(kind) {
        // Of another form than ours, for example Megolm's (MF-01 §3).
        return Rendering::plain(Shown::Native(kind), native::UNDECRYPTABLE);
    }
    // A vote, a reaction or a typing notice says nothing to those who do not know them.
    if kind != Kind::Unknown && !kind.is_shown() && kind != Kind::PollEnd {
        return Rendering::nothing();
    }
    representation(kind, content, capabilities)
        .or_else(|| text(content, Shown::Text, capabilities))
        .or_else(|| match parsed.as_ref().map(Content::view) {
            // A poll need not have a text of its own: the question and the answers are one.
            Ok(View::PollStart(start)) => {
                Some(Rendering::plain(Shown::Text, &PollText(&start.poll).to_string()))
            }
            _ => None,
        })
        .unwrap_or_else(Rendering::nothing)
}

/// The best representation of another kind that the client knows, or of its own if nothing but the text is missing.
fn representation(kind: Kind, content: &Object, capabilities: &Capabilities) -> Option<Rendering> {
    let mut content = content.clone();
    let has_text = !matches!(Blocks::read(&content), Ok(None));
    if !has_text {
        content.insert(TEXT.stable.to_owned(), Value::String(String::new()));
    }
    let has = |name: super::names::Name| name.find(&content).is_some();
    let file = has(FILE);
    let candidates = [
        (Kind::PollStart, content.contains_key("m.poll")),
        (Kind::Video, file && has(VIDEO_DETAILS)),
        (Kind::Audio, file && has(AUDIO_DETAILS)),
        (Kind::Image, file && has(IMAGE_DETAILS)),
        (Kind::File, file),
        (Kind::Location, has(LOCATION)),
    ];
    let known = candidates.into_iter().filter(|(other, there)| *there && capabilities.knows(*other));
    known.filter(|(other, _)| *other != kind || !has_text).find_map(|(other, _)| {
        let view = view::read(other, &content).ok()?;
        native::render(&view, &content, Shown::As(other), capabilities)
    })
}

/// By the text: the extensible one, or the older form's.
fn text(content: &Object, shown: Shown, capabilities: &Capabilities) -> Option<Rendering> {
    let rendering = match Blocks::read(content) {
        Ok(Some(blocks)) => blocks_text(&blocks, shown, capabilities),
        _ => None,
    };
    let mut rendering = rendering.or_else(|| older_text(content, shown, capabilities))?;
    if content.contains_key("m.emote") {
        rendering.text.insert_str(0, "* ");
        rendering.html.insert_str(0, "* ");
    }
    Some(rendering)
}

/// The first representation that the client knows, or HTML where the first is plain.
fn blocks_text(blocks: &Blocks, shown: Shown, capabilities: &Capabilities) -> Option<Rendering> {
    let first = blocks.best(|mimetype| capabilities.reads(mimetype))?;
    if is_type(&first.mimetype, MARKDOWN)
        && let Some(rendering) = marked_up(first, shown, capabilities)
    {
        return Some(rendering);
    }
    let html = blocks.html().filter(|_| capabilities.reads("text/html"));
    let plain_or_html = ["text/plain", "text/html"].iter().any(|known| is_type(&first.mimetype, known));
    if let (true, Some(html)) = (plain_or_html, html)
        && let Some(rendering) = rich(html, blocks.plain(), shown)
    {
        return Some(rendering);
    }
    let chosen = if is_type(&first.mimetype, "text/html") { blocks.plain()? } else { first.body.as_str() };
    let mimetype = if is_type(&first.mimetype, "text/html") { "text/plain" } else { first.mimetype.as_str() };
    Some(Rendering { mimetype: Some(mimetype.to_owned()), ..Rendering::plain(shown, chosen) })
}

/// Markdown, if it can be read; its HTML for those who know that.
fn marked_up(source: &TextRepresentation, shown: Shown, capabilities: &Capabilities) -> Option<Rendering> {
    let text = markdown::to_text(&source.body)?;
    let html = match capabilities.reads("text/html") {
        true => markdown::to_html(&source.body)?,
        false => html::escape(&text),
    };
    Some(Rendering { shown, text, html, mimetype: Some(source.mimetype.clone()) })
}

/// `formatted_body` or `body`, without the quotation of a reply.
fn older_text(content: &Object, shown: Shown, capabilities: &Capabilities) -> Option<Rendering> {
    let body = content.get("body").and_then(Value::as_str)?;
    let is_reply = super::Relations::read(content).in_reply_to.is_some();
    let body = if is_reply { without_quotation(body) } else { body };
    let is_html = content.get("format").and_then(Value::as_str) == Some("org.matrix.custom.html");
    let formatted = content.get("formatted_body").and_then(Value::as_str);
    if let Some(formatted) = formatted.filter(|_| is_html && capabilities.reads("text/html"))
        && let Some(rendering) = rich(formatted, Some(body), shown)
    {
        return Some(rendering);
    }
    Some(Rendering { mimetype: Some("text/plain".to_owned()), ..Rendering::plain(shown, body) })
}

/// HTML, if it can be read, beside the sender's plain text or that of the HTML.
fn rich(html: &str, plain: Option<&str>, shown: Shown) -> Option<Rendering> {
    let clean = html::sanitise(html)?;
    let text = match plain {
        Some(plain) => bidi::neutralise(plain),
        None => html::to_text(html)?,
    };
    Some(Rendering { shown, text, html: clean, mimetype: Some("text/html".to_owned()) })
}

/// The lines that a reply of the older form begins with are the message that it answers (Matrix 1.4).
fn without_quotation(body: &str) -> &str {
    let mut rest = body;
    while rest.starts_with("> ") {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    match rest.len() == body.len() {
        true => body,
        false => rest.strip_prefix('\n').unwrap_or(rest),
    }
}

#[cfg(test)]
mod tests;
