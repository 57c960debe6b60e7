//! What `mimi run` leaves behind: forms of the report, expectations, comparisons and bundles.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use super::html::sample;
use super::{Serving, code, output, text};

fn schema() -> jsonschema::Validator {
    let schema = serde_json::from_str(include_str!("../../report.schema.json")).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

fn assert_is_report(report: &Value) {
    let errors: Vec<_> = schema().iter_errors(report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Runs the program in a folder.
fn run_in(folder: &Path, arguments: &[&str]) -> std::process::Output {
    super::mimi(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn a_run_leaves_every_form_of_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_in(
        folder.path(),
        &[
            "run",
            "--only",
            "5.2.3/k*",
            "--seed",
            "5",
            "--json",
            "r.json",
            "--junit",
            "r.xml",
            "--html",
            "r.html",
            "--markdown",
            "r.md",
            "--badge",
            "r.svg",
        ],
    );
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let file = |name: &str| read(&folder.path().join(name));
    let report: Value = serde_json::from_str(&file("r.json")).unwrap();
    assert_is_report(&report);
    let cases = report["cases"].as_array().unwrap().len();
    assert!(cases > 0);
    let junit = file("r.xml");
    assert!(junit.contains(&format!("tests=\"{cases}\" skipped=\"0\" failures=\"0\"")), "{junit}");
    assert!(junit.contains("classname=\"LM-04.5.2.3\"") && junit.contains("name=\"covers\""), "{junit}");
    assert!(file("r.html").starts_with("<!DOCTYPE html>"));
    assert!(file("r.md").starts_with("### Linearized Matrix (LM-04): every required case of the "));
    assert!(file("r.svg").contains(&format!("LM-04 cases: {cases} of {cases} pass, ")), "{}", file("r.svg"));

    // The same forms come from the JSON again.
    let again = run_in(
        folder.path(),
        &["report", "r.json", "--junit", "2.xml", "--html", "2.html", "--markdown", "2.md"],
    );
    assert_eq!(code(&again), 0, "{}", text(&again.stderr));
    assert_eq!((file("2.xml"), file("2.html"), file("2.md")), (junit, file("r.html"), file("r.md")));
    assert_eq!(text(&again.stdout), text(&output.stdout));
}

#[test]
fn the_schema_takes_reports_and_not_everything() {
    assert_is_report(&sample());
    let broken: [fn(&mut Value); 6] = [
        |report| report["format"] = json!(2),
        |report| report["cases"][0]["verdict"] = json!("compliant"),
        |report| report["cases"][1]["evidence"][0]["status"] = json!("200"),
        |report| report["cases"][1]["evidence"][0]["headers"] = json!([["alone"]]),
        |report| report["more"] = json!(1),
        |report| drop(report["summary"].as_object_mut().unwrap().remove("expected")),
    ];
    for (number, breaks) in broken.into_iter().enumerate() {
        let mut report = sample();
        breaks(&mut report);
        assert!(!schema().is_valid(&report), "{number}");
    }
}

#[test]
fn junit_says_what_failed_was_skipped_and_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.json"), sample().to_string()).unwrap();
    let output = run_in(
        folder.path(),
        &["report", "r.json", "--junit", "r.xml", "--markdown", "r.md", "--badge", "r.svg"],
    );
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let junit = read(&folder.path().join("r.xml"));
    assert!(junit.contains("tests=\"8\" skipped=\"2\" failures=\"3\" errors=\"0\""), "{junit}");
    for (case, inside) in [
        ("3.1/proper-names", "name=\"verdict\" value=\"pass\""),
        ("5.1/forged-signature", "<failure message=\"it is to be rejected"),
        ("5.2.3/ban", "<skipped message=\"expected to fail: "),
        ("5.2.3/knock", "type=\"unexpected pass\""),
        ("6/small-order-r", "<system-out>warn: it takes it</system-out>"),
        ("12.3/service", "<skipped message="),
    ] {
        let start =
            junit.find(&format!("<testcase name=\"{case}: ")).unwrap_or_else(|| panic!("{case}: {junit}"));
        let end = start + junit[start..].find("</testcase>").unwrap();
        assert!(junit[start..end].contains(inside), "{}", &junit[start..end]);
    }
    assert!(!junit.contains("<script"));
    let markdown = read(&folder.path().join("r.md"));
    assert!(
        markdown.contains("- `5.1/forged-signature` (MUST): ")
            && !markdown.contains("<script")
            && !markdown.contains("<img")
    );
    assert!(
        markdown.contains("**Passed, and were expected to fail**")
            && markdown.contains("<https://example.org/issue/1>")
    );
    let badge = read(&folder.path().join("r.svg"));
    assert!(badge.contains("3 of 7 pass, 3 fail") && !badge.contains("script"), "{badge}");
}

#[test]
fn an_earlier_report_is_compared_with_and_does_not_change_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        run_in(folder.path(), &[&["run", "--only", "5.2.3/k*", "--json", "now.json"], more].concat())
    };
    assert_eq!(code(&run(&[])), 0);
    let mut earlier: Value = serde_json::from_str(&read(&folder.path().join("now.json"))).unwrap();
    let cases = earlier["cases"].as_array_mut().unwrap();
    cases[0]["verdict"] = json!("fail");
    cases.push(json!({"id": "99/gone", "verdict": "pass"}));
    let (first, new) =
        (cases[0]["id"].as_str().unwrap().to_owned(), cases.remove(1)["id"].as_str().unwrap().to_owned());
    std::fs::write(folder.path().join("earlier.json"), earlier.to_string()).unwrap();
    let output = run(&["--baseline", "earlier.json"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for line in
        [format!("better   {first}: fail -> pass"), format!("new      {new}"), "removed  99/gone".to_owned()]
    {
        assert!(printed.contains(&line), "{line}: {printed}");
    }
    assert!(printed.contains("1 better, 0 worse, 0 unknown, 1 new, 1 removed"), "{printed}");
    let report: Value = serde_json::from_str(&read(&folder.path().join("now.json"))).unwrap();
    assert_is_report(&report);
    assert_eq!(report["baseline"]["better"], json!([{"id": first, "before": "fail", "now": "pass"}]));

    std::fs::write(folder.path().join("earlier.json"), "{}").unwrap();
    assert_eq!(code(&run(&["--baseline", "earlier.json"])), 2, "no report");
}

#[test]
fn a_case_that_passes_although_it_was_expected_to_fail_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let expect = |text: &str| {
        std::fs::write(folder.path().join("known.toml"), text).unwrap();
        run_in(folder.path(), &["run", "--only", "5.2.3/k*", "--expect", "known.toml", "--json", "r.json"])
    };
    let output = expect("[[expect]]\ncase = '5.2.3/knock'\nreason = 'knocking is not there yet'\n");
    assert_eq!(code(&output), 1);
    assert!(
        text(&output.stdout).contains("it was expected to fail: knocking is not there yet"),
        "{}",
        text(&output.stdout)
    );
    let report: Value = serde_json::from_str(&read(&folder.path().join("r.json"))).unwrap();
    assert_is_report(&report);
    assert_eq!(report["summary"]["unexpected_passes"], 1);
    // What is expected of cases that are not run does not matter; a pattern for none of the suite does.
    assert_eq!(code(&expect("[[expect]]\ncase = '12.3/*'\nreason = 'x'\n")), 0);
    let output = expect("[[expect]]\ncase = '12.33/*'\nreason = 'x'\n");
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("no case matches \"12.33/*\""), "{}", text(&output.stderr));
}

/// A control API that says of every room that it is made, and makes none.
fn lying_driver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            // Requests of the suite are small, and their bodies end with a brace.
            let is_whole = |request: &[u8]| {
                request.ends_with(b"}") || (request.starts_with(b"GET") && request.ends_with(b"\r\n\r\n"))
            };
            while !is_whole(&request) {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            let body = r#"{"room_id":"!nowhere:localhost:9"}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("control=http://{address}")
}

#[test]
fn a_failing_case_leaves_a_bundle_from_which_its_exchange_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let peers = path("peers");
    assert_eq!(code(&output(&["run", "--print-setup", "--peer-ca-dir", &peers])), 0);
    let ca = folder.path().join("peers/ca.pem");
    let data = folder.path().join("data");
    let serving = Serving::start(
        &data,
        "localhost:9",
        "127.0.0.1:0",
        &["--ca", ca.to_str().unwrap(), "--allow-private"],
    );
    let (at, driver) = (format!("localhost:9={}", serving.address("federation")), lying_driver());
    let own_ca = serving.address("ca");
    let run = |more: &[&str]| {
        let target =
            ["run", "--target", "localhost:9", "--resolve", &at, "--ca", &own_ca, "--peer-ca-dir", &peers];
        let driven = ["--driver", &driver, "--only", "5.2.3/ban", "--seed", "3"];
        run_in(folder.path(), &[&target[..], &driven, more].concat())
    };
    let failing = run(&["--json", "r.json", "--html", "r.html", "--bundles", "failures"]);
    assert_eq!(code(&failing), 1, "{}{}", text(&failing.stdout), text(&failing.stderr));
    let report: Value = serde_json::from_str(&read(&folder.path().join("r.json"))).unwrap();
    assert_is_report(&report);
    let case = &report["cases"][0];
    let shows = &case["evidence"][usize::try_from(case["telling"]["exchange"].as_u64().unwrap()).unwrap()];
    assert!(shows["url"].as_str().unwrap().contains("/make_join/") && shows["status"] == 404, "{case}");

    let bundle = folder.path().join("failures").join(case["id"].as_str().unwrap().replace('/', "_"));
    let command = read(&bundle.join("COMMAND"));
    let words: Vec<&str> = command.trim_end().split(' ').collect();
    assert_eq!((words[0], words[1]), ("mimi", "replay"), "{command}");
    let replay =
        |more: &[&str]| run_in(folder.path(), &[&["replay", words[2].trim_matches('\'')], more].concat());
    let repeated = replay(&[]);
    assert_eq!(code(&repeated), 0, "{}{}", text(&repeated.stdout), text(&repeated.stderr));
    let printed = text(&repeated.stdout);
    assert!(
        printed.contains("/make_join/") && printed.contains("the same status and errcode as then"),
        "{printed}"
    );
    let list = text(&replay(&["--list"]).stdout);
    assert!(
        list.lines().filter(|line| line.starts_with('*')).count() == 1 && list.lines().count() >= 2,
        "{list}"
    );
    assert_eq!(code(&replay(&["--exchange", "99"])), 2);
    // The keys and the messages are there for people.
    let files: Vec<String> = std::fs::read_dir(&bundle)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(files.iter().any(|file| file.starts_with("localhost_") && file.ends_with(".key")), "{files:?}");
    assert!(read(&bundle.join("exchanges/01-request.http")).contains("/control/v1/rooms"));

    // Another answer than then is noticed, and so is a target that is gone.
    let file = bundle.join("bundle.json");
    let other = read(&file).replace("\"status\": 404", "\"status\": 200");
    std::fs::write(&file, other).unwrap();
    let repeated = replay(&[]);
    assert_eq!(code(&repeated), 1, "{}", text(&repeated.stdout));
    drop(serving);
    assert_eq!(code(&replay(&[])), 3);

    // What is known to fail does not count.
    std::fs::write(
        folder.path().join("known.toml"),
        "[[expect]]\ncase = '5.2.3/ban'\nreason = 'the driver lies'\n",
    )
    .unwrap();
    let serving = Serving::start(
        &data,
        "localhost:9",
        at.trim_start_matches("localhost:9="),
        &["--ca", ca.to_str().unwrap(), "--allow-private"],
    );
    let expected = run(&["--expect", "known.toml", "--json", "r.json"]);
    assert_eq!(code(&expected), 0, "{}{}", text(&expected.stdout), text(&expected.stderr));
    let report: Value = serde_json::from_str(&read(&folder.path().join("r.json"))).unwrap();
    assert_eq!(report["summary"]["expected"], report["summary"]["failed"]);
    drop(serving);
}
