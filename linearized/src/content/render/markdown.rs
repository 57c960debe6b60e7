//! Markdown, as MIMI content has it: `GFM-MIMI` (draft-ietf-mimi-content-08 §7.1.1).
//!
//! That is GitHub's Markdown with tables, lists of tasks and text that is struck through, without autolinks of bare
//! addresses, and without HTML: what looks like a tag is text. A text of whatever variant is read like that (reading
//! R62). What comes out goes through [`super::html::sanitise`] like anybody's HTML: of addresses that Matrix does not
//! know, such as those of people that MIMI's mentions lead to, the words stay.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::html;

/// How often [`without_html`] looks again: what is no tag any more can make one of what was behind it.
const ROUNDS: usize = 4;

fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// Markdown as HTML that is safe to show. `None` if it would have more than [`html::MAX_TAGS`] tags.
#[must_use]
pub fn to_html(markdown: &str) -> Option<String> {
    html::sanitise(&converted(markdown)?)
}

/// Markdown as plain text, by the rules of [`html::to_text`]. `None` as for [`to_html`].
#[must_use]
pub fn to_text(markdown: &str) -> Option<String> {
    html::to_text(&converted(markdown)?)
}

/// HTML as it comes, with what would be a tag of the sender's as text.
fn converted(markdown: &str) -> Option<String> {
    let mut events = Vec::new();
    let mut tags: usize = 0;
    for event in Parser::new_ext(markdown, options()) {
        let event = match event {
            Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
            Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
            Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
            Event::TaskListMarker(true) => Event::Text("[x] ".into()),
            Event::TaskListMarker(false) => Event::Text("[ ] ".into()),
            other => other,
        };
        if matches!(event, Event::Start(_) | Event::Code(_) | Event::HardBreak | Event::Rule) {
            tags = tags.saturating_add(1);
        }
        if tags > html::MAX_TAGS {
            return None;
        }
        events.push(event);
    }
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events.into_iter());
    Some(html)
}

/// Markdown with nothing in it that is HTML, as a sender has to write it: the angle bracket that a tag begins with is
/// `&lt;`. What it looks like stays.
#[must_use]
pub fn without_html(markdown: &str) -> String {
    let mut markdown = markdown.to_owned();
    for _ in 0..ROUNDS {
        let tags: Vec<_> = Parser::new_ext(&markdown, options())
            .into_offset_iter()
            .filter(|(event, _)| matches!(event, Event::Html(_) | Event::InlineHtml(_)))
            .map(|(_, range)| range)
            .collect();
        if tags.is_empty() {
            return markdown;
        }
        let mut escaped = String::with_capacity(markdown.len());
        let mut done = 0;
        for range in tags {
            escaped.push_str(markdown.get(done..range.start).unwrap_or_default());
            escaped.push_str(&markdown.get(range.clone()).unwrap_or_default().replace('<', "&lt;"));
            done = range.end;
        }
        escaped.push_str(markdown.get(done..).unwrap_or_default());
        markdown = escaped;
    }
    markdown.replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(markdown: &str) -> (String, String) {
        (to_html(markdown).unwrap(), to_text(markdown).unwrap())
    }

    #[test]
    fn markdown_is_shown() {
        for (markdown, html, text) in [
            ("a *b* **c** __d__", "<p>a <em>b</em> <strong>c</strong> <strong>d</strong></p>\n", "a b c d"),
            ("# Welcome!", "<h1>Welcome!</h1>\n", "Welcome!"),
            ("1. a\n2. b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n", "1. a\n2. b"),
            ("> q\n\na", "<blockquote>\n<p>q</p>\n</blockquote>\n<p>a</p>\n", "> q\na"),
            (
                "```rust\nlet a = 1 < 2;\n```",
                "<pre><code class=\"language-rust\">let a = 1 &lt; 2;\n</code></pre>\n",
                "let a = 1 < 2;",
            ),
            ("a  \nb\nc", "<p>a<br>\nb\nc</p>\n", "a\nb c"),
            ("`x`", "<p><code>x</code></p>\n", "x"),
        ] {
            assert_eq!(both(markdown), (html.to_owned(), text.to_owned()), "{markdown}");
        }
    }

    #[test]
    fn the_extensions_are_those_of_gfm_mimi() {
        let (html, text) = both("- [x] done\n- [ ] ~~never~~");
        assert_eq!(html, "<ul>\n<li>[x] done</li>\n<li>[ ] <del>never</del></li>\n</ul>\n");
        assert_eq!(text, "- [x] done\n- [ ] never");
        let (html, text) = both("|a|b|\n|-|-|\n|1|2|");
        assert!(html.contains("<table>") && html.contains("<th>a</th>") && html.contains("<td>2</td>"));
        assert_eq!(text, "a b\n1 2");
        // Neither autolinks of bare addresses, nor footnotes, nor formulas.
        for source in ["www.example.org", "https://example.org", "a[^1]\n\n[^1]: b", "$a$", "# a {#b}"] {
            let (html, _) = both(source);
            assert!(
                !html.contains("<a") && !html.contains("<sup") && !html.contains("<span"),
                "{source}: {html}"
            );
        }
    }

    #[test]
    fn html_in_markdown_is_shown_as_text() {
        for (markdown, html, text) in [
            ("a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>\n", "a <b>c</b>"),
            ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>\n", "<script>x</script>"),
            ("<!-- c -->", "<p>&lt;!-- c --&gt;</p>\n", "<!-- c -->"),
            ("a <?p?> b", "<p>a &lt;?p?&gt; b</p>\n", "a <?p?> b"),
            ("a <![CDATA[b]]>", "<p>a &lt;![CDATA[b]]&gt;</p>\n", "a <![CDATA[b]]>"),
            ("&lt;b>", "<p>&lt;b&gt;</p>\n", "<b>"),
        ] {
            assert_eq!(both(markdown), (html.to_owned(), text.to_owned()), "{markdown}");
            // What a sender writes instead looks the same.
            assert_eq!(both(&without_html(markdown)), (html.to_owned(), text.to_owned()), "{markdown}");
        }
        assert_eq!(
            without_html("a <b>c</b> 1 < 2 `<i>` <https://a>"),
            "a &lt;b>c&lt;/b> 1 < 2 `<i>` <https://a>"
        );
    }

    #[test]
    fn links_and_images_lead_where_they_may() {
        for (markdown, html) in [
            ("[a](https://example.org/)", "<p><a href=\"https://example.org/\">a</a></p>\n"),
            ("<https://example.org/>", "<p><a href=\"https://example.org/\">https://example.org/</a></p>\n"),
            ("[a](javascript:alert(1))", "<p>a</p>\n"),
            ("[@Alice](mimi://example.com/u/alice)", "<p>@Alice</p>\n"),
            ("![a](mxc://example.org/b)", "<p><img alt=\"a\" src=\"mxc://example.org/b\"></p>\n"),
            ("![a](https://example.org/track)", "<p><img alt=\"a\"></p>\n"),
            (
                "[a](https://example.org \"x\\\" onclick=y\")",
                "<p><a href=\"https://example.org\">a</a></p>\n",
            ),
        ] {
            assert_eq!(to_html(markdown).unwrap(), html, "{markdown}");
        }
    }

    /// What costs a reader most, as large as an event.
    #[test]
    fn large_markdown_is_read_or_refused() {
        let size = 65_000;
        let table = format!("{}|\n{}|\n{}", "|a".repeat(5_000), "|-".repeat(5_000), "|\n".repeat(20_000));
        let deep: String = (0..300).map(|depth| format!("{}- a\n", "  ".repeat(depth % 100))).collect();
        let mut large = vec![table, deep];
        for unit in [
            "a",
            "*",
            "**a",
            "_a ",
            "[",
            "[a](",
            "![",
            "`",
            "> ",
            "- ",
            "1. ",
            "<a",
            "<!--",
            "<a>",
            "&amp;",
            "\\",
            "~~a",
            "|",
            "\n",
            "[a]: b\n",
            "# a\n",
            "\u{202e}",
            "<![CDATA[",
            "- [ ] a\n",
            "***\n",
            "    a\n",
            "```\n",
            "a  \n",
        ] {
            large.push(unit.repeat(size / unit.len()));
        }
        for markdown in large {
            let shown = (to_html(&markdown), to_text(&markdown));
            assert_eq!(shown.0.is_some(), shown.1.is_some());
            let written = without_html(&markdown);
            assert!(written.len() <= markdown.len() * 4);
        }
        assert!(to_html(&"*a* ".repeat(html::MAX_TAGS - 1)).is_some());
        assert!(to_html(&"*a* ".repeat(html::MAX_TAGS)).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// No tag is the sender's, and what is written has none.
        #[test]
        fn there_is_no_html(parts in proptest::collection::vec(proptest::sample::select(vec![
            "<b>", "</b>", "<script>", "<!--", "-->", "<?", "?>", "<![CDATA[", "]]>", "<!X", "<a href='", "'>", "\n", "\n\n",
            "```\n", "`", "- ", "> ", "    ", "*", "text", "<", ">", "&lt;", "\\", "[x](", ")", "<style>", "<pre>", "|a|\n|-|\n",
        ]), 0..16)) {
            let markdown = parts.concat();
            let written = without_html(&markdown);
            let html = |event: &Event<'_>| matches!(event, Event::Html(_) | Event::InlineHtml(_));
            prop_assert!(!Parser::new_ext(&written, options()).any(|event| html(&event)), "{written:?}");
            prop_assert_eq!(without_html(&written), written);
            if let Some(shown) = to_html(&markdown) {
                for bad in ["<script", "<b>", "<style", "<!--", "<?", "<!X", "href=\"javascript"] {
                    prop_assert!(!shown.contains(bad), "{markdown:?}: {shown}");
                }
            }
        }
    }
}
