//! `mimi run --profile`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Serving, code, output, text};

const PROFILES: [&str; 6] = ["bw-messenger", "closed-federation", "core", "strict", "tchap", "ti-messenger"];

fn file_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/{name}.toml"))
}

/// The verdict of every case that a run tried, and the report.
fn verdicts(arguments: &[&str]) -> (BTreeMap<String, String>, Value) {
    let output = output(&[&["run", "--json", "-"], arguments].concat());
    assert!(!output.stdout.is_empty(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let against = report["cases"].as_array().unwrap().iter().any(|case| case["verdict"] == "fail");
    assert_eq!(code(&output), i32::from(against), "{}", text(&output.stderr));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cases = report["cases"].as_array().unwrap().iter();
    (cases.map(|case| (text(&case["id"]), text(&case["verdict"]))).collect(), report)
}

/// A profile's own cases, against the reference server with the profile's settings, and without them: each case whose id is
/// not in `either` has to notice.
fn its_own_cases_notice(name: &str, either: &[String]) {
    let own = format!("{name}/*");
    let (with, report) = verdicts(&["--profile", name, "--only", &own]);
    assert_eq!(report["profile"]["name"], name);
    assert!(report["profile"]["title"].is_string() && report["profile"]["based_on"][0]["link"].is_string());
    let others: Vec<_> = with.iter().filter(|(_, verdict)| *verdict != "pass").collect();
    assert!(with.len() > 2 && others.is_empty(), "{others:?}");

    let folder = tempfile::tempdir().unwrap();
    let mut profile: toml::Table = std::fs::read_to_string(file_of(name)).unwrap().parse().unwrap();
    assert!(profile.remove("server").is_some(), "{name} has settings");
    let bare = folder.path().join(format!("{name}.toml"));
    std::fs::write(&bare, toml::to_string(&profile).unwrap()).unwrap();
    let (without, _) = verdicts(&["--profile", bare.to_str().unwrap(), "--only", &own]);
    assert!(with.keys().eq(without.keys()));
    for (id, verdict) in without {
        let expected = if either.contains(&id) { "pass" } else { "fail" };
        assert_eq!(verdict, expected, "{id}, without the profile's settings");
    }
}

#[test]
fn a_closed_federation_is_closed() {
    its_own_cases_notice("closed-federation", &["closed-federation/insiders-are-served".to_owned()]);
}

/// As `docs/profiles/closed-federation.md` tells an administrator. Nobody contacts a server outside, so that its name need
/// not lead anywhere.
#[test]
fn a_server_of_its_own_gets_the_verdicts_of_the_suites_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(code(&output(&["run", "--print-setup", "--peer-ca-dir", &path("peers")])), 0);
    std::fs::write(path("policy.toml"), "mode = \"allow\"\nservers = [\"localhost\"]\n").unwrap();
    let (ca, policy) = (path("peers/ca.pem"), path("policy.toml"));
    let more = ["--ca", &ca, "--allow-private", "--policy", &policy];
    let server = Serving::start(&folder.path().join("data"), "localhost:9", "127.0.0.1:0", &more);
    let (driver, trusted) = (format!("control=http://{}", server.address("control")), server.address("ca"));
    let (at, peers) = (format!("localhost:9={}", server.address("federation")), path("peers"));
    let target = ["--target", "localhost:9", "--resolve", &at, "--driver", &driver, "--ca", &trusted];
    let only = ["--profile", "closed-federation", "--only", "closed-federation/*", "--peer-ca-dir", &peers];
    let outside = ["--outsider-host", "outside.example"];
    let (there, _) = verdicts(&[&target[..], &only, &outside].concat());
    let (here, _) = verdicts(&only);
    assert!(there.keys().eq(here.keys()));
    for (id, verdict) in there {
        // The suite's notary would have to be told to the server, with a port that is free.
        let expected = if id.ends_with("no-notary-is-asked") { "skip" } else { &here[&id] };
        assert_eq!(verdict, expected, "{id}");
    }
}

#[test]
fn an_outsider_has_a_name_of_its_own() {
    for (host, said) in [("localhost", "nobody can tell them apart"), ("127.0.0.1", "is not a host name")] {
        let output = output(&["run", "--profile", "closed-federation", "--outsider-host", host]);
        assert_eq!(code(&output), 2, "{host}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}

#[test]
fn the_health_service_has_its_list_permissions_and_rooms() {
    let either = [
        "allow-all-but",
        "block-all",
        "block-all-but",
        "name-and-topic",
        "redaction",
        "room-type",
        "room-type-of-others",
    ];
    its_own_cases_notice("ti-messenger", &either.map(|name| format!("ti-messenger/{name}")));
}

#[test]
fn the_armed_forces_have_encryption_scanners_and_lists() {
    let either = ["acl-by-others", "no-preview"];
    its_own_cases_notice("bw-messenger", &either.map(|name| format!("bw-messenger/{name}")));
}

#[test]
fn the_administration_has_access_rules() {
    its_own_cases_notice("tchap", &["tchap/unrestricted-invite".to_owned()]);
}

#[test]
fn profiles_choose_cases() {
    let ids = |arguments: &[&str]| -> Vec<String> {
        let listed = output(&[&["run", "--list"], arguments].concat());
        let lines = text(&listed.stdout);
        lines.lines().map(|line| line.split_whitespace().nth(2).unwrap().to_owned()).collect()
    };
    let all = ids(&[]);
    assert!(all.iter().all(|id| id.starts_with(|first: char| first.is_ascii_digit())), "of the draft alone");
    assert_eq!(ids(&["--profile", "strict"]), all);
    assert_eq!(ids(&["--profile", "core"]), ids(&["--level", "must"]));
    let closed = ids(&["--profile", "closed-federation"]);
    assert!(closed.iter().any(|id| id == "closed-federation/outsider"));
    assert!(closed.iter().any(|id| id.starts_with("12.4/")) && closed.len() < all.len());
    assert_eq!(ids(&["--profile", file_of("core").to_str().unwrap()]), ids(&["--profile", "core"]));
}

#[test]
fn a_profile_that_is_none_ends_with_2() {
    let unknown = output(&["run", "--profile", "telepathy"]);
    assert_eq!(code(&unknown), 2);
    for name in PROFILES {
        assert!(text(&unknown.stderr).contains(name), "it names those that there are: {name}");
    }
    assert_eq!(code(&output(&["run", "--profile", "/nowhere.toml"])), 2);
    assert_eq!(code(&output(&["run", "--outsider-host", "outside.example"])), 2, "without a profile");
}

#[test]
fn every_form_of_a_report_names_the_profile() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (json, html, junit, markdown) = (path("r.json"), path("r.html"), path("r.xml"), path("r.md"));
    let forms = ["--json", &json, "--html", &html, "--junit", &junit, "--markdown", &markdown];
    let run = ["run", "--profile", "strict", "--only", "5.2.3/knock"];
    let done = output(&[&run[..], &forms[..]].concat());
    assert_eq!(code(&done), 0, "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("profile strict: "));
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(
        (&report["profile"]["name"], &report["profile"]["counts"]),
        (&json!("strict"), &json!("SHOULD"))
    );
    let schema: Value = serde_json::from_str(include_str!("../../report.schema.json")).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&report));
    for (file, says) in [
        (html, "Profile <strong>strict"),
        (junit, "name=\"profile\" value=\"strict\""),
        (markdown, "profile strict"),
    ] {
        assert!(std::fs::read_to_string(&file).unwrap().contains(says), "{file}");
    }
}
