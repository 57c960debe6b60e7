//! The lies, by name.

use std::fmt;
use std::str::FromStr;

/// Where a lie is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// As a connection is made. A lie of this kind knows neither the endpoint nor who is asking.
    Connection,
    /// In how a request is answered.
    Answer,
    /// In the events that the server sends, and in those that it gives when it is asked.
    Events,
}

/// Makes the enum with everything that there is to say of its members.
macro_rules! lies {
    ($($lie:ident, $name:literal, $layer:ident, $requirement:literal, $account:literal, $sound:literal;)+) => {
        /// A way to misbehave.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Lie {
            $(#[doc = $account] $lie,)+
        }

        impl Lie {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$lie),+];

            /// Its name, as [`FromStr`] takes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$lie => $name,)+
                }
            }

            /// Where it is told.
            #[must_use]
            pub fn layer(self) -> Layer {
                match self {
                    $(Self::$lie => Layer::$layer,)+
                }
            }

            /// What it does, in a line.
            #[must_use]
            pub fn account(self) -> &'static str {
                match self {
                    $(Self::$lie => $account,)+
                }
            }

            /// What a sound server does, in a line.
            #[must_use]
            pub fn sound(self) -> &'static str {
                match self {
                    $(Self::$lie => $sound,)+
                }
            }

            /// The requirement or reading that says so, by its id in the catalogue.
            #[must_use]
            pub fn requirement(self) -> &'static str {
                match self {
                    $(Self::$lie => $requirement,)+
                }
            }
        }
    };
}

lies! {
    ExpiredCertificate, "expired-certificate", Connection, "LM-04/12.4/25",
        "Shows a certificate that was valid until a year ago.", "does not talk to it";
    SelfSignedCertificate, "self-signed-certificate", Connection, "LM-04/12.4/25",
        "Shows a certificate for the right name that it signed itself.", "does not talk to it";
    UnknownAuthority, "unknown-authority", Connection, "LM-04/12.4/25",
        "Shows a certificate for the right name of an authority that nobody knows.", "does not talk to it";
    OtherName, "other-name", Connection, "LM-04/12.4/25",
        "Shows a good certificate for another host.", "does not talk to it";
    OnlyTls12, "only-tls12", Connection, "R26",
        "Speaks no TLS above 1.2.", "does not talk to it";
    OnlyHttp11, "only-http11", Connection, "R26",
        "Speaks no HTTP above 1.1.", "does not talk to it";
    SilentHandshake, "silent-handshake", Connection, "R52",
        "Takes the connection and says nothing.", "gives up after a time, and holds up nobody else meanwhile";
    Stall, "stall", Answer, "R52",
        "Takes the request and never answers.", "gives up after a time, and holds up nobody else meanwhile";
    StallAfterHead, "stall-after-head", Answer, "R52",
        "Answers with a head, and no body ever follows.", "gives up after a time, and holds up nobody else meanwhile";
    Drip, "drip", Answer, "R52",
        "Gives the body of the answer by a byte a second.", "gives up after a time, and holds up nobody else meanwhile";
    TruncatedBody, "truncated-body", Answer, "R52",
        "Breaks off somewhere in the body of the answer.", "uses nothing of the answer";
    WrongLength, "wrong-length", Answer, "R52",
        "Announces a longer body than it gives.", "uses nothing of the answer";
    EndlessBody, "endless-body", Answer, "R52",
        "Goes on with white space after the answer's JSON and does not end.", "breaks off when there is too much of it";
    EmptyBody, "empty-body", Answer, "R52",
        "Answers 200 with nothing.", "does not take it for an answer";
    NotJson, "not-json", Answer, "R52",
        "Answers 200 with a page in HTML.", "does not take it for an answer";
    BadUtf8, "bad-utf8", Answer, "R52",
        "Puts a byte into the answer's JSON that is not UTF-8.", "does not take it for an answer";
    DuplicateKeys, "duplicate-keys", Answer, "R52",
        "Gives every member of the answer twice, with different values.",
        "does not take what readers would disagree on";
    DeepJson, "deep-json", Answer, "R52",
        "Adds a member to the answer in which arrays are nested 100,000 deep.", "does not take it for an answer";
    GzipBomb, "gzip-bomb", Answer, "R53",
        "Gives the answer compressed by gzip, with 128 MiB of white space in it.",
        "does not unpack what it has not asked for";
    DeflateBomb, "deflate-bomb", Answer, "R53",
        "Gives the answer compressed by deflate, with 128 MiB of white space in it.",
        "does not unpack what it has not asked for";
    HugeHeaders, "huge-headers", Answer, "R52",
        "Answers with 400 KiB of headers.", "does not take it for an answer";
    TooManyRequests, "too-many-requests", Answer, "R52",
        "Answers 429 to everything and for ever.", "waits as it is told, and stops asking some time";
    RedirectLoop, "redirect-loop", Answer, "R52",
        "Redirects every request to itself.", "does not follow it in circles";
    WrongContentType, "wrong-content-type", Answer, "R52",
        "Says that the answer's JSON is HTML.", "takes it for JSON, or for no answer";
    Forge, "forge", Events, "LM-04/5.1/6",
        "Signs events with a key that is not its own, under its own key's id.", "drops them";
    OtherSender, "other-sender", Events, "LM-04/5.1/8",
        "Sends events in the name of a user of the server that it sends them to.", "drops them";
    Tamper, "tamper", Events, "LM-04/5.1/11",
        "Changes the content of events once they are hashed and signed.",
        "lists them without their content, or drops them where the signature covers it";
    Replay, "replay", Events, "LM-04/5.1/3",
        "Sends every event twice, in transactions of their own.", "lists them once";
    Reorder, "reorder", Events, "R13",
        "Sends every event behind the one that follows it.", "lists them in their order, and asks for what is missing";
    Withhold, "withhold", Events, "R13",
        "Neither sends events nor has them when it is asked.", "asks for them, and lists nothing that follows them";
    Equivocate, "equivocate", Events, "R13",
        "Makes two events for each place: the one goes to the first of the room's servers, the other one to all others; to a \
         single server, both. A participant sends two transactions of one id.",
        "lists the first that comes, rejects the other and keeps it as evidence; of two transactions of one id only the \
         first counts";
    OversizeEvent, "oversize-event", Events, "LM-04/3.5/25",
        "Sends events of more than 65,536 bytes.", "drops them";
    OversizeTransaction, "oversize-transaction", Events, "LM-04/12.5.1/4",
        "Sends transactions of 51 events.", "processes nothing of them";
    Flood, "flood", Events, "R52",
        "Sends every transaction sixty times at once, under ids of their own.",
        "lists the events once, and goes on serving others";
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no lie's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no lie: there are {names}", names = Lie::ALL.iter().map(|lie| lie.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownLie(String);

impl FromStr for Lie {
    type Err = UnknownLie;

    fn from_str(text: &str) -> Result<Self, UnknownLie> {
        Self::ALL.iter().copied().find(|lie| lie.name() == text).ok_or_else(|| UnknownLie(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn every_lie_is_found_by_its_name_alone() {
        let names: BTreeSet<&str> = Lie::ALL.iter().map(|lie| lie.name()).collect();
        assert_eq!(names.len(), Lie::ALL.len());
        for lie in Lie::ALL {
            assert_eq!(lie.to_string().parse::<Lie>(), Ok(*lie));
            assert!(lie.account().ends_with('.') && !lie.sound().is_empty(), "{lie}");
        }
        let error = "truth".parse::<Lie>().unwrap_err().to_string();
        assert!(error.contains("truth") && error.contains("gzip-bomb"), "{error}");
    }

    #[test]
    fn the_catalogue_says_what_a_sound_server_does() {
        let catalogue = Catalogue::read().unwrap();
        for lie in Lie::ALL {
            assert!(catalogue.says(lie.requirement()).is_some(), "{lie}: {}", lie.requirement());
        }
    }

    /// The table is generated: a line that is missing is in the message of the failure.
    #[test]
    fn the_chapter_on_hostile_peers_has_every_lie() {
        let page = include_str!("../../../docs/hostile-peers.md");
        let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let line = |lie: &Lie| {
            let layer = match lie.layer() {
                Layer::Connection => "connection",
                Layer::Answer => "answer",
                Layer::Events => "events",
            };
            let (account, sound) = (lie.account().trim_end_matches('.'), lie.sound());
            format!("| `{lie}` | {layer} | {account} | {sound} | {} |", lie.requirement())
        };
        let expected: Vec<String> = Lie::ALL.iter().map(line).collect();
        assert_eq!(lines, expected, "{}", expected.join("\n"));
    }
}
