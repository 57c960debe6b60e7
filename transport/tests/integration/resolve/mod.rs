//! Name resolution (LM-04 §12.3) against name servers and web servers on loopback.

mod aging;
pub(crate) mod dns_server;
mod web_host;

use axum::Router;
use hickory_resolver::proto::rr::RecordType;
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, StatusCode, Uri};
use mimi_transport::client::{CallLimits, ClientError, ClientLimits, FederationClient};
use mimi_transport::keys::KEY_PATH;
use mimi_transport::resolve::{
    AddressClass, AddressPolicy, Endpoint, ResolveError, ResolveOptions, Resolver, Step, WELL_KNOWN_PATH,
};
use mimi_transport::start::{Server, ServerConfig};
use mimi_transport::tls::{ClientOffer, client_config};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::dns_server::DnsServer;
use self::web_host::{Page, Speaks, WebHost};
use crate::server::{World, key, name, soon};

const LOOPBACK: AddressPolicy = AddressPolicy { allow_private: false, allow_loopback: true };
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A world with a name server and web servers that are several hosts.
struct Net {
    world: World,
    dns: DnsServer,
    web: WebHost,
}

impl Net {
    /// The web servers' hosts are at 127.0.0.1, and no host delegates yet.
    async fn new(hosts: &[&str]) -> Self {
        Self::speaking(hosts, Speaks::Http2AndTls13).await
    }

    async fn speaking(hosts: &[&str], speaks: Speaks) -> Self {
        let world = World::new();
        let dns = DnsServer::start().await;
        // A certificate has at least one name.
        let web = WebHost::start(&world, &[hosts, &["web.example"]].concat(), speaks).await;
        for host in hosts {
            dns.addresses(host, &["127.0.0.1"]);
        }
        Self { world, dns, web }
    }

    fn resolver(&self) -> Resolver {
        self.resolver_with(LOOPBACK)
    }

    fn resolver_with(&self, policy: AddressPolicy) -> Resolver {
        let options = ResolveOptions {
            policy,
            name_server: Some(self.dns.address),
            well_known_port: self.web.address.port(),
            clock: self.world.clock.clone(),
        };
        Resolver::new(&self.world.roots(), options).unwrap()
    }

    fn client(&self) -> FederationClient {
        let tls = client_config(&self.world.roots(), ClientOffer::default()).unwrap();
        FederationClient::new(name("b.example"), [key(1)], self.resolver(), tls, ClientLimits::default())
    }
}

async fn resolve(resolver: &Resolver, server: &str) -> Result<Endpoint, ResolveError> {
    soon(resolver.resolve(&name(server))).await
}

/// What it comes to: step, `Host`, addresses.
async fn way(resolver: &Resolver, server: &str) -> (Step, String, String) {
    let endpoint = resolve(resolver, server).await.unwrap();
    assert_eq!(endpoint.tls_name.to_str(), endpoint.host.split(':').next().unwrap());
    let addresses: Vec<_> = endpoint.addresses.iter().map(ToString::to_string).collect();
    (endpoint.step, endpoint.host, addresses.join(" "))
}

/// Says what `:authority` it was sent.
fn echo() -> Router {
    Router::new().fallback(|uri: Uri| async move { uri.authority().unwrap().to_string() })
}

async fn authority_seen(client: &FederationClient, server: &str) -> Result<String, ClientError> {
    let answer = soon(client.request(&name(server), &Method::GET, "/", None)).await?;
    assert_eq!(answer.status, StatusCode::OK);
    Ok(String::from_utf8(answer.body.to_vec()).unwrap())
}

/// `LM-04/12.3/4` to `LM-04/12.3/12`, as far as the connection itself: the servers have a certificate for the name of
/// the step and no other, and see the `Host` of the step.
#[tokio::test]
async fn servers_are_found_at_each_step() {
    let mut net = Net::new(&["two.example", "three.example", "four.example", "five.example"]).await;
    // Step 1.
    let server = net.world.start("one.example", echo()).await;
    let port = server.address.port();
    net.dns.addresses("one.example", &["127.0.0.1"]);
    let client = net.client();
    let seen = authority_seen(&client, &format!("one.example:{port}")).await.unwrap();
    assert_eq!(seen, format!("one.example:{port}"));
    assert!(net.web.requests().is_empty(), "no delegation is asked for");
    // Step 2.1.
    let server = net.world.start("matrix.two.example", echo()).await;
    let delegated = format!("matrix.two.example:{}", server.address.port());
    net.dns.addresses("matrix.two.example", &["127.0.0.1"]);
    net.web.says("two.example", Page::delegation(&delegated));
    assert_eq!(authority_seen(&client, "two.example").await.unwrap(), delegated);
    assert!(!net.dns.heard_of("_matrix._tcp.two.example"), "no SRV record is asked for");
    assert!(!net.dns.heard_of("_matrix._tcp.matrix.two.example"));
    // Step 2.3.
    let server = net.world.start("matrix.three.example", echo()).await;
    net.dns.addresses("host.elsewhere.example", &["127.0.0.1"]);
    net.dns.services("matrix.three.example", &[(1, 1, server.address.port(), "host.elsewhere.example")]);
    net.web.says("three.example", Page::delegation("matrix.three.example"));
    assert_eq!(authority_seen(&client, "three.example").await.unwrap(), "matrix.three.example");
    assert!(!net.dns.heard_of("_matrix._tcp.three.example"), "that of the delegated name is");
    // Step 3. The first target takes no connections.
    let server = net.world.start("four.example", echo()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let records =
        [(2, 0, server.address.port(), "host.elsewhere.example"), (1, 9, closed, "host.elsewhere.example")];
    net.dns.services("four.example", &records);
    assert_eq!(authority_seen(&client, "four.example").await.unwrap(), "four.example");
    // A certificate for the target of the record and not for the name is none.
    let server = net.world.start("host.elsewhere.example", echo()).await;
    net.dns.services("five.example", &[(1, 1, server.address.port(), "host.elsewhere.example")]);
    let error = authority_seen(&client, "five.example").await.unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "{error}");
}

/// `LM-04/12.3/11`, `LM-04/12.3/13`: the steps that end at port 8448, where a test cannot listen.
#[tokio::test]
async fn without_an_srv_record_the_port_is_8448() {
    let net = Net::new(&["a.example", "b.example"]).await;
    net.dns.addresses("m.example", &["127.0.0.2", "127.0.0.3"]).addresses("m.example", &["::1"]);
    net.web.says("a.example", Page::delegation("m.example"));
    let resolver = net.resolver();
    let expected =
        (Step::Delegated, "m.example".to_owned(), "[::1]:8448 127.0.0.2:8448 127.0.0.3:8448".to_owned());
    assert_eq!(way(&resolver, "a.example").await, expected);
    let expected = (Step::Host, "b.example".to_owned(), "127.0.0.1:8448".to_owned());
    assert_eq!(way(&resolver, "b.example").await, expected);
    for host in ["m.example", "b.example"] {
        assert_eq!(net.dns.asked(&format!("_matrix._tcp.{host}"), RecordType::SRV), 1);
    }
}

/// `LM-04/12.3/8`, `LM-04/12.3.1/8`: whatever is wrong with a delegation, the next step is taken.
#[tokio::test]
async fn a_delegation_that_cannot_be_used_is_none() {
    let pages = [
        Page::new(404, r#"{"m.server":"m.example:1"}"#),
        Page::new(201, r#"{"m.server":"m.example:1"}"#),
        Page::new(500, ""),
        Page::new(200, ""),
        Page::new(200, "<html>m.example:1</html>"),
        Page::new(200, r#"{"server":"m.example:1"}"#),
        Page::new(200, r#"{"m.server":1}"#),
        Page::new(200, r#"{"m.server":"127.0.0.1:8448"}"#),
        Page::new(200, r#"{"m.server":"[::1]:8448"}"#),
        Page::new(200, r#"{"m.server":"-m.example:1"}"#),
        Page::new(200, r#"{"m.server":"https://m.example"}"#),
        Page::new(200, format!(r#"{{"x":"{}","m.server":"m.example:1"}}"#, "x".repeat(1 << 20))),
        Page::new(302, ""),
        Page::redirection(302, "/.well-known/matrix/server#again"),
        Page::redirection(302, "https://nowhere.example/"),
        Page::redirection(302, "mailto:me@a.example"),
    ];
    let hosts: Vec<_> = (0..pages.len()).map(|i| format!("h{i}.example")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let net = Net::new(&hosts).await;
    net.dns.addresses("m.example", &["127.0.0.1"]);
    let resolver = net.resolver();
    for (host, page) in hosts.iter().zip(pages) {
        let what = format!("{page:?}");
        net.web.says(host, page);
        assert_eq!(way(&resolver, host).await.0, Step::Host, "{what:.200}");
    }
    let asked = net.web.requests();
    assert_eq!(asked.len(), hosts.len(), "each was asked, and once: {asked:?}");
}

/// `LM-04/12.3.1/3`: the same for a host whose certificate is for another name, and for one where nobody listens.
#[tokio::test]
async fn a_host_that_cannot_be_trusted_or_reached_delegates_to_nobody() {
    let net = Net::new(&["a.example"]).await;
    net.dns.addresses("b.example", &["127.0.0.1"]).addresses("c.example", &["127.0.0.77"]);
    net.web.says("b.example", Page::delegation("m.example:1"));
    let resolver = net.resolver();
    assert_eq!(way(&resolver, "b.example").await.0, Step::Host);
    assert_eq!((net.web.connections(), net.web.requests().len()), (1, 0), "it ends with the handshake");
    assert_eq!(
        way(&resolver, "c.example").await,
        (Step::Host, "c.example".to_owned(), "127.0.0.77:8448".to_owned())
    );
}

/// `LM-04/12.3.1/1`, `LM-04/12.3.1/2`, `LM-04/12.3.1/7`, and reading R26: older web servers will do.
#[tokio::test]
async fn redirections_are_followed_as_far_as_they_go() {
    for speaks in [Speaks::Http2AndTls13, Speaks::Http11AndTls12] {
        let net = Net::speaking(&["a.example", "b.example", "c.example", "d.example"], speaks).await;
        let port = net.web.address.port();
        net.dns.addresses("m.example", &["127.0.0.1"]);
        let target = Page::delegation("m.example:1").with(CONTENT_TYPE, "text/html");
        net.web.page("b.example", "/x?y=1", target.clone());
        net.web.says("a.example", Page::redirection(307, format!("https://b.example:{port}/x?y=1#z")));
        let resolver = net.resolver();
        assert_eq!(way(&resolver, "a.example").await.0, Step::DelegatedPort, "{speaks:?}");
        let expected = [format!("a.example:{port}{WELL_KNOWN_PATH}"), format!("b.example:{port}/x?y=1")];
        assert_eq!(net.web.requests(), expected, "`Host` is that of each server");
        // Five, and one more.
        for (host, last, step) in [("c.example", 5, Step::DelegatedPort), ("d.example", 6, Step::Host)] {
            net.web.says(host, Page::redirection(301, "/1"));
            for i in 1..last {
                net.web.page(host, &format!("/{i}"), Page::redirection(308, format!("/{}", i + 1)));
            }
            net.web.page(host, &format!("/{last}"), target.clone());
            assert_eq!(way(&resolver, host).await.0, step);
        }
        assert!(!net.web.requests().contains(&format!("d.example:{port}/6")));
    }
}

/// A redirection to plain HTTP is not followed: there would be no certificate to vouch for the answer (reading R37).
#[tokio::test]
async fn a_redirection_to_plain_http_is_not_followed() {
    let net = Net::new(&["a.example"]).await;
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    plain.set_nonblocking(true).unwrap();
    let to = format!("http://a.example:{}/", plain.local_addr().unwrap().port());
    net.web.says("a.example", Page::redirection(302, to));
    assert_eq!(way(&net.resolver(), "a.example").await.0, Step::Host);
    // The kernel would have taken the connection before the resolution came to its end.
    assert_eq!(plain.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// Nothing is sent to an address that the policy refuses, on any way to it. 0.0.0.0 reaches what listens on loopback
/// here, and is never allowed.
#[tokio::test]
async fn no_connection_is_made_to_an_address_that_is_not_allowed() {
    let net = Net::new(&["a.example", "b.example", "hidden.example"]).await;
    let port = net.web.address.port();
    net.dns.addresses("hidden.example", &["0.0.0.0"]).addresses("b.example", &["0.0.0.0", "127.0.0.1"]);
    let resolver = net.resolver();
    // The host itself.
    net.web.says("hidden.example", Page::delegation("a.example:1"));
    let error = resolve(&resolver, "hidden.example").await.unwrap_err();
    assert!(matches!(error, ResolveError::Refused { class: AddressClass::Unspecified, .. }), "{error}");
    assert_eq!(net.web.connections(), 0);
    // What it redirects to, by name and by address.
    for to in [
        format!("https://hidden.example:{port}/"),
        format!("https://0.0.0.0:{port}/"),
        format!("https://0:{port}/"),
    ] {
        net.web.says("a.example", Page::redirection(302, to));
        let before = net.web.connections();
        let fresh = net.resolver();
        assert_eq!(way(&fresh, "a.example").await.0, Step::Host);
        assert_eq!(net.web.connections() - before, 1, "that of a.example");
    }
    // What it delegates to, and an SRV record's target.
    net.web.says("a.example", Page::delegation(&format!("hidden.example:{port}")));
    let error = resolve(&resolver, "a.example").await.unwrap_err();
    assert!(matches!(error, ResolveError::Refused { .. }), "{error}");
    let delegated = net.resolver();
    net.web.says("a.example", Page::new(404, ""));
    net.dns.services("a.example", &[(1, 1, port, "hidden.example")]);
    let error = resolve(&delegated, "a.example").await.unwrap_err();
    assert!(matches!(error, ResolveError::Refused { .. }), "{error}");
    // Of several addresses, those that are allowed are left.
    let explicit = way(&resolver, &format!("b.example:{port}")).await;
    assert_eq!(explicit.2, format!("127.0.0.1:{port}"));
    // Without a permission, nobody on loopback is asked anything.
    let before = net.web.connections();
    let strict = net.resolver_with(AddressPolicy::default());
    let error = resolve(&strict, "a.example").await.unwrap_err();
    assert!(matches!(error, ResolveError::Refused { .. }), "{error}");
    assert_eq!(net.web.connections(), before);
}

/// DNS rebinding: a name that answers otherwise each time is judged each time, and connections are made to what was
/// judged.
#[tokio::test]
async fn a_name_whose_address_changes_is_judged_each_time() {
    let mut net = Net::new(&["a.example"]).await;
    // The first for the delegation, the second for the server.
    net.dns.addresses_in_turn("a.example", &["127.0.0.1", "0.0.0.0"]);
    let error = resolve(&net.resolver(), "a.example").await.unwrap_err();
    assert!(matches!(error, ResolveError::Refused { .. }), "{error}");
    assert_eq!(net.web.requests().len(), 1, "the first was allowed");
    assert_eq!(net.dns.asked("a.example", RecordType::A), 2);
    // The connection is made to the address that was judged, though the name has another one by now.
    let server = net.world.start("c.example", echo()).await;
    net.dns.addresses_in_turn("c.example", &["127.0.0.1", "127.0.0.99"]);
    let named = format!("c.example:{}", server.address.port());
    assert_eq!(authority_seen(&net.client(), &named).await.unwrap(), named);
    assert_eq!(net.dns.asked("c.example", RecordType::A), 1);
}

/// `LM-04/12.3.1/9` to `LM-04/12.3.1/11`.
#[tokio::test]
async fn delegations_are_kept_as_long_as_their_headers_say() {
    let net = Net::new(&["plain.example", "short.example", "long.example", "never.example"]).await;
    net.dns.addresses("m.example", &["127.0.0.1"]);
    let page = Page::delegation("m.example:1");
    net.web.says("plain.example", page.clone());
    net.web.says("short.example", page.clone().with(CACHE_CONTROL, "max-age=60").with(AGE, "20"));
    net.web.says("long.example", page.clone().with(CACHE_CONTROL, "public, max-age=31536000"));
    net.web.says("never.example", page.with(CACHE_CONTROL, "no-store"));
    let resolver = net.resolver();
    let start = net.world.clock.now_ms();
    let asked_at = async |host: &str, ms: i64| {
        net.world.hands.set(start + ms);
        let before = net.web.requests().len();
        assert_eq!(way(&resolver, host).await.0, Step::DelegatedPort);
        net.web.requests().len() - before
    };
    for (host, lifetime) in
        [("plain.example", 24 * HOUR_MS), ("short.example", 40_000), ("long.example", 48 * HOUR_MS)]
    {
        assert_eq!(asked_at(host, 0).await, 1, "{host}");
        assert_eq!(asked_at(host, lifetime - 1).await, 0, "{host} is kept");
        assert_eq!(asked_at(host, lifetime).await, 1, "{host} is not kept longer");
    }
    assert_eq!((asked_at("never.example", 0).await, asked_at("never.example", 0).await), (1, 1));
}

/// `LM-04/12.3.1/12`, `LM-04/12.3.1/13`.
#[tokio::test]
async fn a_host_that_answers_with_errors_is_asked_less_and_less() {
    let net = Net::new(&["a.example"]).await;
    net.dns.addresses("m.example", &["127.0.0.1"]);
    net.web.says("a.example", Page::new(503, "").with(CACHE_CONTROL, "max-age=86400"));
    let resolver = net.resolver();
    let asked = async || {
        let before = net.web.requests().len();
        let step = way(&resolver, "a.example").await.0;
        (net.web.requests().len() - before, step)
    };
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(asked().await, (1, Step::Host));
        net.world.hands.advance(minutes * MINUTE_MS - 1);
        assert_eq!(asked().await, (0, Step::Host), "{minutes} minutes are not over");
        net.world.hands.advance(1);
    }
    net.web.says("a.example", Page::delegation("m.example:1").with(CACHE_CONTROL, "max-age=60"));
    assert_eq!(asked().await, (1, Step::DelegatedPort));
    net.world.hands.advance(MINUTE_MS);
    net.web.says("a.example", Page::new(503, ""));
    assert_eq!(asked().await, (1, Step::Host));
    net.world.hands.advance(MINUTE_MS);
    assert_eq!(asked().await, (1, Step::Host), "the row has begun anew");
}

#[tokio::test]
async fn dns_answers_are_kept_for_their_ttl() {
    let net = Net::new(&[]).await;
    net.dns.addresses("kept.example", &["127.0.0.1"]).addresses_for("fleeting.example", &["127.0.0.1"], 0);
    let resolver = net.resolver();
    for server in ["kept.example:1", "kept.example:2", "fleeting.example:1", "fleeting.example:1"] {
        resolve(&resolver, server).await.unwrap();
    }
    assert_eq!(net.dns.asked("kept.example", RecordType::A), 1);
    assert_eq!(net.dns.asked("kept.example", RecordType::AAAA), 1, "that there is none is kept too");
    assert_eq!(net.dns.asked("fleeting.example", RecordType::A), 2);
}

#[tokio::test]
async fn many_at_once_ask_once_and_the_answer_outlives_who_asked() {
    let net = Net::new(&["a.example"]).await;
    net.dns.addresses("m.example", &["127.0.0.1"]);
    net.web.says("a.example", Page::delegation("m.example:1"));
    let resolver = net.resolver();
    let held = net.web.hold();
    let all: Vec<_> = (0..5)
        .map(|_| {
            let resolver = resolver.clone();
            tokio::spawn(async move { way(&resolver, "a.example").await.0 })
        })
        .collect();
    soon(net.web.arrived()).await;
    // Whoever asked first, and all others but one, give up.
    let mut all = all.into_iter();
    let last = all.next_back().unwrap();
    for other in all {
        other.abort();
        assert!(soon(other).await.unwrap_err().is_cancelled());
    }
    held.notify_one();
    assert_eq!(soon(last).await.unwrap(), Step::DelegatedPort);
    assert_eq!(net.web.requests().len(), 1);
}

#[tokio::test]
async fn what_dns_says_is_told_apart() {
    let net = Net::new(&["a.example", "b.example"]).await;
    let resolver = net.resolver();
    let error = resolve(&resolver, "nowhere.example").await.unwrap_err();
    assert!(matches!(error, ResolveError::NoAddress(_)), "{error}");
    net.dns.fails("broken.example", RecordType::A).fails("broken.example", RecordType::AAAA);
    let error = resolve(&resolver, "broken.example:1").await.unwrap_err();
    assert!(matches!(error, ResolveError::Lookup { .. }), "{error}");
    // An SRV record that cannot be looked up is as good as none.
    net.dns.fails("_matrix._tcp.a.example", RecordType::SRV);
    assert_eq!(way(&resolver, "a.example").await.0, Step::Host);
    // A service that is not offered is not looked for at another port (reading R38).
    net.dns.services("b.example", &[(0, 0, 0, ".")]);
    let error = resolve(&resolver, "b.example").await.unwrap_err();
    assert!(matches!(error, ResolveError::NotOffered(_)), "{error}");
}

/// `LM-04/12.3/6`: aliases are followed, also by answers that do not fit a datagram.
#[tokio::test]
async fn aliases_are_followed_and_large_answers_fetched_by_tcp() {
    let net = Net::new(&[]).await;
    net.dns
        .alias("a.example", "b.example")
        .alias("b.example", "c.example")
        .addresses("c.example", &["127.0.0.5"]);
    let resolver = net.resolver();
    let expected = |server: &str, address: &str| (Step::ExplicitPort, server.to_owned(), address.to_owned());
    assert_eq!(way(&resolver, "a.example:7").await, expected("a.example:7", "127.0.0.5:7"));
    net.dns.truncates();
    net.dns.addresses("large.example", &["127.0.0.6"]);
    assert_eq!(way(&resolver, "large.example:7").await, expected("large.example:7", "127.0.0.6:7"));
}

/// Starts a whole server under a name without a port, which sends callers to that name and its own port.
async fn whole_server(net: &Net, delegates: bool) -> (Server, tempfile::TempDir) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("hub.example:{}", tcp.local_addr().unwrap().port());
    let data = tempfile::tempdir().unwrap();
    let now = mimi_transport::clock::now_ms();
    let files = net.world.ca.server_certificate(data.path(), &["hub.example"], now).unwrap();
    let config = ServerConfig {
        certificate: Some(files),
        cas: vec![net.world.ca.certificate().to_owned()],
        name_server: Some(net.dns.address),
        delegate_to: delegates.then(|| name(&to)),
        ..ServerConfig::new(name("hub.example"), data.path().to_owned())
    };
    (Server::start(config, tcp, None).await.unwrap(), data)
}

/// `LM-04/12.3.1/5`, `LM-04/12.3.1/6`: a server's own delegation is one that leads to it.
#[tokio::test]
async fn a_server_answers_with_its_delegation_if_it_has_one() {
    let net = Net::new(&[]).await;
    net.dns.addresses("hub.example", &["127.0.0.1"]);
    let limits = CallLimits::default();
    for delegates in [true, false] {
        let (server, _data) = whole_server(&net, delegates).await;
        let options = ResolveOptions {
            policy: LOOPBACK,
            name_server: Some(net.dns.address),
            well_known_port: server.federation().port(),
            clock: net.world.clock.clone(),
        };
        let resolver = Resolver::new(&net.world.roots(), options).unwrap();
        let tls = client_config(&net.world.roots(), ClientOffer::default()).unwrap();
        let client = FederationClient::new(
            name("b.example"),
            [key(1)],
            resolver.clone(),
            tls,
            ClientLimits::default(),
        );
        let direct = name(&format!("hub.example:{}", server.federation().port()));
        let answer = soon(client.get_unsigned(&direct, WELL_KNOWN_PATH, limits)).await.unwrap();
        if delegates {
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body, json!({ "m.server": direct.as_str() }));
            let keys = soon(client.get_unsigned(&name("hub.example"), KEY_PATH, limits)).await.unwrap();
            assert_eq!(keys.object_ok().unwrap()["server_name"], "hub.example");
            assert_eq!(resolve(&resolver, "hub.example").await.unwrap().step, Step::DelegatedPort);
            let posted = client.request(&direct, &Method::POST, WELL_KNOWN_PATH, None).await.unwrap();
            assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(posted.api_error().unwrap().code().as_str(), "M_UNRECOGNIZED");
        } else {
            assert!(answer.api_error().unwrap().is_unknown_endpoint(), "{answer:?}");
            assert_eq!(resolve(&resolver, "hub.example").await.unwrap().step, Step::Host);
        }
        server.stop().await.unwrap();
    }
}
