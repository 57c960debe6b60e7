//! HTML that came from somebody else.
//!
//! ruma's sanitiser keeps the elements and attributes that Matrix suggests, at most 100 deep. Around it: a bound on the
//! number of tags, since a parser of HTML makes many elements of few misnested ones, and the tree is walked and dropped
//! by recursion; and a look of our own at every link and image, since the sanitiser looks at no scheme of an element
//! after an attribute that has none (`<a class="" href="javascript:…">`).

use ruma_common::MxcUri;
use ruma_html::{ElementData, Html, ListBehavior, NodeData, NodeRef, PropertiesNames, SanitizerConfig};

use super::bidi;

/// The most start tags that HTML may have to be read. What has more is not shown as HTML.
pub const MAX_TAGS: usize = 1000;

/// Where links may lead (Matrix 1.4, client-server API, `m.room.message`).
const SCHEMES: [&str; 5] = ["https:", "http:", "ftp:", "mailto:", "magnet:"];

/// Elements whose contents are no text either.
const REMOVED: [&str; 15] = [
    "script", "style", "iframe", "object", "embed", "noscript", "template", "title", "textarea", "svg",
    "math", "noembed", "noframes", "xmp", "select",
];

/// HTML in the part of it that is safe to show. `None` if it has more than [`MAX_TAGS`] tags.
///
/// A quotation of the message that is answered (`mx-reply`) is taken out: clients show that message itself.
#[must_use]
pub fn sanitise(html: &str) -> Option<String> {
    Some(clean(html)?.to_string())
}

/// HTML as plain text: breaks and blocks as lines, list items with their bullets, quotations with `> `, images as their
/// description, spoilers as their reason. `None` as for [`sanitise`].
#[must_use]
pub fn to_text(html: &str) -> Option<String> {
    let html = clean(html)?;
    let mut text =
        Text { out: String::new(), fresh: true, quotes: 0, preformatted: false, lists: Vec::new() };
    for child in html.children() {
        text.node(&child);
    }
    Some(text.out.trim().to_owned())
}

/// Plain text as HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\n' => html.push_str("<br>"),
            c => html.push(c),
        }
    }
    html
}

/// An emoji of somebody's own in a text (MSC2545).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emoticon {
    /// Where its picture is.
    pub uri: String,
    /// What to show in its place.
    pub alt: String,
}

/// The custom emoji of a text, in order. `None` as for [`sanitise`].
#[must_use]
pub fn emoticons(html: &str) -> Option<Vec<Emoticon>> {
    let html = clean(html)?;
    let mut emoticons = Vec::new();
    let mut waiting: Vec<NodeRef> = html.children().collect();
    waiting.reverse();
    while let Some(node) = waiting.pop() {
        if let Some(element) = node.as_element()
            && name(element) == "img"
            && attribute(element, "data-mx-emoticon").is_some()
            && let Some(uri) = attribute(element, "src")
        {
            emoticons.push(Emoticon { uri, alt: attribute(element, "alt").unwrap_or_default() });
        }
        let children: Vec<NodeRef> = node.children().collect();
        waiting.extend(children.into_iter().rev());
    }
    Some(emoticons)
}

fn clean(html: &str) -> Option<Html> {
    let tags = html
        .as_bytes()
        .windows(2)
        .filter(|pair| matches!(pair, [b'<', b] if b.is_ascii_alphabetic()))
        .count();
    if tags > MAX_TAGS {
        return None;
    }
    let emoji = PropertiesNames { parent: "img", properties: &["data-mx-emoticon"] };
    let config = SanitizerConfig::strict()
        .remove_reply_fallback()
        .remove_elements(REMOVED)
        .allow_attributes([emoji], ListBehavior::Add);
    let html = Html::parse(html);
    html.sanitize_with(&config);
    for child in html.children() {
        finish(&child);
    }
    Some(html)
}

/// What the sanitiser leaves to do. The tree is no deeper than it allows.
fn finish(node: &NodeRef) {
    match node.data() {
        NodeData::Text(text) => {
            let neutral = bidi::neutralise(&text.borrow());
            *text.borrow_mut() = neutral.into();
        }
        NodeData::Element(element) => {
            let element_name = name(element);
            let mut attributes = element.attrs.borrow_mut();
            attributes.retain(|attribute| match (element_name, &*attribute.name.local) {
                ("a", "href") => SCHEMES.iter().any(|scheme| attribute.value.starts_with(scheme)),
                ("img", "src") => <&MxcUri>::from(&*attribute.value).is_valid(),
                (_, "src" | "href") => false,
                _ => true,
            });
            *attributes = std::mem::take(&mut *attributes)
                .into_iter()
                .map(|mut attribute| {
                    attribute.value = bidi::name(&attribute.value).into();
                    attribute
                })
                .collect();
        }
        _ => {}
    }
    for child in node.children() {
        finish(&child);
    }
}

fn name(element: &ElementData) -> &str {
    &element.name.local
}

fn attribute(element: &ElementData, wanted: &str) -> Option<String> {
    let attributes = element.attrs.borrow();
    attributes
        .iter()
        .find(|attribute| &*attribute.name.local == wanted)
        .map(|attribute| attribute.value.to_string())
}

/// A text that is being made of a tree.
struct Text {
    out: String,
    /// Whether nothing is in the line yet.
    fresh: bool,
    /// How many quotations it is in.
    quotes: usize,
    /// Whether blanks count.
    preformatted: bool,
    /// The number of the next item of each list around, if it counts.
    lists: Vec<Option<u64>>,
}

impl Text {
    fn node(&mut self, node: &NodeRef) {
        if let Some(text) = node.as_text() {
            self.text(&text.borrow());
            return;
        }
        let Some(element) = node.as_element() else { return };
        match name(element) {
            "br" => self.line(),
            "hr" => {
                self.block();
                self.write("---");
                self.block();
            }
            "img" => {
                let described = attribute(element, "alt").or_else(|| attribute(element, "title"));
                self.write(&described.unwrap_or_else(|| "[image]".to_owned()));
            }
            "span" if attribute(element, "data-mx-spoiler").is_some() => {
                match attribute(element, "data-mx-spoiler").filter(|reason| !reason.is_empty()) {
                    Some(reason) => self.write(&format!("[spoiler: {reason}]")),
                    None => self.write("[spoiler]"),
                }
            }
            "blockquote" => {
                self.block();
                self.quotes = self.quotes.saturating_add(1);
                self.children(node);
                self.block();
                self.quotes = self.quotes.saturating_sub(1);
            }
            "pre" => {
                let before = std::mem::replace(&mut self.preformatted, true);
                self.own_lines(node);
                self.preformatted = before;
            }
            "ul" => self.list(node, None),
            "ol" => {
                let start = attribute(element, "start").and_then(|start| start.parse().ok()).unwrap_or(1);
                self.list(node, Some(start));
            }
            "li" => self.item(node),
            "p" | "div" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "table" | "tr" | "caption"
            | "details" | "summary" => {
                self.own_lines(node);
            }
            "td" | "th" => {
                self.children(node);
                self.text(" ");
            }
            _ => self.children(node),
        }
    }

    fn children(&mut self, node: &NodeRef) {
        for child in node.children() {
            self.node(&child);
        }
    }

    fn own_lines(&mut self, node: &NodeRef) {
        self.block();
        self.children(node);
        self.block();
    }

    fn list(&mut self, node: &NodeRef, start: Option<u64>) {
        self.lists.push(start);
        self.own_lines(node);
        self.lists.pop();
    }

    fn item(&mut self, node: &NodeRef) {
        self.block();
        let bullet = match self.lists.last_mut() {
            Some(Some(number)) => {
                let bullet = format!("{number}. ");
                *number = number.saturating_add(1);
                bullet
            }
            _ => "- ".to_owned(),
        };
        self.write(&bullet);
        self.children(node);
        self.block();
    }

    fn text(&mut self, text: &str) {
        if self.preformatted {
            for (number, line) in text.split('\n').enumerate() {
                if number > 0 {
                    self.line();
                }
                self.write(line);
            }
            return;
        }
        for (number, word) in text.split(|c: char| c.is_ascii_whitespace()).enumerate() {
            if number > 0 && !self.fresh && !self.out.ends_with(' ') {
                self.out.push(' ');
            }
            self.write(word);
        }
    }

    fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if std::mem::replace(&mut self.fresh, false) {
            for _ in 0..self.quotes {
                self.out.push_str("> ");
            }
        }
        self.out.push_str(text);
    }

    /// Ends the line, unless nothing is in it.
    fn block(&mut self) {
        if !self.fresh {
            self.line();
        }
    }

    fn line(&mut self) {
        let without_blanks = self.out.trim_end_matches(' ').len();
        self.out.truncate(without_blanks);
        self.out.push('\n');
        self.fresh = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_harmless_stays() {
        let html = "<p>a <b>fish</b> <a href=\"https://example.org/\">there</a></p><code class=\"language-rust x\">fn</code>";
        let kept = "<p>a <b>fish</b> <a href=\"https://example.org/\">there</a></p><code class=\"language-rust\">fn</code>";
        assert_eq!(sanitise(html).unwrap(), kept);
    }

    #[test]
    fn what_could_run_or_call_home_goes() {
        for (html, clean) in [
            ("<script>alert(1)</script>x", "x"),
            ("<img src=x onerror=alert(1)>", "<img>"),
            ("<img alt=\"a\" src=\"https://example.org/track\">", "<img alt=\"a\">"),
            ("<img alt=\"a\" src=\"mxc://\">", "<img alt=\"a\">"),
            ("<a href=\"javascript:alert(1)\">x</a>", "x"),
            ("<a class=\"\" href=\"javascript:alert(1)\">x</a>", "<a>x</a>"),
            ("<a class=\"\" href=\" https://example.org\">x</a>", "<a>x</a>"),
            ("<a class=\"\" href=\"java\tscript:alert(1)\">x</a>", "<a>x</a>"),
            ("<svg><style><img src=x onerror=alert(1)></style></svg>", "<img>"),
            ("<math><mtext><table><mglyph><style><img src onerror=alert(1)>", ""),
            ("<iframe src=\"https://example.org\"></iframe><style>*{}</style>", ""),
            ("<div style=\"position:fixed\" onclick=\"x()\">x</div>", "<div>x</div>"),
            (
                "<!-- <b> --><noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
                "<img>\"&gt;",
            ),
            ("<mx-reply><blockquote>quoted</blockquote></mx-reply>mine", "mine"),
            (
                "<b>ev\u{202e}il</b><img alt=\"ev\u{202e}il\" src=\"mxc://a/b\">",
                "<b>evil</b><img alt=\"evil\" src=\"mxc://a/b\">",
            ),
        ] {
            assert_eq!(sanitise(html).unwrap(), clean, "{html}");
        }
    }

    #[test]
    fn html_becomes_text() {
        for (html, text) in [
            ("a <b>b</b>  \n c<br>d", "a b c\nd"),
            ("<p>one</p><p>two</p>", "one\ntwo"),
            ("<ol start=\"3\"><li>a</li><li>b</li></ol>after", "3. a\n4. b\nafter"),
            ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
            (
                "said <span data-mx-spoiler=\"the end\">the butler</span> <span data-mx-spoiler>x</span>",
                "said [spoiler: the end] [spoiler]",
            ),
            ("<img alt=\":cat:\" src=\"mxc://a/b\">!", ":cat:!"),
            ("<blockquote>q1<br>q2</blockquote>answer", "> q1\n> q2\nanswer"),
            ("<pre>a\n  b</pre>", "a\n  b"),
            ("<h1>T</h1>x&lt;y", "T\nx<y"),
        ] {
            assert_eq!(to_text(html).unwrap(), text, "{html}");
        }
    }

    #[test]
    fn custom_emoji_are_found() {
        let html = "hi <b><img data-mx-emoticon src=\"mxc://a/cat\" alt=\":cat:\"></b><img src=\"mxc://a/no\" alt=\"x\">";
        assert_eq!(
            emoticons(html).unwrap(),
            [Emoticon { uri: "mxc://a/cat".to_owned(), alt: ":cat:".to_owned() }]
        );
    }

    #[test]
    fn there_is_a_bound_on_tags() {
        assert!(sanitise(&"<b>".repeat(MAX_TAGS)).is_some());
        assert!(sanitise(&"<b>".repeat(MAX_TAGS + 1)).is_none());
        assert!(sanitise(&"< b >".repeat(10_000)).is_some());
    }

    /// What makes parsers slow or their trees deep, as large as an event.
    #[test]
    fn hostile_html_is_read_in_bounds() {
        let many = |one: &dyn Fn(usize) -> String| (0..MAX_TAGS).map(one).collect::<String>();
        let half = |one: &dyn Fn(usize) -> String| (0..MAX_TAGS / 2).map(one).collect::<String>();
        let attributes: String = (0..12_000).map(|n| format!("a{n:x} ")).collect();
        for html in [
            many(&|_| "<div>".to_owned()),
            many(&|n| format!("<font color=\"{n}\">")),
            [half(&|n| format!("<b class=\"{n}\">")), half(&|_| "<p>x".to_owned())].concat(),
            many(&|_| "<table><tr>".to_owned()).chars().take(MAX_TAGS * 5).collect(),
            many(&|_| "<br>".to_owned()),
            format!("<a {attributes}>x"),
            "</p>".repeat(16_000),
            "&amp".repeat(16_000),
            ["<a".repeat(MAX_TAGS), "\"".repeat(60_000)].concat(),
            "<!--".repeat(16_000),
        ] {
            if let (Some(clean), Some(text)) = (sanitise(&html), to_text(&html)) {
                assert!(!clean.contains("javascript") && text.len() <= 1_000_000);
            }
        }
    }
}
