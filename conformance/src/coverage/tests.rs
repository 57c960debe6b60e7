//! What coverage finds, and that the page about it is current.

use super::{Coverage, Covers, Fault, to_json, to_markdown, to_text};
use crate::cases;
use crate::catalogue::{Catalogue, Keywords, LM_04, Level};

fn catalogue() -> Catalogue {
    Catalogue::read().unwrap()
}

fn all() -> impl Iterator<Item = Covers<'static>> {
    cases::everything().map(|case| (case.id, case.covers))
}

#[test]
fn nothing_is_wrong_with_the_coverage() {
    let catalogue = catalogue();
    let coverage = Coverage::of(&catalogue, all());
    let faults: Vec<String> = coverage.faults.iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_page_about_coverage_is_current() {
    let catalogue = catalogue();
    let page = to_markdown(&Coverage::of(&catalogue, all()));
    let current = include_str!("../../../docs/coverage.md");
    assert!(page == current, "docs/coverage.md is out of date: mimi coverage --markdown docs/coverage.md");
}

#[test]
fn what_is_wrong_is_found() {
    let mut catalogue = catalogue();
    let more: [Covers<'static>; 3] =
        [("1/idle", &[]), ("1/unknown", &["LM-04/1/1"]), ("1/untestable", &["LM-04/3.2.1/1"])];
    catalogue.keywords[0].number = "99".to_owned();
    let coverage = Coverage::of(&catalogue, more);
    let has = |fault: Fault| assert!(coverage.faults.contains(&fault), "{fault}");
    has(Fault::IdleCase { case: "1/idle".to_owned() });
    has(Fault::UnknownId { case: "1/unknown".to_owned(), id: "LM-04/1/1".to_owned() });
    has(Fault::TestedAfterAll { id: "LM-04/3.2.1/1".to_owned(), case: "1/untestable".to_owned() });
    let open = |fault: &&Fault| matches!(fault, Fault::OpenMust { .. });
    // Without its cases, a draft is open but for what is marked.
    let lm_04 = catalogue.drafts.iter().find(|draft| draft.name == LM_04).unwrap();
    let unmarked = |level| {
        let of_level = lm_04.requirements.iter().filter(move |entry| entry.level == level);
        of_level.filter(|entry| entry.mark().is_none()).count()
    };
    let all = catalogue.drafts.iter().flat_map(|draft| &draft.requirements);
    let musts = all.filter(|entry| entry.level == Level::Must && entry.mark().is_none()).count();
    assert!(musts > unmarked(Level::Must), "only LM-04 has anything that cases are to cover");
    assert_eq!(coverage.faults.iter().filter(open).count(), musts);
    let keyword = |fault: &&Fault| matches!(fault, Fault::Keyword { section, .. } if section == "99");
    assert!(coverage.faults.iter().any(|fault| keyword(&fault)));
    assert!(to_text(&coverage).contains("1/idle covers nothing"));
    assert!(to_markdown(&coverage).contains("1/idle covers nothing"));
    let json = to_json(&coverage);
    assert_eq!(json["faults"].as_array().unwrap().len(), coverage.faults.len());
    let levels = &json["drafts"][0]["levels"];
    assert_eq!(levels["SHOULD"]["open"], unmarked(Level::Should));
    assert_eq!(levels["MUST"]["open"], unmarked(Level::Must));
}

/// The numbers of the text, which the list of keywords has to add up to.
#[test]
fn every_keyword_of_the_text_is_accounted_for() {
    let catalogue = catalogue();
    let count = |level| catalogue.keywords.iter().map(|section| section.count(level)).sum::<usize>();
    assert_eq!(Level::ALL.map(count), [124, 62, 19]);
    let each = || catalogue.keywords.iter().flat_map(Keywords::each);
    let negated = |word: &str| each().filter(|(is, _)| *is == format!("{word} NOT")).count();
    assert_eq!(["MUST", "SHOULD", "MAY"].map(negated), [28, 9, 0]);
    assert!(each().all(|(_, ids)| !ids.is_empty()), "each stands for something");
    let sections: Vec<_> = catalogue.keywords.iter().map(|section| section.number.as_str()).collect();
    assert!(sections.is_sorted_by_key(|section| crate::case::place(section)), "{sections:?}");
}
