//! Names that a member has before and after its proposal became part of the specification.
//!
//! Both are read, and the stable one first: a sender that writes both means them for old and new readers alike.

use serde_json::Value;

use crate::json::Object;

/// A member's names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    /// As in the specification, or as it would be there.
    pub(super) stable: &'static str,
    /// As in the proposal.
    pub(super) unstable: &'static str,
}

/// `m.NAME` and `org.matrix.msc1767.NAME`.
macro_rules! block {
    ($constant:ident, $name:literal) => {
        pub(super) const $constant: Name =
            Name { stable: concat!("m.", $name), unstable: concat!("org.matrix.msc1767.", $name) };
    };
}

block!(TEXT, "text");
block!(HTML, "html");
block!(MESSAGE, "message");
block!(FILE, "file");
block!(CAPTION, "caption");
block!(ALT_TEXT, "alt_text");
block!(THUMBNAIL, "thumbnail");
block!(IMAGE_DETAILS, "image_details");
block!(AUDIO_DETAILS, "audio_details");
block!(VIDEO_DETAILS, "video_details");
block!(STICKER, "sticker");
block!(AUTOMATED, "automated");
pub(super) const WAVEFORM: Name = Name { stable: "m.waveform", unstable: "org.matrix.msc3246.waveform" };
pub(super) const LOCATION: Name = Name { stable: "m.location", unstable: "org.matrix.msc3488.location" };
pub(super) const ASSET: Name = Name { stable: "m.asset", unstable: "org.matrix.msc3488.asset" };
pub(super) const TS: Name = Name { stable: "m.ts", unstable: "org.matrix.msc3488.ts" };

impl Name {
    /// The member, by its stable name if it has both.
    pub(super) fn find<'o>(&self, object: &'o Object) -> Option<&'o Value> {
        object.get(self.stable).or_else(|| object.get(self.unstable))
    }

    /// Takes the member out, under both names.
    pub(super) fn take(&self, object: &mut Object) -> Option<Value> {
        let unstable = object.remove(self.unstable);
        object.remove(self.stable).or(unstable)
    }

    /// Gives the member its stable name.
    pub(super) fn to_stable(self, object: &mut Object) {
        if let Some(value) = self.take(object) {
            object.insert(self.stable.to_owned(), value);
        }
    }

    /// Gives the member its unstable name, which is the only one that the types of ruma know for some.
    pub(super) fn to_unstable(self, object: &mut Object) {
        if let Some(value) = self.take(object) {
            object.insert(self.unstable.to_owned(), value);
        }
    }
}
