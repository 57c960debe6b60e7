//! The control API as `control-api.yaml` describes it.

use serde_json::{Value, json};

use super::{Serving, http};

/// The description, which others implement from.
const DESCRIPTION: &str = include_str!("../../control-api.yaml");

/// Every path of the description with its methods, by the file's indentation.
fn operations() -> Vec<(&'static str, String)> {
    let paths = DESCRIPTION.lines().skip_while(|line| *line != "paths:").skip(1);
    let (mut path, mut operations) = ("", Vec::new());
    for line in paths.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        let entry = line.trim_start();
        match (line.len() - entry.len(), entry.strip_suffix(':')) {
            (2, Some(entry)) => path = entry,
            (4, Some(method @ ("get" | "post" | "put" | "delete"))) => {
                operations.push((path, method.to_uppercase()));
            }
            _ => {}
        }
    }
    operations
}

#[test]
fn the_server_has_every_operation_of_the_description() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), "localhost:9", "127.0.0.1:0", &[]);
    let address = serving.address("control");
    let operations = operations();
    assert_eq!(operations.len(), 26, "{operations:?}");
    for (path, method) in operations {
        let path = path
            .replace("{room}", "%21nowhere%3Alocalhost%3A9")
            .replace("{user}", "alice")
            .replace("{target}", "%40bob%3Alocalhost%3A9")
            .replace("{device}", "NONE")
            .replace("{media}", "none")
            .replace("{server}", "localhost%3A9")
            .replace("{event}", "%24nothing");
        let body = matches!(method.as_str(), "POST" | "PUT").then(|| json!({}));
        let (status, answer) = http(&address, &method, &format!("/control/v1{path}"), body.as_ref());
        assert_ne!(answer["errcode"], "M_UNRECOGNIZED", "{method} {path}: {status} {answer}");
        assert_ne!(answer, Value::Null, "{method} {path}: {status}");
        // Nothing was asked of it that it could do, except to show what is empty, to take anything as an item, and to
        // replace its key.
        let shows = method == "GET" && (path.ends_with("/inbox") || path.ends_with("/permissions"));
        let fine = shows || path.ends_with("/rotate-key") || path.ends_with("/users/alice/media");
        let expected = if fine { 200..=200 } else { 400..=404 };
        assert!(expected.contains(&status), "{method} {path}: {status} {answer}");
        assert_eq!(answer["errcode"].is_string() && answer["error"].is_string(), !fine, "{answer}");
    }
    let (status, answer) = http(&address, "GET", "/control/v1/nothing", None);
    assert_eq!((status, &answer["errcode"]), (404, &json!("M_UNRECOGNIZED")));
}
