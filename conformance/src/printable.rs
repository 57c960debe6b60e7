//! Text out of documents that nobody vouches for, made fit for a terminal.

/// A text in one line, without what a terminal would act on: control characters, line separators, marks that turn the
/// direction of text and others that cannot be seen are written as escapes, as [`char::escape_debug`] writes them. Quotes
/// and backslashes stay: what was quoted before is not quoted twice.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '"' | '\'' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_escaped_and_the_rest_is_not() {
        for (text, shown) in [
            (
                "$abc-_ by @bob:second.example \u{e4}\u{20ac}\u{1f600}",
                "$abc-_ by @bob:second.example \u{e4}\u{20ac}\u{1f600}",
            ),
            ("a\nb\r\t\0", r"a\nb\r\t\0"),
            ("\u{1b}[2J\u{7f}\u{9b}1m", r"\u{1b}[2J\u{7f}\u{9b}1m"),
            ("\u{202e}\u{2066}\u{200f}\u{2028}\u{feff}", r"\u{202e}\u{2066}\u{200f}\u{2028}\u{feff}"),
            (r#"`a` "b" \n 'c'"#, r#"`a` "b" \n 'c'"#),
        ] {
            assert_eq!(printable(text), shown);
        }
        // Once is enough: a second time changes nothing.
        assert_eq!(printable(&printable("\u{1b}\n\u{202e}")), printable("\u{1b}\n\u{202e}"));
    }
}
