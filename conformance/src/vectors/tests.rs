use std::collections::BTreeSet;

use super::*;

fn catalogue() -> Catalogue {
    Catalogue::read().unwrap()
}

fn rendered(seed: u64) -> Vec<String> {
    generate(seed).iter().map(File::render).collect()
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
    for file in generate(1) {
        let value: Value = serde_json::from_str(&file.render()).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&value).map(|e| format!("{} {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", file.subject);
        // And not because the schema takes anything.
        let first = &value["groups"][0]["tests"][0];
        for (pointer, wrong) in [
            ("/groups/0/tests/0/id", serde_json::json!("one")),
            ("/groups/0/tests/0/result", serde_json::json!("maybe")),
            ("/groups/0/tests/0/flags", serde_json::json!(["Odd"])),
            ("/groups/0/tests/0/requirement", serde_json::json!("E01")),
            ("/groups/0/covers", serde_json::json!([])),
            ("/seed", serde_json::json!(-1)),
        ] {
            let mut changed = value.clone();
            *changed.pointer_mut(pointer).unwrap() = wrong;
            assert!(!validator.is_valid(&changed), "{}: {pointer} {first}", file.subject);
        }
    }
}

#[test]
fn there_are_enough_of_every_kind() {
    let files = generate(1);
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
    let files = generate(1);
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
    let seeded = |name: &str| generate(7).iter().position(|file| file.subject == name).unwrap();
    for name in ["rooms", "authorization", "signatures", "canonical-json"] {
        let strip = |text: &str| text.replace("\"seed\": 7", "").replace("\"seed\": 8", "");
        assert_ne!(strip(&one[seeded(name)]), strip(&other[seeded(name)]), "{name}");
    }
}

#[test]
fn every_group_notices_a_changed_expectation() {
    for mut file in generate(1) {
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
    let mut file = generate(1).into_iter().find(|file| file.subject == "authorization").unwrap();
    let mut with = |change: fn(&mut Vector)| {
        let before = file.groups[0].tests[0].clone();
        change(&mut file.groups[0].tests[0]);
        let failures = verify(&file, &catalogue());
        file.groups[0].tests[0] = before;
        failures.len()
    };
    assert_eq!(with(|_| {}), 0);
    assert_eq!(with(|vector| vector.result = Outcome::Invalid), 1);
    assert_eq!(with(|vector| vector.requirement = "LM-04/".replace('/', "/0/1")), 1);
    assert_eq!(with(|vector| vector.rule = None), 1);
    assert_eq!(with(|vector| vector.input = serde_json::json!({})), 1);
    file.count += 1;
    assert_eq!(verify(&file, &catalogue()).len(), 1);
    file.count -= 1;
    file.groups[0].kind = "poem".to_owned();
    assert_eq!(verify(&file, &catalogue()).len(), file.count);
}
