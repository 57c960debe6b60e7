use std::collections::BTreeSet;

use super::*;
use crate::api::route_paths;

fn committed() -> Value {
    serde_json::from_str(include_str!("../../../federation-api.json")).unwrap()
}

#[test]
fn the_file_is_what_the_types_give() {
    // Compared as JSON: the order of members is not the same in every build.
    assert!(
        committed() == document(),
        "cargo run -p mimi-transport --example federation_api > transport/federation-api.json"
    );
}

/// Every path is a route and the other way round.
#[test]
fn paths_are_routes() {
    let document = document();
    let described: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let routes = route_paths();
    let routes: BTreeSet<&str> = routes.iter().map(String::as_str).collect();
    assert_eq!(described, routes);
}

#[test]
fn operations_have_names_of_their_own() {
    let document = document();
    let operations = document["paths"].as_object().unwrap().values().flat_map(|at| at.as_object().unwrap());
    let ids: Vec<&str> =
        operations.map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    assert!(ids.contains(&"put_federation_v2_send"), "{ids:?}");
    assert!(ids.contains(&"put_send_unstable"), "{ids:?}");
}

/// Every schema in the document, with the document's own schemas to refer to, is one.
#[test]
fn schemas_are_schemas() {
    fn schemas<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    if key == "schema" { found.push(value) } else { schemas(value, found) }
                }
            }
            Value::Array(elements) => elements.iter().for_each(|value| schemas(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    schemas(&document["paths"], &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for schema in found {
        let whole = json!({"allOf": [schema], "components": document["components"]});
        jsonschema::draft202012::new(&whole).unwrap();
    }
}

/// What the draft gives as examples of bodies fits, and what it forbids does not.
#[test]
fn the_drafts_limits_are_in_the_schemas() {
    let document = document();
    let fits = |name: &str, body: &Value| {
        let whole =
            json!({"$ref": format!("#/components/schemas/{name}"), "components": document["components"]});
        jsonschema::draft202012::new(&whole).unwrap().is_valid(body)
    };
    let edu = json!({"type": "m.direct_to_device", "sender": "@alice:example.org", "content": {}});
    assert!(fits("Transaction", &json!({"edus": vec![&edu; 100]})));
    assert!(!fits("Transaction", &json!({"edus": vec![&edu; 101]})));
    let lpdu = json!({
        "room_id": "!room:example.org", "type": "m.room.message", "sender": "@bob:example.com",
        "origin_server_ts": 1, "hub_server": "example.org", "content": {}, "hashes": {"lpdu": {"sha256": "x"}},
        "signatures": {"example.com": {"ed25519:1": "x"}},
    });
    assert!(fits("Lpdu", &lpdu) && !fits("Pdu", &lpdu));
    assert!(fits("Transaction", &json!({"pdus": vec![&lpdu; 50]})));
    assert!(!fits("Transaction", &json!({"pdus": vec![&lpdu; 51]})));
    let mut half = lpdu;
    half["prev_events"] = json!(["$x"]);
    assert!(!fits("Lpdu", &half) && !fits("Pdu", &half), "neither LPDU nor PDU (reading R01)");
    assert!(fits("Claim", &json!({"one_time_keys": {"@alice:example.org": {"ABCD": "m.mls"}}})));
    assert!(!fits("Claim", &json!({})));
    assert!(!fits("ErrorAnswer", &json!({"error": "no code"})));
    assert!(fits(
        "KeyQuery",
        &json!({"server_keys": {"example.org": {"ed25519:0": {"minimum_valid_until_ts": 1}}}})
    ));
    assert!(!fits("KeyQuery", &json!({"server_keys": []})));
}
