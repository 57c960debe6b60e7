//! Reactions: `m.reaction` (Matrix 1.7), with images as MSC4027 has them.

use ruma_common::{MxcUri, OwnedMxcUri};
use ruma_events::reaction::ReactionEventContent;
use serde_json::Value;

use super::need_relation;
use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

/// A reaction to another event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Reaction {
    /// As ruma has it: the event, and the key that reactions are counted by.
    pub content: ReactionEventContent,
    /// What to show.
    pub mark: Mark,
}

/// What a reaction shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mark {
    /// An emoji: a key without letters and digits.
    Emoji(String),
    /// A text.
    Text(String),
    /// An image.
    Image {
        /// Where it is.
        uri: OwnedMxcUri,
        /// What to show in its place, such as `:parrot:`.
        shortcode: Option<String>,
    },
}

pub(in crate::content) fn read(content: &Object) -> Result<Box<Reaction>, ContentError> {
    let kind = Kind::Reaction;
    need_relation(kind, content, "m.annotation")?;
    let reaction: Box<ReactionEventContent> = schema(kind, content)?;
    let key = reaction.relates_to.key.as_str();
    if key.trim().is_empty() {
        return Err(ContentError::Rule { kind, field: "key", rule: "shows nothing" });
    }
    let mark = if <&MxcUri>::from(key).is_valid() {
        let shortcode =
            ["shortcode", "com.beeper.reaction.shortcode"].iter().find_map(|name| content.get(*name));
        Mark::Image { uri: key.into(), shortcode: shortcode.and_then(Value::as_str).map(str::to_owned) }
    } else if is_emoji(key) {
        Mark::Emoji(key.to_owned())
    } else {
        Mark::Text(key.to_owned())
    };
    Ok(Box::new(Reaction { content: *reaction, mark }))
}

/// Digits count as part of an emoji if they stand in a keycap.
fn is_emoji(key: &str) -> bool {
    let keycap = key.contains('\u{20e3}');
    !key.is_ascii() && key.chars().all(|c| !c.is_alphanumeric() || (keycap && c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mark(content: Value) -> Result<Mark, ContentError> {
        let Value::Object(content) = content else { panic!("{content}") };
        read(&content).map(|reaction| reaction.mark)
    }

    fn relates_to(key: &str) -> Value {
        json!({"rel_type": "m.annotation", "event_id": "$a", "key": key})
    }

    #[test]
    fn a_mark_is_an_emoji_a_text_or_an_image() {
        for emoji in ["👍", "👩‍👩‍👧", "3️⃣", "❤️"] {
            assert_eq!(
                mark(json!({"m.relates_to": relates_to(emoji)})).unwrap(),
                Mark::Emoji(emoji.to_owned())
            );
        }
        for text in ["+1", "oui", "да", ":-)"] {
            assert_eq!(mark(json!({"m.relates_to": relates_to(text)})).unwrap(), Mark::Text(text.to_owned()));
        }
        let image = json!({"m.relates_to": relates_to("mxc://a.example/x"), "shortcode": ":x:"});
        let expected = Mark::Image { uri: "mxc://a.example/x".into(), shortcode: Some(":x:".to_owned()) };
        assert_eq!(mark(image).unwrap(), expected);
        assert_eq!(
            mark(json!({"m.relates_to": relates_to("mxc://")})).unwrap(),
            Mark::Text("mxc://".to_owned())
        );
    }

    #[test]
    fn a_reaction_is_an_annotation_that_shows_something() {
        assert!(mark(json!({"m.relates_to": relates_to(" ")})).is_err());
        assert!(
            mark(json!({"m.relates_to": {"rel_type": "m.thread", "event_id": "$a", "key": "x"}})).is_err()
        );
        assert!(mark(json!({})).is_err());
    }
}
