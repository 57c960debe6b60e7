//! `mimi serve` with a federation policy and settings for media.

use std::fs;

use serde_json::json;

use super::{Serving, code, http, output, text};

const MEDIA: &str = "/control/v1/unstable/org.mimi-interop.media/users/alice/media";

#[test]
fn a_policy_that_is_none_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    let data = folder.path().join("data");
    let start = |more: &[&str]| {
        let mut arguments = vec!["serve", "--server-name", "localhost:9", "--listen", "127.0.0.1:0"];
        arguments.extend(["--data-dir", data.to_str().unwrap(), "--policy", policy.to_str().unwrap()]);
        arguments.extend(more);
        output(&arguments)
    };
    for content in [None, Some("mode = \"closed\""), Some("mode = \"allow\"\nservers = [\"a b\"]")] {
        if let Some(content) = content {
            fs::write(&policy, content).unwrap();
        }
        for more in [&[][..], &["--check-config"]] {
            let ended = start(more);
            let said = format!("{}{}", text(&ended.stderr), text(&ended.stdout));
            assert_eq!(code(&ended), 2, "{content:?} {more:?}: {said}");
            assert!(said.contains("policy.toml"), "{said}");
        }
    }
}

#[test]
fn settings_of_media_are_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "mode = \"allow\"\nservers = [\"*.example\"]").unwrap();
    let policy = ["--policy", policy.to_str().unwrap()];
    let limits = ["--media-quota-bytes", "1KiB", "--media-scanner", "http://127.0.0.1:9/scan"];
    let types = ["--media-deny-type", "image/*"];
    let more = [&policy[..], &limits, &types].concat();
    let serving = Serving::start(&folder.path().join("data"), "localhost:9", "127.0.0.1:0", &more);
    let address = serving.address("control");
    let (status, answer) = http(&address, "GET", MEDIA, None);
    assert_eq!((status, &answer["quota"], &answer["used"]), (200, &json!(1_024), &json!(0)));
    let body = json!("x".repeat(2_000));
    assert_eq!(http(&address, "POST", MEDIA, Some(&body)).0, 413);
    let (status, answer) = http(&address, "POST", MEDIA, Some(&json!({})));
    assert_eq!((status, &answer["size"]), (200, &json!(2)));
}

#[test]
fn settings_of_media_that_are_none_are_refused() {
    for (setting, value) in [
        ("--media-max-bytes", "much"),
        ("--media-deny-type", "image"),
        ("--media-scanner", "ftp://example.org"),
    ] {
        let ended = output(&["serve", setting, value, "--check-config"]);
        assert_eq!(code(&ended), 2, "{setting}");
        let said = format!("{}{}", text(&ended.stderr), text(&ended.stdout));
        assert!(said.contains(value), "{said}");
    }
}
