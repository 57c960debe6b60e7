//! Whole servers as notaries (LM-04 §12.4.1.3), over the wire and from one run to the next.

use mimi_linearized::signing::{ServerKeyRing, check_object};
use mimi_transport::api::query_keys;
use mimi_transport::client::CallLimits;

use super::*;

/// What the answer of `notary` to this request is.
async fn get(asker: &Place, notary: &Place, target: &str) -> (u16, Value) {
    let client = &asker.node().client;
    let answer = client.get_unsigned(&notary.name, target, CallLimits::default()).await.unwrap();
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notary_outlives_the_server_and_its_own_restart() {
    let world = World::new();
    let (mut notary, mut server, asker) = (world.server().await, world.server().await, world.server().await);
    let target = query_keys::target(&server.name, None);
    let mut ring = ServerKeyRing::new();
    for place in [&notary, &server] {
        ring.add(&place.node().own_keys.publish(&place.name));
    }
    let (status, first) = get(&asker, &notary, &target).await;
    assert_eq!(status, 200);
    let objects = first["server_keys"].as_array().unwrap();
    assert_eq!(objects.len(), 1, "{first}");
    for signer in [&notary.name, &server.name] {
        check_object(objects[0].as_object().unwrap(), signer, &ring, clock::now_ms()).unwrap();
    }
    server.go_away().await;
    notary.go_away().await;
    world.come_back(&mut notary).await;
    assert_eq!(get(&asker, &notary, &target).await, (200, first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_malformed_by_its_minimum_alone() {
    let world = World::new();
    let (notary, asker) = (world.server().await, world.server().await);
    let path = query_keys::target(&asker.name, None);
    for minimum in ["", "soon", "1.5", "99999999999999999999"] {
        let (status, answer) =
            get(&asker, &notary, &format!("{path}?minimum_valid_until_ts={minimum}")).await;
        assert_eq!((status, answer["errcode"].as_str()), (400, Some("M_BAD_JSON")), "{minimum}");
    }
    let nobody = json!({"server_keys": []});
    for path in ["/_matrix/key/v2/query/1.2.3.4", "/_matrix/key/v2/query/a%20b"] {
        assert_eq!(get(&asker, &notary, path).await, (200, nobody.clone()), "{path}");
    }
}
