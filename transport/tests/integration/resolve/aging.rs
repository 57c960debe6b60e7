//! A connection is kept no longer than the resolution that it came from.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Method;
use http::header::CACHE_CONTROL;
use mimi_transport::client::FederationClient;

use super::web_host::Page;
use super::{MINUTE_MS, Net};
use crate::server::{Server, name, soon};

/// Two servers to which a third name can delegate. They answer with their name and the port of the connection.
async fn net() -> (Net, [Server; 2]) {
    let mut net = Net::new(&["a.example"]).await;
    let mut servers = Vec::new();
    for host in ["one.example", "two.example"] {
        let seen = async move |ConnectInfo(peer): ConnectInfo<SocketAddr>| format!("{host} {}", peer.port());
        servers.push(net.world.start(host, Router::new().fallback(seen)).await);
        net.dns.addresses(host, &["127.0.0.1"]);
    }
    let servers = servers.try_into().map_err(|_| "two servers").unwrap();
    (net, servers)
}

fn delegate(net: &Net, to: &Server, cache: &str) {
    let page = Page::delegation(&format!("{}:{}", to.name, to.address.port()));
    net.web.says("a.example", page.with(CACHE_CONTROL, cache));
}

/// Who answers, and on which connection.
async fn ask(client: &FederationClient) -> String {
    let answer = soon(client.request(&name("a.example"), &Method::GET, "/", None)).await.unwrap();
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_connection_ends_with_the_delegation_that_led_to_it() {
    let (net, [one, two]) = net().await;
    delegate(&net, &one, "max-age=600");
    let client = net.client();
    let first = ask(&client).await;
    assert!(first.starts_with("one.example "), "{first}");
    delegate(&net, &two, "max-age=600");
    net.world.hands.advance(10 * MINUTE_MS - 1);
    assert_eq!(ask(&client).await, first, "the delegation is still kept");
    net.world.hands.advance(1);
    let second = ask(&client).await;
    assert!(second.starts_with("two.example "), "{second}");
    assert_eq!(ask(&client).await, second);
}

#[tokio::test]
async fn a_connection_that_is_still_right_goes_on() {
    let (net, [one, two]) = net().await;
    delegate(&net, &one, "max-age=600");
    let client = net.client();
    let first = ask(&client).await;
    net.world.hands.advance(10 * MINUTE_MS);
    assert_eq!(ask(&client).await, first);
    assert_eq!(net.web.requests().len(), 2, "the host was asked again");
    // It has become younger by that.
    delegate(&net, &two, "max-age=600");
    net.world.hands.advance(10 * MINUTE_MS - 1);
    assert_eq!(ask(&client).await, first);
    net.world.hands.advance(1);
    assert_ne!(ask(&client).await, first);
}

#[tokio::test]
async fn a_delegation_that_is_not_to_be_kept_is_asked_for_once_a_minute() {
    let (net, [one, two]) = net().await;
    delegate(&net, &one, "no-store");
    let client = net.client();
    let first = ask(&client).await;
    delegate(&net, &two, "no-store");
    net.world.hands.advance(MINUTE_MS - 1);
    assert_eq!(ask(&client).await, first);
    assert_eq!(net.web.requests().len(), 1);
    net.world.hands.advance(1);
    assert!(ask(&client).await.starts_with("two.example "));
}
