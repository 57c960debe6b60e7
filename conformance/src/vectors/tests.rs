use std::collections::BTreeSet;

use super::verify::difference;
use super::*;

fn catalogue() -> Catalogue {
    Catalogue::read().unwrap()
}

fn rendered(seed: u64) -> Vec<String> {
    generate(seed, &catalogue()).iter().map(File::render).collect()
}

/// Files as somebody else reads them.
fn read_back(seed: u64) -> Vec<File> {
    rendered(seed).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

#[test]
fn the_library_agrees_with_every_vector() {
    for seed in [1, u64::MAX] {
        let failures: Vec<_> = read_back(seed).iter().flat_map(|file| verify(file, &catalogue())).collect();
        assert!(failures.is_empty(), "seed {seed}: {failures:#?}");
    }
}

#[test]
fn the_files_are_what_the_schema_says() {
    let schema = serde_json::from_str(include_str!("../../vectors.schema.json")).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for file in generate(1, &catalogue()) {
        let value: Value = serde_json::from_str(&file.render()).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&value).map(|e| format!("{} {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", file.subject);
        // And not because the schema takes anything.
        let refuses =
            |what: &str, changed: &Value| assert!(!validator.is_valid(changed), "{}: {what}", file.subject);
        let set = |pointer: &str, wrong: Value| {
            let mut changed = value.clone();
            *changed.pointer_mut(pointer).unwrap() = wrong;
            refuses(pointer, &changed);
        };
        for (pointer, wrong) in [
            ("/groups/0/tests/0/id", serde_json::json!("one")),
            ("/groups/0/tests/0/result", serde_json::json!("maybe")),
            ("/groups/0/tests/0/flags", serde_json::json!(["Odd"])),
            ("/groups/0/tests/0/requirement", serde_json::json!("E01")),
            ("/groups/0/covers", serde_json::json!([])),
            ("/groups/0/type", serde_json::json!("poem")),
            ("/readings", serde_json::json!({"R01": "x"})),
            ("/requirements", serde_json::json!({"R01": "x"})),
            ("/seed", serde_json::json!(-1)),
        ] {
            set(pointer, wrong);
        }
        for (at, group) in file.groups.iter().enumerate() {
            for (number, test) in group.tests.iter().enumerate() {
                let place = format!("/groups/{at}/tests/{number}");
                let mut changed = value.clone();
                let flags = changed.pointer_mut(&format!("{place}/flags")).unwrap().as_array_mut().unwrap();
                match flags.iter().position(|flag| flag == "Reading") {
                    Some(at) => drop(flags.remove(at)),
                    None => flags.push("Reading".into()),
                }
                refuses(&format!("{place}: the flag of readings"), &changed);
                if number > 0 {
                    continue;
                }
                for (member, of) in [("input", &test.input), ("expected", &test.expected)] {
                    let pointer = format!("{place}/{member}");
                    set(&pointer, serde_json::json!({"junk": 1}));
                    set(&pointer, serde_json::json!({}));
                    let mut more = of.clone();
                    more["junk"] = serde_json::json!(1);
                    set(&pointer, more);
                    for key in of.as_object().unwrap().keys() {
                        set(&format!("{pointer}/{key}"), serde_json::json!([[{"junk": 1}]]));
                    }
                }
            }
        }
    }
}

#[test]
fn there_are_enough_of_every_kind() {
    let files = generate(1, &catalogue());
    let vectors = || files.iter().flat_map(|file| &file.groups).flat_map(|group| &group.tests);
    let with = |result| vectors().filter(|vector| vector.result == result).count();
    assert!(vectors().count() >= 500, "{}", vectors().count());
    assert!(with(Outcome::Valid) >= 200 && with(Outcome::Invalid) >= 200 && with(Outcome::Acceptable) >= 5);
    let ids: BTreeSet<_> = vectors().map(|vector| &vector.id).collect();
    assert_eq!(ids.len(), vectors().count());
    for file in &files {
        assert!(file.groups.iter().all(|group| !group.tests.is_empty() && !group.about.is_empty()));
    }
}

/// Every rule decides some vector, and every rule that can refuse refuses one.
#[test]
fn every_authorization_rule_has_its_vectors() {
    let files = generate(1, &catalogue());
    let file = files.iter().find(|file| file.subject == "authorization").unwrap();
    let tests = || file.groups.iter().flat_map(|group| &group.tests);
    for rule in mimi_linearized::auth::AuthRule::ALL {
        let place = rule.place();
        assert!(tests().any(|test| test.rule.as_deref() == Some(place)), "no vector for rule {place}");
    }
    // Rule 5.4.1 is the one that both allows and refuses.
    let results: BTreeSet<_> = tests()
        .filter(|test| test.rule.as_deref() == Some("5.4.1"))
        .map(|test| test.expected["accepted"].as_bool())
        .collect();
    assert_eq!(results.len(), 2);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    assert_eq!(rendered(7), rendered(7));
    let (one, other) = (rendered(7), rendered(8));
    let seeded = |name: &str| generate(7, &catalogue()).iter().position(|file| file.subject == name).unwrap();
    for name in ["rooms", "authorization", "signatures", "canonical-json"] {
        let strip = |text: &str| text.replace("\"seed\": 7", "").replace("\"seed\": 8", "");
        assert_ne!(strip(&one[seeded(name)]), strip(&other[seeded(name)]), "{name}");
    }
}

#[test]
fn every_group_notices_a_changed_expectation() {
    for mut file in generate(1, &catalogue()) {
        for at in 0..file.groups.len() {
            let before = file.groups[at].tests[0].clone();
            let mut changed = before.clone();
            change(&mut changed.expected);
            file.groups[at].tests[0] = changed;
            let failures = verify(&file, &catalogue());
            let names: Vec<_> = failures.iter().map(|failure| failure.id.as_str()).collect();
            assert_eq!(names, [before.id.as_str()], "{}", file.groups[at].kind);
            file.groups[at].tests[0] = before;
        }
    }
}

/// Changes one value somewhere in what is expected.
fn change(value: &mut Value) {
    match value {
        Value::Object(members) => change(members.values_mut().last().unwrap()),
        Value::Array(elements) => change(elements.last_mut().unwrap()),
        Value::String(text) => text.push('x'),
        Value::Bool(value) => *value = !*value,
        Value::Number(_) | Value::Null => *value = serde_json::json!("x"),
    }
}

#[test]
fn a_difference_is_told_by_its_place() {
    let (a, b) =
        (serde_json::json!({"a": [1, {"b/": 2}], "c": 3}), serde_json::json!({"a": [1, {"b/": 4}], "c": 3}));
    assert_eq!(difference(&a, &b, ""), r#"at "/a/1/b~1" expected 2, found 4"#);
    let other = serde_json::json!({"a": [1]});
    assert_eq!(difference(&other, &a["a"], ""), r#"at "" expected {"a":[1]}, found [1,{"b/":2}]"#);
}

#[test]
fn what_is_said_about_a_vector_has_to_fit() {
    let mut file =
        generate(1, &catalogue()).into_iter().find(|file| file.subject == "authorization").unwrap();
    let mut with = |change: fn(&mut Vector)| {
        let before = file.groups[0].tests[0].clone();
        change(&mut file.groups[0].tests[0]);
        let failures = verify(&file, &catalogue());
        file.groups[0].tests[0] = before.clone();
        failures.iter().filter(|failure| failure.id == before.id).count()
    };
    assert_eq!(with(|_| {}), 0);
    assert_eq!(with(|vector| vector.result = Outcome::Invalid), 1);
    assert_eq!(with(|vector| vector.requirement = "LM-04/".replace('/', "/0/1")), 1);
    assert_eq!(with(|vector| vector.rule = None), 1);
    assert_eq!(with(|vector| vector.input = serde_json::json!({})), 1);
    assert_eq!(with(|vector| vector.flags.push(Flag::Reading)), 1);
    assert_eq!(with(|vector| vector.reading = Some("R12".to_owned())), 1);
    // A reading that the draft leaves no choice about.
    assert_eq!(with(|vector| *vector = vector.clone().read_by("R02").acceptable()), 1);
    // A sound reading that the file has no words for.
    assert_eq!(with(|vector| *vector = vector.clone().read_by("R30")), 1);
    file.groups[0].kind = "poem".to_owned();
    assert_eq!(verify(&file, &catalogue()).len(), file.count);
}

/// One thing that is wrong with a file as a whole.
type Damage = fn(&mut File);

#[test]
fn a_damaged_file_is_noticed() {
    let damages: [(&str, Damage); 12] = [
        ("`count`", |file| file.count += 1),
        ("`draft`", |file| file.draft.push('5')),
        ("no subject", |file| file.subject.push('s')),
        ("`groups`", |file| {
            file.groups.clear();
            (file.count, file.flags) = (0, BTreeMap::new());
        }),
        ("is empty", |file| {
            file.count -= file.groups[1].tests.len();
            file.groups[1].tests.clear();
        }),
        ("`about`", |file| " ".clone_into(&mut file.groups[0].about)),
        ("`covers`", |file| drop(file.groups[0].covers.pop())),
        ("`flags`", |file| drop(file.flags.insert("Seeded".to_owned(), "x".to_owned()))),
        ("no words", |file| drop(file.readings.remove("R33"))),
        ("no words", |file| drop(file.requirements.remove("LM-04/6.3/3"))),
        ("there twice", |file| file.groups[1].tests[0].id = file.groups[0].tests[0].id.clone()),
        ("there twice", |file| {
            let again = file.groups[0].tests[0].clone();
            file.groups[0].tests.push(again);
            file.count += 1;
        }),
    ];
    // A file that has words of requirements and of readings.
    let sound =
        || generate(1, &catalogue()).into_iter().find(|file| file.subject == "key-responses").unwrap();
    for (named, damage) in damages {
        let mut file = sound();
        assert!(verify(&file, &catalogue()).is_empty());
        damage(&mut file);
        let failures = verify(&file, &catalogue());
        assert!(failures.iter().any(|failure| failure.what.contains(named)), "{named}: {failures:?}");
    }
    let mut files = generate(1, &catalogue());
    assert!(missing(&files).is_empty());
    files.remove(3);
    assert_eq!(missing(&files), ["base64"]);
}

/// Members are all needed, and there are no others.
#[test]
fn a_damaged_input_is_noticed() {
    for file in generate(1, &catalogue()) {
        for group in &file.groups {
            let input = &group.tests[0].input;
            let unusable = |input: &Value| evaluate::evaluate(&group.kind, input).is_err();
            assert!(!unusable(input), "{}", group.kind);
            let mut more = input.clone();
            more["junk"] = serde_json::json!(1);
            assert!(unusable(&more), "{}", group.kind);
            for key in input.as_object().unwrap().keys() {
                assert!(unusable(&oracle::less(input, key)), "{} without {key}", group.kind);
            }
        }
        let mut value: Value = serde_json::from_str(&file.render()).unwrap();
        for pointer in ["", "/groups/0", "/groups/0/tests/0"] {
            let mut changed = value.clone();
            changed.pointer_mut(pointer).unwrap()["junk"] = serde_json::json!(1);
            assert!(serde_json::from_value::<File>(changed).is_err(), "{pointer:?}");
        }
        value["readings"] =
            serde_json::json!({"R01": {"title": "x", "reading": "x", "reason": "x", "junk": "x"}});
        assert!(serde_json::from_value::<File>(value).is_err());
    }
}

#[test]
fn hexadecimal_is_read_strictly() {
    assert_eq!(signing::unhex("00ff1a"), Some(vec![0, 0xff, 0x1a]));
    assert_eq!(signing::unhex(""), Some(Vec::new()));
    for text in ["0", "zz", "0g", "FF", "0 ", " 00", "00\n", "0x00", "\u{e4}"] {
        assert_eq!(signing::unhex(text), None, "{text:?}");
        let error = evaluate::evaluate("base64-encode", &serde_json::json!({"hex": text})).unwrap_err();
        assert!(matches!(error, evaluate::Unusable::Hex("hex")), "{text:?}");
    }
}

/// What a step says that a hub names is compared, in whatever order.
#[test]
fn what_a_hub_names_is_what_is_given() {
    let files = generate(1, &catalogue());
    let file = files.iter().find(|file| file.subject == "rooms").unwrap();
    let input = &file.groups[0].tests[0].input;
    let usable = |input: &Value| evaluate::evaluate("hub", input).is_ok();
    let last = input["steps"].as_array().unwrap().len() - 1;
    for member in ["auth_events", "prev_events"] {
        let mut changed = input.clone();
        let ids = changed["steps"][last][member].as_array_mut().unwrap();
        ids.reverse();
        assert!(usable(&changed));
        changed["steps"][last][member] = serde_json::json!(["$other"]);
        assert!(!usable(&changed), "{member}");
    }
}

/// Every text in an input, read as JSON where it is that.
fn inside(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => serde_json::from_str(text).into_iter().collect(),
        Value::Array(elements) => elements.iter().flat_map(inside).collect(),
        Value::Object(members) => members.values().flat_map(inside).collect(),
        _ => Vec::new(),
    }
}

/// Where a reading has something else that is acceptable, and a vector shows it, its result is that.
#[test]
fn what_a_reading_allows_is_acceptable() {
    let catalogue = catalogue();
    let files = generate(1, &catalogue);
    let mut hard: BTreeSet<&str> = BTreeSet::new();
    for group in files.iter().flat_map(|file| &file.groups) {
        for vector in &group.tests {
            let acceptable = vector.result == Outcome::Acceptable;
            let event = || inside(&vector.input["event"]).pop().unwrap_or_default();
            let fractions =
                group.kind != "canonical-json" && inside(&vector.input).iter().any(events::has_fraction);
            let shows = match group.kind.as_str() {
                // Rules R03 to R05 decide the bytes of a hub's own events and of what it redacts.
                "hub" => true,
                "participant" => vector.expected["accepted"] == false && vector.requirement != "LM-04/5.1/6",
                "content-hash" => event()["hashes"].get("lpdu").is_none(),
                "auth-events-selection" => event()["content"]["membership"] == "knock",
                "key-standing" => vector.expected["standing"] == "expired",
                _ => false,
            };
            let refused = vector.expected.get("accepted") == Some(&Value::Bool(false));
            assert!(acceptable || !(shows || (fractions && !refused)), "{}: {}", vector.id, vector.comment);
            let has_choice = |reading: &&str| catalogue.reading(reading).unwrap().acceptable.is_some();
            hard.extend(vector.reading.as_deref().filter(|_| !acceptable).filter(has_choice));
        }
    }
    // Of these, what is acceptable lies elsewhere: R04 and R05 leave hubs a choice and receivers none, R07 one about
    // fractions, R08 about R of mixed order, R09 about the temporary name, R11 about knocks, R12 about the creator's join
    // and those who are invited, R20 about rooms that are not known, R33 about keys that are no longer valid, R57 about
    // what else may be inside.
    let elsewhere = ["R04", "R05", "R07", "R08", "R09", "R11", "R12", "R20", "R33", "R57"];
    assert_eq!(hard, BTreeSet::from(elsewhere));
}

/// Whatever a file names it has words for.
#[test]
fn a_file_is_read_without_any_other() {
    let catalogue = catalogue();
    for file in generate(1, &catalogue) {
        let text = file.render();
        for id in readings_in(&text).filter(|id| catalogue.reading(id).is_some()) {
            let words = file.readings.get(&id).unwrap_or_else(|| panic!("{}: no {id}", file.subject));
            assert!(!words.reading.is_empty() && !words.reason.is_empty(), "{id}");
        }
        for group in &file.groups {
            for id in named(group) {
                assert!(
                    file.requirements.contains_key(&id) || file.readings.contains_key(&id),
                    "{}: no words for {id}",
                    file.subject
                );
            }
        }
    }
}
