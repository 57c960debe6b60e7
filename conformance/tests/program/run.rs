//! `mimi run`

use serde_json::{Value, json};

use super::{code, output, text};

#[test]
fn the_report_has_its_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let output = output(&["run", "--only", "5.2.3/ban*", "--seed", "7", "--json", path.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(report["suite"]["seed"], 7);
    assert!(report["suite"]["version"].is_string() && report["suite"]["started"].is_string());
    assert!(report["suite"]["duration_ms"].is_u64());
    assert_eq!(report["target"]["driver"], "embedded");
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(report["summary"]["passed"], cases.len());
    assert_eq!((&report["summary"]["failed"], &report["summary"]["skipped"]), (&0.into(), &0.into()));
    for case in cases {
        assert!(case["id"].as_str().unwrap().starts_with("5.2.3/ban"));
        assert_eq!((&case["verdict"], &case["level"]), (&"pass".into(), &"MUST".into()));
        assert!(case["title"].is_string() && case["duration_ms"].is_u64());
        assert!(case["covers"].as_array().unwrap().iter().all(Value::is_string));
        assert!(case.get("evidence").is_none() && case.get("reason").is_none());
    }
    assert!(text(&output.stdout).contains("5.2.3"), "a summary by section");
}

#[test]
fn devices_of_a_case_are_of_the_stacks_that_are_asked_for() {
    let stacks = |arguments: &[&str]| {
        let case = ["run", "--only", "4/life-of-an-encrypted-room", "--json", "-"];
        let output = output(&[&case, arguments].concat());
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report["suite"]["mls"].clone(), report["cases"][0]["mls"].clone())
    };
    let (openmls, mls_rs) = ("openmls", "mls-rs");
    // Each stack is on each side, unless one is asked for.
    let both = json!([[openmls, mls_rs, openmls], [mls_rs, openmls, mls_rs]]);
    assert_eq!(stacks(&[]), (json!("mixed"), both));
    for stack in [openmls, mls_rs] {
        assert_eq!(stacks(&["--mls", stack]), (json!(stack), json!([[stack, stack, stack]])));
    }
}

#[test]
fn json_on_standard_output_is_alone_there() {
    let output = output(&["run", "--only", "5.2.3/knock", "--json", "-"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["cases"].as_array().unwrap().len(), 1);
    assert!(text(&output.stderr).contains("1 passed"));
}

#[test]
fn cases_are_listed_and_selected() {
    let all = text(&output(&["run", "--list"]).stdout).lines().count();
    assert!(all >= 40, "{all} cases");
    let section = text(&output(&["run", "--list", "--section", "5.2"]).stdout);
    assert!(section.lines().count() > 10 && section.lines().all(|line| line.contains(" 5.2")), "{section}");
    let must = text(&output(&["run", "--list", "--level", "must"]).stdout);
    assert!(must.lines().count() < all && must.lines().all(|line| line.starts_with("MUST")));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [
        vec!["run", "--only", "nothing-like-it"],
        vec!["run", "--driver", "control=http://127.0.0.1:1"],
        vec!["run", "--driver", "telepathy"],
        vec!["run", "--mls", "telepathy"],
        vec!["run", "--target", "localhost:1", "--driver", "embedded"],
        vec!["run", "--target", "127.0.0.1:1"],
        vec!["run", "--target", "localhost:1"],
        vec!["run", "--peer-ports", "9-1"],
        vec!["run", "--peer-tls-cert", "x.pem"],
        vec!["run", "--ca", "/nowhere.pem"],
        vec!["run", "--no-such-flag"],
        vec!["no-such-command"],
    ] {
        let output = output(&arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_target_that_cannot_be_reached_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let peers = folder.path().to_str().unwrap();
    // Port 1 of loopback: nobody listens there.
    let output = output(&["run", "--target", "localhost:1", "--peer-ca-dir", peers]);
    assert_eq!(code(&output), 3, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("localhost:1 cannot be reached"));
}

#[test]
fn the_setup_names_the_ca_that_is_reused() {
    let folder = tempfile::tempdir().unwrap();
    let peers = folder.path().to_str().unwrap();
    let setup = || text(&output(&["run", "--print-setup", "--peer-ca-dir", peers]).stdout);
    let ca = folder.path().join("ca.pem");
    assert!(setup().contains(ca.to_str().unwrap()));
    let made = std::fs::read(&ca).unwrap();
    setup();
    assert_eq!(std::fs::read(&ca).unwrap(), made);
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("report.json");
    let output = output(&["run", "--only", "5.2.3/knock", "--json", path.to_str().unwrap()]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("report.json"));
    assert!(text(&output.stdout).is_empty(), "nothing was run");
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_no_success() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = super::mimi(&["run", "--list"]).stdout(full).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("cannot be written"));
}
