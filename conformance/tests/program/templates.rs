//! The scripts of the templates under `conformance/ci/`, run as GitHub and GitLab run them. Only the build of the program is
//! left out: what was built for these tests is where the build would have put it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{code, text};

const GITHUB: &str = include_str!("../../ci/github/action.yml");
const GITLAB: &str = include_str!("../../ci/gitlab.yml");

/// The lines of a YAML block after the line that begins so, without their indentation.
fn block(yaml: &str, begins: &str) -> Vec<String> {
    let mut lines = yaml.lines().skip_while(|line| !line.trim_start().starts_with(begins));
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let first = indentation(lines.next().unwrap());
    let inner = lines.take_while(|line| line.trim().is_empty() || indentation(line) > first);
    inner.map(|line| line.trim_start().to_owned()).collect()
}

/// A checkout in which the program is built.
struct Job {
    folder: TempDir,
}

impl Job {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join("mimi/target/release");
        fs::create_dir_all(&release).unwrap();
        symlink(env!("CARGO_BIN_EXE_mimi"), release.join("mimi")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, shell: &[&str], script: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(script).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MIMI_")) {
            command.env_remove(name);
        }
        command.env_remove("CARGO_TARGET_DIR").envs(variables.iter().copied()).output().unwrap()
    }

    /// What the templates promise to leave, whatever the verdict.
    fn has_reports(&self) {
        let at = |name: &str| fs::read_to_string(self.path("interoperability").join(name)).unwrap();
        let report: Value = serde_json::from_str(&at("report.json")).unwrap();
        assert!(!report["cases"].as_array().unwrap().is_empty());
        assert!(at("report.html").starts_with("<!DOCTYPE html>"));
        assert!(at("junit.xml").contains("<testsuites") && at("badge.svg").contains("<svg"));
        assert!(at("summary.md").contains("passed"));
    }
}

/// A list of failures that are not there, so that the run fails.
fn expectation(folder: &Path) -> String {
    let path = folder.join("expected.toml");
    fs::write(&path, "[[expect]]\ncase = \"3.1/*\"\nreason = \"known\"\n").unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_action_for_github_leaves_its_reports_and_says_how_it_ended() {
    let script = block(&GITHUB[GITHUB.find("name: Run the suite").unwrap()..], "run: |").join("\n");
    // What `shell: bash` means there.
    let shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"];
    let job = Job::new();
    let summary = job.path("step-summary.md");
    let expect = expectation(job.folder.path());
    for (expect, ends) in [("", 0), (expect.as_str(), 1)] {
        let _ = fs::remove_file(&summary);
        let variables = [
            ("SOURCE", "mimi"),
            ("TARGET", ""),
            ("DRIVER", ""),
            ("CA", ""),
            ("PEER_CA_DIR", "peers"),
            ("EXPECT", expect),
            ("BASELINE", ""),
            ("MORE", "--seed 7\n--only 3.1/case-of-names\n"),
            ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
        ];
        let output = job.run(&shell, &script, &variables);
        assert_eq!(code(&output), ends, "{}{}", text(&output.stdout), text(&output.stderr));
        job.has_reports();
        assert!(fs::read_to_string(&summary).unwrap().contains("passed"));
        // The second line of the arguments too.
        assert!(
            text(&output.stdout).contains("1 passed, 0 failed") && text(&output.stdout).contains("seed 7")
        );
    }
    // Each variable of the script is one that the action sets.
    let set = block(&GITHUB[GITHUB.find("name: Run the suite").unwrap()..], "env:");
    for name in ["SOURCE", "TARGET", "DRIVER", "CA", "PEER_CA_DIR", "EXPECT", "BASELINE", "MORE"] {
        assert!(
            [format!("${name}\""), format!("${name}/")].iter().any(|used| script.contains(used)),
            "{name}"
        );
        let line = set.iter().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        let input = line.split("inputs.").nth(1).unwrap().split(' ').next().unwrap();
        assert!(GITHUB.contains(&format!("\n  {input}:\n")), "{input}");
    }
}

#[test]
fn the_template_for_gitlab_leaves_its_reports_and_says_how_it_ended() {
    let lines = block(GITLAB, "script:");
    let lines: Vec<_> = lines.iter().map(String::as_str).filter(|line| !line.starts_with('#')).collect();
    let folded = lines.iter().position(|line| *line == "- >").unwrap();
    let plain = lines[..folded].iter().map(|line| line.trim_start_matches("- ").to_owned());
    let commands: Vec<String> = plain.chain([lines[folded + 1..].join(" ")]).collect();
    assert!(commands[0].starts_with("cargo build") && commands.len() == 3, "{commands:?}");
    let (job, shell) = (Job::new(), ["bash", "-eo", "pipefail", "-c"]);
    let only = "--only 3.1/case-of-names";
    let failing = format!("{only} --expect {}", expectation(job.folder.path()));
    for (arguments, ends) in [(only, 0), (failing.as_str(), 1)] {
        let variables = [("MIMI_SOURCE", "mimi"), ("MIMI_ARGUMENTS", arguments)];
        let output = job.run(&shell, &commands[1..].join("\n"), &variables);
        assert_eq!(code(&output), ends, "{}{}", text(&output.stdout), text(&output.stderr));
        job.has_reports();
    }
    for name in ["report.json", "report.html", "junit.xml", "summary.md", "badge.svg"] {
        assert!(commands[2].contains(&format!("interoperability/{name}")), "{name}");
    }
}
