//! Characters that make a text look like another one.
//!
//! What reorders text beyond its own end (Unicode Standard Annex #9) could turn a sender's name, or a client's own words
//! after a message, into something that nobody wrote. Of a text, overrides and embeddings are taken out, and isolates,
//! which languages written from right to left need and which have an end, are closed in the line they were opened in. Of
//! a name all of them are taken out. Control characters that are neither tab nor line feed go as well. The marks that
//! only say of their place which way to go (U+200E, U+200F, U+061C) stay.

/// A text with nothing in it that reaches beyond a line.
pub(super) fn neutralise(text: &str) -> String {
    let mut neutral = String::with_capacity(text.len());
    let mut open: usize = 0;
    for c in text.chars() {
        match c {
            '\u{2066}'..='\u{2068}' => open = open.saturating_add(1),
            '\u{2069}' if open == 0 => continue,
            '\u{2069}' => open = open.saturating_sub(1),
            '\n' | '\u{2028}' | '\u{2029}' => close(&mut neutral, &mut open),
            c if is_removed(c) => continue,
            _ => {}
        }
        neutral.push(c);
    }
    close(&mut neutral, &mut open);
    neutral
}

/// A name or another short text, in one line, with none of these characters.
pub(super) fn name(text: &str) -> String {
    let kept = text.chars().filter(|c| !is_removed(*c) && !matches!(c, '\u{2066}'..='\u{2069}'));
    kept.map(|c| if matches!(c, '\n' | '\t' | '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

fn close(text: &mut String, open: &mut usize) {
    for _ in 0..std::mem::take(open) {
        text.push('\u{2069}');
    }
}

fn is_removed(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}') || (c.is_control() && !matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn overrides_go_and_isolates_end_with_their_line() {
        assert_eq!(neutralise("invoice\u{202e}fdp.exe"), "invoicefdp.exe");
        assert_eq!(neutralise("a\u{2067}b\nc\u{2069}d"), "a\u{2067}b\u{2069}\ncd");
        assert_eq!(neutralise("\u{2066}\u{2067}x\u{2069}"), "\u{2066}\u{2067}x\u{2069}\u{2069}");
        assert_eq!(neutralise("\u{200f}שלום\u{200e} a\u{0}\u{1b}[31m\tb"), "\u{200f}שלום\u{200e} a[31m\tb");
        assert_eq!(name("in\u{2067}voice\u{202e}\nfdp.exe\u{2069}"), "invoice fdp.exe");
    }

    proptest! {
        /// In each line, every isolate that begins ends, and nothing ends that did not begin.
        #[test]
        fn lines_are_balanced(text in "[a\u{2066}-\u{2069}\u{202a}-\u{202e}\n]{0,40}") {
            for line in neutralise(&text).lines() {
                let depth = line.chars().try_fold(0_i32, |depth, c| match c {
                    '\u{2066}'..='\u{2068}' => Some(depth + 1),
                    '\u{2069}' => (depth > 0).then_some(depth - 1),
                    '\u{202a}'..='\u{202e}' => None,
                    _ => Some(depth),
                });
                prop_assert_eq!(depth, Some(0));
            }
            prop_assert_eq!(neutralise(&neutralise(&text)), neutralise(&text));
        }
    }
}
