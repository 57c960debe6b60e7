//! One endpoint as it is described.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::shapes::ErrorAnswer;
use crate::api::{Paths, UNSTABLE_PREFIX};
use crate::error::ApiError;

/// The name of the scheme of requests that prove who sent them.
pub(super) const X_MATRIX: &str = "X-Matrix";

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What is described of an endpoint. Its file makes it, out of its own types.
#[derive(Debug)]
pub(crate) struct Endpoint {
    method: Method,
    paths: Paths,
    section: &'static str,
    summary: &'static str,
    query: Vec<QueryParameter>,
    body: Option<SchemaOf>,
    answer: SchemaOf,
    authenticated: bool,
    rate_limited: bool,
    errors: Vec<ApiError>,
    passes_errors_on: bool,
    /// What is answered, if that is no JSON: its type, and what it is.
    other: Option<(&'static str, &'static str)>,
}

#[derive(Debug)]
struct QueryParameter {
    name: &'static str,
    what: &'static str,
    required: bool,
    schema: SchemaOf,
}

impl Endpoint {
    /// An endpoint with the section of LM-04 that has it, and what it does in a few words. Answers are of type `A`.
    ///
    /// It is authenticated and rate-limited unless told otherwise, and answers 500 `M_UNKNOWN` if it cannot help it.
    pub(crate) fn new<A: JsonSchema>(
        method: Method,
        paths: Paths,
        section: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            paths,
            section,
            summary,
            query: Vec::new(),
            body: None,
            answer: SchemaGenerator::subschema_for::<A>,
            authenticated: true,
            rate_limited: true,
            errors: vec![ApiError::unknown("")],
            passes_errors_on: false,
            other: None,
        }
    }

    /// A parameter in the query that has to be there.
    pub(crate) fn query<T: JsonSchema>(mut self, name: &'static str, what: &'static str) -> Self {
        let schema = SchemaGenerator::subschema_for::<T>;
        self.query.push(QueryParameter { name, what, required: true, schema });
        self.refuses([ApiError::bad_json("")])
    }

    /// A parameter in the query that may be missing.
    pub(crate) fn optional_query<T: JsonSchema>(mut self, name: &'static str, what: &'static str) -> Self {
        let schema = SchemaGenerator::subschema_for::<T>;
        self.query.push(QueryParameter { name, what, required: false, schema });
        self.refuses([ApiError::bad_json("")])
    }

    /// The type of the request's body.
    pub(crate) fn body<B: JsonSchema>(mut self) -> Self {
        self.body = Some(SchemaGenerator::subschema_for::<B>);
        self.refuses([ApiError::not_json(""), ApiError::bad_json(""), ApiError::too_large(0)])
    }

    /// The errors that it answers with of its own, each with its status.
    pub(crate) fn refuses(mut self, errors: impl IntoIterator<Item = ApiError>) -> Self {
        self.errors.extend(errors);
        self
    }

    /// It also answers with whatever error another server answered with.
    pub(crate) fn passes_errors_on(mut self) -> Self {
        self.passes_errors_on = true;
        self
    }

    /// It answers with something else than JSON when it does not refuse.
    pub(crate) fn answers_with(mut self, content_type: &'static str, what: &'static str) -> Self {
        self.other = Some((content_type, what));
        self
    }

    /// Anybody may use it.
    pub(crate) fn unauthenticated(mut self) -> Self {
        self.authenticated = false;
        self
    }

    /// The draft has no rate limit for it.
    pub(crate) fn unlimited(mut self) -> Self {
        self.rate_limited = false;
        self
    }

    /// Its paths, as templates, each with the operation there.
    pub(super) fn operations(&self, schemas: &mut SchemaGenerator) -> Vec<(String, String, Value)> {
        let method = self.method.as_str().to_ascii_lowercase();
        let paths = std::iter::once(&self.paths.stable).chain(&self.paths.unstable);
        paths.map(|path| (path.clone(), method.clone(), self.operation(path, schemas))).collect()
    }

    fn operation(&self, path: &str, schemas: &mut SchemaGenerator) -> Value {
        let mut operation = Map::new();
        let mut set = |key: &str, value: Value| drop(operation.insert(key.to_owned(), value));
        set("operationId", json!(operation_id(&self.method, path)));
        set("summary", json!(self.summary));
        set("description", json!(self.description(path)));
        let parameters = self.parameters(path, schemas);
        if !parameters.is_empty() {
            set("parameters", Value::Array(parameters));
        }
        if let Some(body) = self.body {
            set("requestBody", json!({"required": true, "content": json_of(&body(schemas))}));
        }
        set("responses", self.responses(schemas));
        set("security", if self.authenticated { json!([{ X_MATRIX: [] }]) } else { json!([]) });
        Value::Object(operation)
    }

    fn description(&self, path: &str) -> String {
        let source = self.section;
        let source =
            if source.starts_with('R') { format!("Reading {source}.") } else { format!("LM-04 §{source}.") };
        if self.paths.unstable.as_deref() == Some(path) {
            format!("{source} The same as `{}`, until that path is final (reading R24).", self.paths.stable)
        } else {
            source
        }
    }

    fn parameters(&self, path: &str, schemas: &mut SchemaGenerator) -> Vec<Value> {
        let in_path = placeholders(path).map(|name| {
            json!({
                "name": name, "in": "path", "required": true, "description": what_is(name),
                "schema": {"type": "string"},
            })
        });
        let mut parameters: Vec<Value> = in_path.collect();
        for QueryParameter { name, what, required, schema } in &self.query {
            let schema = schema(schemas);
            parameters.push(
                json!({"name": name, "in": "query", "required": required, "description": what, "schema": schema}),
            );
        }
        parameters
    }

    fn responses(&self, schemas: &mut SchemaGenerator) -> Value {
        let mut responses = Map::new();
        let mut set = |status: &str, what: &str, schema: &Schema| {
            let response = json!({"description": what, "content": json_of(schema)});
            responses.insert(status.to_owned(), response);
        };
        if self.other.is_none() {
            set("200", "Done.", &(self.answer)(schemas));
        }
        let error = schemas.subschema_for::<ErrorAnswer>();
        for (status, codes) in self.codes() {
            let what: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
            let codes = json!({"properties": {"errcode": {"enum": codes}}});
            if let Ok(schema) = Schema::try_from(json!({"allOf": [error, codes]})) {
                set(&status.to_string(), &what.join(", "), &schema);
            }
        }
        if self.passes_errors_on {
            set("default", "What another server answered.", &error);
        }
        if let Some((content_type, what)) = self.other {
            let content = json!({content_type: {"schema": {"type": "string", "format": "binary"}}});
            responses.insert("200".to_owned(), json!({"description": what, "content": content}));
        }
        Value::Object(responses)
    }

    /// The errcodes that come with each status.
    fn codes(&self) -> BTreeMap<u16, BTreeSet<String>> {
        let mut errors = self.errors.clone();
        if self.authenticated {
            errors.extend([ApiError::unauthenticated(""), ApiError::forbidden("")]);
        }
        errors.extend(self.rate_limited.then(|| ApiError::limit_exceeded(0)));
        let mut codes: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
        for error in errors {
            codes.entry(error.status().as_u16()).or_default().insert(error.code().as_str().to_owned());
        }
        codes
    }
}

fn json_of(schema: &Schema) -> Value {
    json!({"application/json": {"schema": schema}})
}

/// The names between braces in a template.
fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn what_is(placeholder: &str) -> &'static str {
    match placeholder {
        "room" => "The room's id.",
        "event" => "The event's id.",
        "user" => "The user's id.",
        "device" => "The device's id.",
        "media" => "The item's id.",
        "server" => "The server's name.",
        "txn" => "The transaction's id, which the sender makes up (LM-04 §12.2.5).",
        _ => "",
    }
}

/// A name for an operation: its method and what is fixed of its path.
fn operation_id(method: &Method, path: &str) -> String {
    let (rest, suffix) = path.strip_prefix(UNSTABLE_PREFIX).map_or((path, ""), |rest| (rest, "_unstable"));
    let rest = rest.trim_start_matches("/_matrix/");
    let words = rest.split('/').filter(|word| !word.is_empty() && !word.starts_with('{'));
    let words: Vec<String> = words.map(|word| word.replace(['-', '.'], "_")).collect();
    format!("{}_{}{suffix}", method.as_str().to_ascii_lowercase(), words.join("_"))
}
