//! The description as a test reads it, by the rules of OpenAPI and not by what made it.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use jsonschema::Validator;
use mimi_linearized::id::ServerName;
use serde_json::{Value, json};

use super::recorder::Recorded;

/// What need not be seen: what a scanner says, errors of an overloaded or broken server, and of bodies that take long to send.
const RARE: &[&str] = &[
    "M_LIMIT_EXCEEDED",
    "M_UNKNOWN",
    "M_TOO_LARGE",
    "M_BAD_STATE",
    "MCS_MEDIA_NOT_CLEAN",
    "M_NOT_YET_UPLOADED",
];

pub(super) struct Description {
    operations: Vec<Operation>,
}

pub(super) struct Operation {
    pub(super) method: Method,
    path: String,
    pub(super) has_body: bool,
    pub(super) authenticated: bool,
    query: Vec<(String, bool)>,
    body: Option<Validator>,
    answers: BTreeMap<String, Validator>,
    /// The type of what is answered with success, if that is no JSON.
    other: Option<String>,
    codes: BTreeSet<String>,
}

/// Which operation an exchange was of, and what was answered: the status, and the errcode if there was one.
#[derive(Debug)]
pub(super) struct Seen {
    path: String,
    method: Method,
    code: Option<String>,
}

/// Closes every object that says nothing of members that are not described.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            if object.get("type") == Some(&json!("object")) {
                object.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(close),
        _ => {}
    }
}

impl Description {
    pub(super) fn of(document: &Value) -> Self {
        let mut components = document["components"].clone();
        close(&mut components["schemas"]);
        let validator = |media: &Value| {
            let schema = &media["content"]["application/json"]["schema"];
            assert!(schema.is_object(), "{media}");
            jsonschema::draft202012::new(&json!({"allOf": [schema], "components": components})).unwrap()
        };
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let query = parameters.filter(|parameter| parameter["in"] == "query").map(|parameter| {
                    (parameter["name"].as_str().unwrap().to_owned(), parameter["required"] == json!(true))
                });
                let codes = responses.values().flat_map(|response| {
                    let schema = &response["content"]["application/json"]["schema"];
                    schema["allOf"][1]["properties"]["errcode"]["enum"]
                        .as_array()
                        .cloned()
                        .unwrap_or_default()
                });
                let content = responses["200"]["content"].as_object().unwrap();
                let other = content.keys().find(|kind| *kind != "application/json").cloned();
                let json = responses.iter().filter(|(status, _)| other.is_none() || *status != "200");
                operations.push(Operation {
                    other: other.clone(),
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.clone(),
                    has_body: operation.get("requestBody").is_some(),
                    authenticated: operation["security"] != json!([]),
                    query: query.collect(),
                    body: operation.get("requestBody").map(validator),
                    answers: json.map(|(status, answer)| (status.clone(), validator(answer))).collect(),
                    codes: codes.map(|code| code.as_str().unwrap().to_owned()).collect(),
                });
            }
        }
        Self { operations }
    }

    pub(super) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Holds a request and its answer against the operation that they belong to.
    pub(super) fn check(&self, exchange: &Recorded) -> Seen {
        let Recorded { method, target, status, .. } = exchange;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut found =
            self.operations.iter().filter(|operation| operation.method == *method && operation.is(path));
        let operation = found.next();
        assert!(operation.is_some(), "{method} {target} is not described");
        let operation = operation.unwrap();
        assert!(found.next().is_none(), "{method} {target} is described twice");

        if let Some(kind) = operation.other.as_deref().filter(|_| status.is_success()) {
            let answered = exchange.content_type.as_deref().unwrap_or_default();
            assert_eq!(answered.split(';').next(), Some(kind), "{method} {target}");
            return Seen { path: operation.path.clone(), method: method.clone(), code: None };
        }
        let answer = serde_json::from_slice::<Value>(&exchange.answer);
        assert!(answer.is_ok(), "{method} {target} is answered {status} without JSON");
        let answer = answer.unwrap();
        assert_eq!(exchange.content_type.as_deref(), Some("application/json"), "{method} {target}");
        let described = operation.answers.get(status.as_str()).or_else(|| operation.answers.get("default"));
        assert!(
            described.is_some(),
            "{method} {target} is answered {status} {answer}, which is not described"
        );
        let described = described.unwrap();
        fits(described, &answer, &format!("the answer {status} to {method} {target}"));

        if status.is_success() {
            // What is refused need not be as described; what is not, has to be.
            if let Some(body) = &operation.body {
                let sent = serde_json::from_slice(&exchange.body).unwrap();
                fits(body, &sent, &format!("the body of {method} {target}"));
            }
            let names: BTreeSet<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
            for name in names.iter().filter(|name| !name.is_empty()) {
                assert!(
                    operation.query.iter().any(|(known, _)| known == name),
                    "{target}: {name} is not described"
                );
            }
            for (name, required) in &operation.query {
                assert!(!required || names.contains(name.as_str()), "{target} is answered without {name}");
            }
        }
        let code = answer.get("errcode").map(|code| code.as_str().unwrap().to_owned());
        let code = code.filter(|_| !status.is_success());
        Seen { path: operation.path.clone(), method: method.clone(), code }
    }

    /// Every operation was answered with success and with an error, and every error was seen.
    pub(super) fn check_coverage(&self, seen: &[Seen]) {
        let all: BTreeSet<&str> =
            self.operations.iter().flat_map(|operation| &operation.codes).map(|c| &**c).collect();
        let codes: BTreeSet<&str> = seen.iter().filter_map(|seen| seen.code.as_deref()).collect();
        let unseen: Vec<_> = all.difference(&codes).filter(|code| !RARE.contains(code)).collect();
        assert!(unseen.is_empty(), "{unseen:?} never came");
        for operation in &self.operations {
            let here =
                || seen.iter().filter(|seen| seen.path == operation.path && seen.method == operation.method);
            let what = format!("{} {}", operation.method, operation.path);
            assert!(here().any(|seen| seen.code.is_none()), "{what} was never answered with success");
            let refuses = operation.codes.iter().any(|code| !RARE.contains(&code.as_str()));
            assert!(!refuses || here().any(|seen| seen.code.is_some()), "{what} never refused anything");
        }
    }
}

fn fits(schema: &Validator, value: &Value, what: &str) {
    let faults: Vec<String> = schema.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(faults.is_empty(), "{what} is not as described: {faults:?}: {value}");
}

impl Operation {
    /// Whether a path is one of the template's.
    fn is(&self, path: &str) -> bool {
        let (mut wanted, mut segments) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), segments.next()) {
                (None, None) => return true,
                (Some(wanted), Some(segment)) if wanted == segment || wanted.starts_with('{') => {}
                _ => return false,
            }
        }
    }

    /// A sound request for what does not exist.
    pub(super) fn target_of_nothing(&self, server: &ServerName) -> String {
        let port = server.as_str().rsplit(':').next().unwrap();
        let path = self
            .path
            .replace("{room}", &format!("%21none%3Alocalhost%3A{port}"))
            .replace("{user}", &format!("%40nobody%3Alocalhost%3A{port}"))
            .replace("{event}", "%24none")
            .replace("{device}", "NONE")
            .replace("{media}", "none")
            .replace("{server}", &format!("localhost%3A{port}"))
            .replace("{txn}", "nothing");
        assert!(!path.contains('{'), "{path}");
        let value = |name: &str| match name {
            "limit" => "1",
            "ver" => "I.1",
            _ => "%24none",
        };
        let query: Vec<String> =
            self.query.iter().map(|(name, _)| format!("{name}={}", value(name))).collect();
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }
}
