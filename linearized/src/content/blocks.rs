//! Texts in their forms (MSC1767, reading R54).

use ruma_events::message::{TextContentBlock, TextRepresentation};
use serde_json::{Value, json};

use super::TextFault;
use super::names::{HTML, MESSAGE, Name, TEXT};
use crate::json::Object;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextForm {
    /// `m.text` is an array of representations: MSC1767 as it was accepted.
    Array,
    /// `m.message` is that array: MSC1767 of 2022, which MF-01 refers to.
    Message,
    /// `m.text` and `m.html` are strings: the short form of the same.
    Strings,
}

/// One text in the media types that its sender chose, the best first.
#[derive(Debug, Clone)]
pub struct Blocks {
    form: TextForm,
    text: TextContentBlock,
}

impl Blocks {
    /// Reads the text of a content, or of a part of one, such as a poll's question. `None` if there is none.
    ///
    /// An array `m.text` is taken before anything else, since who writes it knows the newer form. Then comes
    /// `m.message`, beside which strings are ignored, and then the strings, of which HTML is the better. Of each
    /// member the stable name goes before `org.matrix.msc1767.` (reading R54).
    ///
    /// # Errors
    /// [`TextFault`] if the member that counts is malformed.
    pub fn read(content: &Object) -> Result<Option<Self>, TextFault> {
        let text = TEXT.find(content);
        if let Some(Value::Array(elements)) = text {
            return Ok(Some(Self { form: TextForm::Array, text: representations(elements)? }));
        }
        match MESSAGE.find(content) {
            Some(Value::Array(elements)) => {
                return Ok(Some(Self { form: TextForm::Message, text: representations(elements)? }));
            }
            Some(_) => return Err(TextFault::Message),
            None => {}
        }
        let html = string(HTML.find(content), TextFault::Html)?;
        let plain = string(text, TextFault::Text)?;
        if html.is_none() && plain.is_none() {
            return Ok(None);
        }
        let text = html
            .map(TextRepresentation::html)
            .into_iter()
            .chain(plain.map(TextRepresentation::plain))
            .collect();
        Ok(Some(Self { form: TextForm::Strings, text }))
    }

    /// How it was written.
    #[must_use]
    pub fn form(&self) -> TextForm {
        self.form
    }

    /// Every representation, the sender's favourite first.
    #[must_use]
    pub fn representations(&self) -> &[TextRepresentation] {
        &self.text
    }

    /// The first as `text/plain`.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        self.first(|mimetype| is_type(mimetype, "text/plain"))
    }

    /// The first as `text/html`. It is as its sender wrote it: not to be shown before it went through
    /// [`super::html::sanitise`].
    #[must_use]
    pub fn html(&self) -> Option<&str> {
        self.first(|mimetype| is_type(mimetype, "text/html"))
    }

    /// The first of a media type that `known` knows. A multipart type is never asked for.
    pub fn best(&self, known: impl Fn(&str) -> bool) -> Option<&TextRepresentation> {
        self.text.iter().find(|one| !is_multipart(&one.mimetype) && known(&one.mimetype))
    }

    /// As ruma has it.
    #[must_use]
    pub fn as_ruma(&self) -> &TextContentBlock {
        &self.text
    }

    fn first(&self, known: impl Fn(&str) -> bool) -> Option<&str> {
        self.best(known).map(|one| one.body.as_str())
    }

    /// As the array of the accepted proposal.
    #[must_use]
    pub fn to_array(&self) -> Value {
        self.text
            .iter()
            .map(|one| match is_type(&one.mimetype, "text/plain") {
                true => json!({ "body": one.body }),
                false => json!({ "mimetype": one.mimetype, "body": one.body }),
            })
            .collect()
    }
}

/// Whether a media type is `wanted`, whatever its parameters and its case (RFC 6838 §4.2).
pub(super) fn is_type(mimetype: &str, wanted: &str) -> bool {
    let essence = mimetype.split_once(';').map_or(mimetype, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case(wanted)
}

fn is_multipart(mimetype: &str) -> bool {
    mimetype.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
}

/// Puts the text under `name`, as an array, in place of whatever form it has. What is left is what the types of ruma
/// read. `false` if there is no text.
pub(super) fn normalise(content: &mut Object, name: &str) -> Result<bool, TextFault> {
    let Some(blocks) = Blocks::read(content)? else { return Ok(false) };
    for part in [TEXT, HTML, MESSAGE] {
        let Name { stable, unstable } = part;
        content.remove(stable);
        content.remove(unstable);
    }
    content.insert(name.to_owned(), blocks.to_array());
    Ok(true)
}

fn string(value: Option<&Value>, fault: TextFault) -> Result<Option<&str>, TextFault> {
    value.map(|value| value.as_str().ok_or(fault)).transpose()
}

fn representations(elements: &[Value]) -> Result<TextContentBlock, TextFault> {
    elements.iter().enumerate().map(|(index, element)| representation(index, element)).collect()
}

fn representation(index: usize, element: &Value) -> Result<TextRepresentation, TextFault> {
    let object = element.as_object().ok_or(TextFault::Representation(index))?;
    let body = object.get("body").and_then(Value::as_str).ok_or(TextFault::Body(index))?;
    match object.get("mimetype") {
        None => Ok(TextRepresentation::plain(body)),
        Some(Value::String(mimetype)) => Ok(TextRepresentation::new(mimetype, body)),
        Some(_) => Err(TextFault::MimeType(index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: Value) -> Result<Option<Blocks>, TextFault> {
        let Value::Object(content) = content else { panic!("{content}") };
        Blocks::read(&content)
    }

    fn bodies(content: Value) -> (TextForm, Vec<(String, String)>) {
        let blocks = read(content).unwrap().unwrap();
        let all =
            blocks.representations().iter().map(|one| (one.mimetype.clone(), one.body.clone())).collect();
        (blocks.form(), all)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(mimetype, body)| ((*mimetype).to_owned(), (*body).to_owned())).collect()
    }

    #[test]
    fn the_type_of_the_text_tells_the_forms_apart() {
        let strings = json!({"m.text": "a fish", "m.html": "a <b>fish</b>"});
        assert_eq!(
            bodies(strings),
            (TextForm::Strings, pairs(&[("text/html", "a <b>fish</b>"), ("text/plain", "a fish")]))
        );

        let array =
            json!({"m.text": [{"mimetype": "text/html", "body": "<b>x</b>"}, {"body": "x"}], "m.html": "no"});
        assert_eq!(
            bodies(array),
            (TextForm::Array, pairs(&[("text/html", "<b>x</b>"), ("text/plain", "x")]))
        );

        let message =
            json!({"m.message": [{"mimetype": "text/plain", "body": "y"}], "m.text": "no", "m.html": "no"});
        assert_eq!(bodies(message), (TextForm::Message, pairs(&[("text/plain", "y")])));

        let both = json!({"m.message": [{"body": "no"}], "m.text": [{"body": "new"}]});
        assert_eq!(bodies(both), (TextForm::Array, pairs(&[("text/plain", "new")])));
        assert!(read(json!({"body": "old"})).unwrap().is_none());
    }

    #[test]
    fn stable_names_go_before_unstable_ones() {
        let both = json!({"org.matrix.msc1767.text": "old", "m.text": "new"});
        assert_eq!(bodies(both).1, pairs(&[("text/plain", "new")]));
        let unstable = json!({"org.matrix.msc1767.text": [{"body": "old"}]});
        assert_eq!(bodies(unstable), (TextForm::Array, pairs(&[("text/plain", "old")])));
    }

    #[test]
    fn malformed_texts_are_named() {
        for (content, fault) in [
            (json!({"m.text": 3}), TextFault::Text),
            (json!({"m.text": "a", "m.html": null}), TextFault::Html),
            (json!({"m.message": "a"}), TextFault::Message),
            (json!({"m.text": ["a"]}), TextFault::Representation(0)),
            (json!({"m.text": [{"body": "a"}, {"mimetype": "text/html"}]}), TextFault::Body(1)),
            (json!({"m.text": [{"body": "a", "mimetype": 1}]}), TextFault::MimeType(0)),
        ] {
            assert_eq!(read(content).unwrap_err(), fault);
        }
    }

    #[test]
    fn multipart_is_passed_over_and_parameters_do_not_count() {
        let content = json!({"m.text": [
            {"mimetype": "multipart/alternative", "body": "no"},
            {"mimetype": "Text/HTML; charset=utf-8", "body": "<i>yes</i>"},
            {"body": "plain"},
        ]});
        let blocks = read(content).unwrap().unwrap();
        assert_eq!(blocks.html(), Some("<i>yes</i>"));
        assert_eq!(blocks.plain(), Some("plain"));
        assert_eq!(blocks.best(|_| true).unwrap().body, "<i>yes</i>");
    }
}
