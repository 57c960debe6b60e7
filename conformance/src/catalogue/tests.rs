//! The catalogue, the cases and the code speak of the same things.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mimi_linearized::auth::{AuthRule, HubRule, MlsRule, RoomRule, Rule};
use toml::{Table, Value};

use super::{CATALOGUES, Catalogue, ERRATA, LM_04};
use crate::case::{Role, place};
use crate::cases;

fn catalogue() -> Catalogue {
    Catalogue::read().unwrap()
}

fn entries(file: &str, kind: &str) -> Vec<Table> {
    let file: Table = file.parse().unwrap();
    let kinds: Vec<_> = file.keys().map(String::as_str).collect();
    assert!(kinds == ["requirement"] || kinds == ["reading", "seed"], "{kinds:?}");
    file[kind].as_array().unwrap().iter().map(|entry| entry.as_table().unwrap().clone()).collect()
}

/// The requirements of LM-04.
fn requirements() -> Vec<Table> {
    let (_, text) = CATALOGUES.iter().find(|(name, _)| *name == LM_04).unwrap();
    entries(text, "requirement")
}

fn text<'t>(entry: &'t Table, field: &str) -> &'t str {
    entry.get(field).and_then(Value::as_str).unwrap_or_else(|| panic!("{field} of {entry:?}"))
}

fn list<'t>(entry: &'t Table, field: &str) -> Vec<&'t str> {
    entry[field].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
}

/// Folders and files of the repository that may name an entry.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders: Vec<_> = ["mls", "linearized", "transport", "conformance", "docs"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    let mut files = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "md") {
                files.push(path);
            }
        }
    }
    files
}

/// The prefix of a draft's ids, such as `LM-04/`.
fn prefix(entries: &[Table]) -> String {
    format!("{}/", text(&entries[0], "id").split('/').next().unwrap())
}

/// The prefixes of all drafts. These are fixed, so that an id of a draft which has no catalogue is found too.
const PREFIXES: [&str; 5] = ["LM-04/", "MF-01/", "TR-00/", "FW-01/", "PROFILE/"];

/// The ids of requirements and readings that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let requirement = |prefix: &str, rest: &str| {
        // The sections of profiles are their names.
        let hyphen = prefix == "PROFILE/";
        let end =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '/' && c != '.' && !(hyphen && c == '-'));
        let place = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default().trim_end_matches('.');
        // A place that ends open is put together at run time.
        let is_open = place.ends_with('/') || place.is_empty() || (hyphen && !place.contains('/'));
        (!is_open).then(|| format!("{prefix}{place}"))
    };
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let digits = |word: &str| word.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    let readings = words.filter(|word| word.len() == 3 && word.starts_with('R') && digits(word));
    let of_drafts = PREFIXES.iter().flat_map(|prefix| {
        text.split(prefix).skip(1).filter_map(|rest| requirement(prefix, rest)).collect::<Vec<_>>()
    });
    of_drafts.chain(readings.map(ToOwned::to_owned)).collect()
}

#[test]
fn every_requirement_is_whole_and_in_its_section() {
    let mut ids = BTreeSet::new();
    for (file, catalogue) in CATALOGUES {
        let requirements = entries(catalogue, "requirement");
        let prefix = prefix(&requirements);
        assert!(PREFIXES.contains(&prefix.as_str()), "{file}: {prefix}");
        for entry in requirements {
            let (id, section) = (text(&entry, "id"), text(&entry, "section"));
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            let place = id.strip_prefix(&prefix).unwrap_or_else(|| panic!("{file}: {id}"));
            assert!(
                place.rsplit_once('/').unwrap().0 == section
                    || (id.starts_with("LM-04/auth/") && section == "5.2.3"),
                "{id} in {section}",
            );
            assert!(matches!(text(&entry, "level"), "MUST" | "SHOULD" | "MAY"), "{id}");
            assert!(matches!(text(&entry, "role"), "hub" | "participant" | "any" | "client"), "{id}");
            assert!(text(&entry, "says").ends_with('.'), "{id}");
            let known = ["id", "section", "level", "role", "says", "source", "untestable", "unspecified"];
            assert!(entry.keys().all(|key| known.contains(&key.as_str())), "{id}");
            assert!(!(entry.contains_key("untestable") && entry.contains_key("unspecified")), "{id}");
            for mark in ["untestable", "unspecified"] {
                assert!(!entry.contains_key(mark) || !text(&entry, mark).trim().is_empty(), "{id}: {mark}");
            }
        }
    }
}

#[test]
fn every_reading_is_whole_and_the_cases_and_tests_that_show_it_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readings = entries(ERRATA, "reading");
    let ids: Vec<&str> = readings.iter().map(|entry| text(entry, "id")).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "each once, in order: {ids:?}");
    for entry in &readings {
        let id = text(entry, "id");
        for field in ["title", "draft", "reading", "reason"] {
            assert!(!text(entry, field).trim().is_empty(), "{id}: {field}");
        }
        assert!(!list(entry, "sections").is_empty(), "{id}");
        let shown_by = list(entry, "shown_by");
        assert!(!shown_by.is_empty(), "nothing shows {id}");
        let (tests, named): (Vec<&str>, Vec<&str>) = shown_by.iter().partition(|name| name.contains('#'));
        let covering: Vec<&str> =
            cases::everything().filter(|case| case.covers.contains(&id)).map(|case| case.id).collect();
        assert_eq!(named, covering, "the cases that cover {id}, in order");
        for test in tests {
            let (file, function) = test.split_once('#').unwrap();
            let source = fs::read_to_string(root.join(file)).unwrap_or_default();
            assert!(source.contains(&format!("fn {function}(")), "{id}: {test} does not exist");
        }
    }
}

/// Each entry of the list of errata is settled in one place, and what settles it knows.
#[test]
fn the_list_of_errata_is_complete_and_agrees_with_the_readings() {
    let (readings, catalogue) = (entries(ERRATA, "reading"), catalogue());
    let mut settled = BTreeMap::new();
    for reading in &readings {
        for seed in list(reading, "seeds") {
            let before = settled.insert(seed, text(reading, "id"));
            assert_eq!(before, None, "{seed} is in {} too", text(reading, "id"));
        }
    }
    let seeds = entries(ERRATA, "seed");
    let ids: Vec<_> = seeds.iter().map(|seed| text(seed, "id").to_owned()).collect();
    assert_eq!(ids, (1..=106).map(|number| format!("E{number:02}")).collect::<Vec<_>>());
    for seed in &seeds {
        let id = text(seed, "id");
        assert!(text(seed, "note").trim().ends_with('.'), "{id}");
        let known = ["id", "verdict", "reading", "requirement", "note"];
        assert!(seed.keys().all(|key| known.contains(&key.as_str())), "{id}");
        let place = |field: &str| seed.get(field).map(|value| value.as_str().unwrap());
        let (reading, requirement) = (place("reading"), place("requirement"));
        match text(seed, "verdict") {
            "kept" | "corrected" => assert!(reading.is_some() != requirement.is_some(), "{id}"),
            "dropped" => assert_eq!((reading, requirement), (None, None), "{id}"),
            other => panic!("{id}: {other}"),
        }
        assert_eq!(settled.get(id).copied(), reading, "{id}");
        assert!(
            requirement.is_none_or(|id| id.starts_with("LM-04/") && catalogue.says(id).is_some()),
            "{id}"
        );
    }
    // What the catalogue calls unspecified for the sake of an entry, that entry says.
    for requirement in requirements() {
        let why = requirement.get("unspecified").and_then(Value::as_str).unwrap_or_default();
        for word in why.split(|c: char| !c.is_ascii_alphanumeric()) {
            let cited = word.strip_prefix('E').is_some_and(|number| number.parse::<u32>().is_ok());
            let seed = seeds.iter().find(|seed| text(seed, "id") == word);
            assert!(!cited || seed.is_some_and(|seed| text(seed, "verdict") != "dropped"), "{word} in {why}");
        }
    }
}

#[test]
fn every_case_covers_something_that_exists() {
    let catalogue = catalogue();
    let sections: BTreeSet<String> =
        requirements().iter().map(|entry| text(entry, "section").to_owned()).collect();
    let mut ids = BTreeSet::new();
    for case in cases::all() {
        assert!(ids.insert(case.id), "{} is there twice", case.id);
        assert!(case.id.contains('/') && sections.contains(case.section()), "{} is in no section", case.id);
        assert!(!case.covers.is_empty(), "{} covers nothing", case.id);
        for id in case.covers {
            assert!(catalogue.says(id).is_some(), "{} covers {id}, which does not exist", case.id);
        }
        let distinct: BTreeSet<_> = case.covers.iter().collect();
        assert_eq!(distinct.len(), case.covers.len(), "{} covers something twice", case.id);
    }
    assert!(ids.len() >= 40);
}

#[test]
fn sections_are_ordered_by_number() {
    assert!(place("12.10") > place("12.9") && place("4") < place("4.1"));
    assert!(cases::all().map(|case| place(case.section())).is_sorted());
}

/// A case about a hub does not only cover what binds participants, nor the other way round.
#[test]
fn a_case_covers_what_binds_the_target_in_its_role() {
    let requirements = requirements();
    let role = |id: &str| {
        let entry = requirements.iter().find(|entry| text(entry, "id") == id);
        entry.map(|entry| text(entry, "role").to_owned())
    };
    for case in cases::all() {
        let other = match case.role {
            Role::Hub => "participant",
            Role::Participant => "hub",
            Role::Server => continue,
        };
        let roles: Vec<_> = case.covers.iter().filter_map(|id| role(id)).collect();
        assert!(roles.is_empty() || roles.iter().any(|role| role != other), "{}: {roles:?}", case.id);
    }
}

#[test]
fn every_rule_of_the_library_is_in_the_catalogue() {
    let catalogue = catalogue();
    let auth = AuthRule::ALL.iter().map(|rule| Rule::from(*rule));
    let mls = MlsRule::ALL.iter().map(|rule| Rule::from(*rule));
    let room = RoomRule::ALL.iter().map(|rule| Rule::from(*rule));
    let hub = HubRule::ALL.iter().map(|rule| Rule::from(*rule));
    for rule in auth.chain(mls).chain(room).chain(hub) {
        let id = rule.requirement();
        assert!(catalogue.says(&id).is_some(), "{rule} is {id}, which does not exist");
    }
}

/// A line of a table of `docs/authorization.md`.
struct RuleLine {
    /// The rule as refusals show it.
    rule: String,
    /// Its name in the code, for rules that have one.
    name: Option<String>,
    function: String,
    tests: Vec<String>,
    cases: Vec<String>,
}

/// The lines of every table, told by their first cell.
fn rule_lines(page: &str) -> Vec<RuleLine> {
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect::<Vec<_>>();
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<Vec<String>> = line.trim_matches('|').split(" | ").map(quoted).collect();
            let [rule, _, function, tests, cases] = cells.as_slice() else { panic!("five cells: {line}") };
            let [function] = function.as_slice() else { panic!("one function: {line}") };
            RuleLine {
                rule: rule[0].clone(),
                name: rule.get(1).cloned(),
                function: function.clone(),
                tests: tests.clone(),
                cases: cases.clone(),
            }
        })
        .collect()
}

/// The text of a function, given as `file#name`, with what stands right before it; nothing if it does not exist.
fn function_text(place: &str) -> Option<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (file, name) = place.split_once('#')?;
    let source = fs::read_to_string(root.join(file)).ok()?;
    let at = ["(", "<"].iter().find_map(|next| source.find(&format!("fn {name}{next}")))?;
    let (before, from) = source.split_at(at);
    let indent = before.rsplit('\n').next()?.len() - before.rsplit('\n').next()?.trim_start().len();
    let end = from.find(&format!("\n{}}}", " ".repeat(indent))).unwrap_or(from.len());
    let attributes = before.rsplit("\n\n").next()?;
    Some((attributes.to_owned(), from[..end].to_owned()))
}

#[test]
fn every_rule_is_in_the_table_of_rules() {
    let page = include_str!("../../../docs/authorization.md");
    let lines = rule_lines(page);
    let auth = AuthRule::ALL.iter().map(|rule| (Rule::from(*rule), format!("{rule:?}")));
    let mls = MlsRule::ALL.iter().map(|rule| (Rule::from(*rule), format!("{rule:?}")));
    let room = RoomRule::ALL.iter().map(|rule| (Rule::from(*rule), format!("{rule:?}")));
    let hub = HubRule::ALL.iter().map(|rule| (Rule::from(*rule), format!("{rule:?}")));
    let rules: Vec<(Rule, String)> = auth.chain(mls).chain(room).chain(hub).collect();
    let expected: Vec<(String, String)> =
        rules.iter().map(|(rule, name)| (rule.to_string(), name.clone())).collect();
    let named: Vec<(String, String)> =
        lines.iter().filter_map(|line| Some((line.rule.clone(), line.name.clone()?))).collect();
    assert_eq!(named, expected, "the rules, in order");
    for entry in requirements().iter().filter(|entry| text(entry, "id").starts_with("LM-04/auth/")) {
        let rule = format!("auth {}", text(entry, "id").trim_start_matches("LM-04/auth/"));
        assert!(lines.iter().any(|line| line.rule == rule), "{rule} is in no table");
    }
    for line in &lines {
        let rule = rules.iter().find(|(rule, name)| {
            rule.to_string() == line.rule && line.name.as_ref().is_none_or(|of_line| of_line == name)
        });
        let requirement = match rule {
            Some((rule, _)) => rule.requirement(),
            None => line.rule.replace("auth ", "LM-04/auth/"),
        };
        let covering: Vec<&str> = cases::all()
            .filter(|case| case.covers.contains(&requirement.as_str()))
            .map(|case| case.id)
            .collect();
        assert_eq!(line.cases, covering, "the cases that cover {}, in order", line.rule);
        assert!(!(line.tests.is_empty() && line.cases.is_empty()), "nothing shows {}", line.rule);
        let (_, code) =
            function_text(&line.function).unwrap_or_else(|| panic!("{} does not exist", line.function));
        let speaks = |code: &str| {
            let Some(name) = &line.name else { return true };
            let place = line.rule.split_once(' ').unwrap().1;
            let shown = [format!("Rule::{name}"), format!("\"{place}\""), format!("\"{}\"", line.rule)];
            shown.iter().any(|shown| code.contains(shown))
        };
        assert!(speaks(&code), "{} does not decide by {}", line.function, line.rule);
        for test in &line.tests {
            let (attributes, code) = function_text(test).unwrap_or_else(|| panic!("{test} does not exist"));
            assert!(attributes.contains("#[test]"), "{test} is no test");
            assert!(speaks(&code), "{test} never speaks of {}", line.rule);
        }
    }
}

#[test]
fn every_id_in_the_sources_is_in_the_catalogue() {
    let catalogue = catalogue();
    let mut seen = 0_usize;
    for file in sources() {
        // This file speaks of ids that do not exist.
        if file.ends_with("catalogue/tests.rs") || file.ends_with("coverage/tests.rs") {
            continue;
        }
        for id in named(&fs::read_to_string(&file).unwrap()) {
            seen += 1;
            assert!(catalogue.says(&id).is_some(), "{}: {id} does not exist", file.display());
        }
    }
    assert!(seen > 100, "only {seen} ids were found");
}

/// Each requirement of LM-04 has a case, or a mark, or is cited where the code does what it says.
#[test]
fn every_requirement_is_cited() {
    let mut cited: BTreeSet<String> =
        cases::all().flat_map(|case| case.covers).map(|id| (*id).to_owned()).collect();
    let lists = ["catalogue/tests.rs", "coverage/tests.rs", "docs/coverage.md"];
    for file in sources().iter().filter(|file| !lists.iter().any(|list| file.ends_with(list))) {
        cited.extend(named(&fs::read_to_string(file).unwrap()));
    }
    let is_marked = |entry: &Table| entry.contains_key("untestable") || entry.contains_key("unspecified");
    let idle: Vec<_> = requirements()
        .iter()
        .filter(|entry| !is_marked(entry))
        .map(|entry| text(entry, "id").to_owned())
        .filter(|id| !cited.contains(id))
        .collect();
    assert!(idle.is_empty(), "nothing cites {idle:?}");
}

#[test]
fn ids_are_found_in_a_text() {
    let text = "MF-01/3/1; see LM-04/5.1/3, LM-04/auth/5.2.3. And (R07); not R7, R070 or format!(\"LM-04/auth/{place}\")";
    let ids = ["LM-04/5.1/3", "LM-04/auth/5.2.3", "MF-01/3/1", "R07"];
    assert_eq!(named(text).into_iter().collect::<Vec<_>>(), ids);
}
