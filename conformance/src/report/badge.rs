//! A picture for a README: what is tested, and how many of its cases passed.

use std::fmt::Write as _;

use super::Report;

/// The height of the picture, in pixels.
const HEIGHT: usize = 20;

/// The badge as SVG, without scripts, fonts or anything from elsewhere. It says what was found, and nothing more.
pub(crate) fn badge(report: &Report) -> String {
    let summary = &report.summary;
    let against = report.cases.iter().filter(|case| case.is_against()).count();
    let (tried, whole) = (report.cases.len().saturating_sub(summary.skipped), report.suite.cases);
    let passed = summary.passed.saturating_add(summary.acceptable);
    let (text, colour) = match (against, summary.failed) {
        (0, 0) if tried == whole => (format!("{passed} of {whole} pass"), "#1a7f37"),
        (0, 0) => (format!("{passed} of {tried} pass, {} not tried", whole.saturating_sub(tried)), "#57606a"),
        (0, expected) => (format!("{passed} of {tried} pass, {expected} known to fail"), "#9a6700"),
        (failed, _) => (format!("{passed} of {tried} pass, {failed} fail"), "#cf222e"),
    };
    let label = "LM-04 cases";
    let (left, right) = (width(label), width(&text));
    let whole_width = left.saturating_add(right);
    let (left_middle, right_middle) = (left / 2, left.saturating_add(right / 2));
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{whole_width}" height="{HEIGHT}" role="img" aria-label="{label}: {text}">
<title>{label}: {text}</title>
<clipPath id="r"><rect width="{whole_width}" height="{HEIGHT}" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{left}" height="{HEIGHT}" fill="#3d444d"/><rect x="{left}" width="{right}" height="{HEIGHT}" fill="{colour}"/></g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">
<text x="{left_middle}" y="14">{label}</text><text x="{right_middle}" y="14">{text}</text>
</g>
</svg>
"##
    );
    svg
}

/// About how wide a text is, with its margins. All texts are this file's own: letters, digits, spaces, commas.
fn width(text: &str) -> usize {
    let tenths = |character| match character {
        'i' | 'l' | ',' | ' ' | 'f' | 't' => 40,
        'w' | 'm' | 'M' => 100,
        _ => 70,
    };
    (text.chars().map(tenths).sum::<usize>() / 10).saturating_add(12)
}
