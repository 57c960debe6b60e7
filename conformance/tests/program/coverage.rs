//! `mimi coverage`

use serde_json::Value;

use super::{code, output, text};

#[test]
fn the_table_and_the_json_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("coverage.md");
    let shown = output(&["coverage", "--json", "-", "--markdown", page.to_str().unwrap()]);
    let coverage: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let faults = coverage["faults"].as_array().unwrap();
    assert_eq!(code(&shown), i32::from(!faults.is_empty()), "{}", text(&shown.stderr));
    let draft = &coverage["drafts"][0];
    assert_eq!((&draft["draft"], &draft["file"]), (&"LM-04".into(), &"lm-04.toml".into()));
    let requirements = draft["requirements"].as_array().unwrap();
    let open = requirements.iter().filter(|entry| entry["level"] == "SHOULD" && entry["status"] == "open");
    assert_eq!(draft["levels"]["SHOULD"]["open"], open.count());
    assert!(requirements.iter().all(|entry| entry["status"] != "covered" || entry["cases"][0].is_string()));
    // What is not asked for on standard output goes beside it.
    assert!(text(&shown.stderr).contains("section "));
    assert!(std::fs::read_to_string(&page).unwrap().contains("## LM-04"));
    let table = output(&["coverage", "--draft", "lm-04"]);
    assert_eq!(code(&table), code(&shown));
    assert!(
        text(&table.stdout).contains(&format!("LM-04 (lm-04.toml): {} requirements", requirements.len()))
    );
}

#[test]
fn a_draft_that_is_not_there_is_an_error_of_usage() {
    let shown = output(&["coverage", "--draft", "lm-99"]);
    assert_eq!(code(&shown), 2);
    assert!(text(&shown.stderr).contains("lm-04"));
}
