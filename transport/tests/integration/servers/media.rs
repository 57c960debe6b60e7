//! Media between two servers, and a scanner (reading R51).

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use mimi_transport::api::media_download;
use mimi_transport::control;
use mimi_transport::media::{MediaId, MediaSettings, MxcUri, ScannerSettings};
use mimi_transport::server::{HttpsListener, ServerLimits, serve_plain};
use tower::ServiceExt as _;

use super::*;

const API: &str = "/control/v1/unstable/org.mimi-interop.media";

/// An answer of the control API.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["errcode"].as_str().unwrap().to_owned())
    }
}

async fn ask(place: &Place, method: Method, path: &str, kind: Option<&str>, body: impl Into<Body>) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("{API}{path}"));
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    let answer =
        control::router(place.node().clone()).oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn upload(place: &Place, user: &str, kind: &str, content: &[u8]) -> Answer {
    let path = format!("/users/{user}/media?filename=a%20picture.png");
    ask(place, Method::POST, &path, Some(kind), content.to_vec()).await
}

/// Uploads something that is taken.
async fn put(place: &Place, user: &str, content: &[u8]) -> MxcUri {
    let answer = upload(place, user, "image/png", content).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    MxcUri::parse(answer.json()["content_uri"].as_str().unwrap()).unwrap()
}

/// What a user of `place` gets.
async fn get(place: &Place, uri: &MxcUri) -> Answer {
    let server = uri.server.as_str().replace(':', "%3A");
    ask(place, Method::GET, &format!("/media/{server}/{}", uri.id), None, Body::empty()).await
}

async fn delete(place: &Place, user: &str, id: &MediaId) -> Answer {
    ask(place, Method::DELETE, &format!("/users/{user}/media/{id}"), None, Body::empty()).await
}

/// The files of contents that a server has.
fn contents(place: &Place) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    for folder in ["content", "arriving"] {
        walk(&place.data.path().join("media").join(folder), &mut found);
    }
    found
}

/// Bytes that look like anything else than a boundary, and are more than fit into a few pieces.
fn content(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|index| u8::try_from(index % 251).unwrap() ^ seed).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_goes_from_server_to_server() {
    let world = World::new();
    let (mut a, mut b) = (world.server().await, world.server().await);
    let bytes = content(1_000_000, 1);
    let uri = put(&a, "alice", &bytes).await;
    assert_eq!(uri.server, a.name);
    for place in [&a, &b] {
        let answer = get(place, &uri).await;
        assert_eq!((answer.status, answer.body.as_ref()), (200, bytes.as_slice()));
        assert_eq!(answer.headers[header::CONTENT_TYPE], "image/png");
        assert_eq!(answer.headers[header::CONTENT_DISPOSITION], "inline; filename*=UTF-8''a%20picture.png");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(answer.headers.contains_key(header::CONTENT_SECURITY_POLICY));
        assert_eq!(answer.headers[header::CONTENT_LENGTH], "1000000");
    }
    // It outlives both runs; the copy does not need the owner.
    b.go_away().await;
    world.come_back(&mut b).await;
    a.go_away().await;
    assert_eq!(get(&b, &uri).await.body, bytes);
    world.come_back(&mut a).await;
    assert_eq!(get(&a, &uri).await.body, bytes);
    // An empty one, and one that is nowhere.
    let empty = put(&a, "alice", b"").await;
    let answer = get(&b, &empty).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let none = MxcUri { server: a.name.clone(), id: MediaId::random() };
    for place in [&a, &b] {
        assert_eq!(get(place, &none).await.refusal(), (404, "M_NOT_FOUND".to_owned()));
    }
    assert_eq!(contents(&b).len(), 2, "nothing is left over");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_servers_that_show_who_they_are_download() {
    let world = World::new();
    let (a, b) = (world.server().await, world.server().await);
    let uri = put(&a, "alice", b"content").await;
    let paths = media_download::paths(&uri.id);
    for path in [&paths.stable, paths.unstable.as_ref().unwrap()] {
        let answer = b.node().client.get_unsigned(&a.name, path, Default::default()).await.unwrap();
        assert_eq!(answer.status, 401);
        let answer = b.node().client.request(&a.name, &Method::GET, path, None).await.unwrap();
        assert_eq!(answer.status, 200);
        let kind = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("multipart/mixed; boundary="), "{kind}");
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(body.contains("\r\nContent-Type: application/json\r\n\r\n{"), "{body}");
        assert!(
            body.contains("\r\nContent-Type: image/png\r\n") && body.contains("\r\n\r\ncontent\r\n--"),
            "{body}"
        );
    }
}

/// Whatever stands in the place of an id: it is not there, and no other file is.
#[tokio::test(flavor = "multi_thread")]
async fn ids_lead_nowhere_else() {
    let world = World::new();
    let (a, b) = (world.server().await, world.server().await);
    for id in
        ["..%2F..%2Fsigning.key", "%2e%2e", "..", "a%2Fb", "index.sqlite3", "%00", "a%0d%0ax", "%ff", "a.b"]
    {
        let path = format!("/_matrix/federation/v1/media/download/{id}");
        let answer = b.node().client.request(&a.name, &Method::GET, &path, None).await.unwrap();
        assert_eq!(answer.status, 404, "{id}");
        for path in [format!("/media/{}/{id}", a.name), format!("/media/x%2F../{id}")] {
            assert_eq!(ask(&a, Method::GET, &path, None, Body::empty()).await.status, 404, "{path}");
        }
        let deleted = ask(&a, Method::DELETE, &format!("/users/alice/media/{id}"), None, Body::empty()).await;
        assert_eq!(deleted.status, 404, "{id}");
    }
}

/// A body of so many pieces of 500 bytes, whose length is not announced.
struct Pieces(usize);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.checked_sub(1).map(|left| {
            self.0 = left;
            Ok(hyper::body::Frame::data(Bytes::from(content(500, 1))))
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_types_and_users_are_bounded() {
    let world = World::new();
    let a = world
        .server_with(|config| {
            config.media = MediaSettings {
                max_bytes: 1_000,
                quota_bytes: 1_500,
                allow_types: vec!["image/*".parse().unwrap()],
                deny_types: vec!["image/svg+xml".parse().unwrap()],
                ..MediaSettings::default()
            };
        })
        .await;
    let too_large = (413, "M_TOO_LARGE".to_owned());
    assert_eq!(upload(&a, "alice", "image/png", &content(1_001, 1)).await.refusal(), too_large);
    // Without a length, it is noticed as it comes.
    let body = Body::new(Pieces(3));
    let answer = ask(&a, Method::POST, "/users/alice/media", Some("image/png"), body).await;
    assert_eq!(answer.refusal(), too_large);
    assert!(contents(&a).is_empty());
    for kind in ["text/html", "image/svg+xml", "nonsense", "Image/SVG+xml; charset=x"] {
        assert_eq!(
            upload(&a, "alice", kind, b"x").await.refusal(),
            (403, "M_FORBIDDEN".to_owned()),
            "{kind}"
        );
    }
    let first = put(&a, "alice", &content(1_000, 1)).await;
    // The same content is kept once and counts twice.
    assert_eq!(upload(&a, "alice", "image/png", &content(1_000, 1)).await.refusal(), too_large);
    let other = put(&a, "bob", &content(1_000, 1)).await;
    assert_eq!(contents(&a).len(), 1);
    let list = ask(&a, Method::GET, "/users/alice/media", None, Body::empty()).await.json();
    assert_eq!((&list["used"], &list["quota"]), (&json!(1_000), &json!(1_500)));
    assert_eq!(list["items"][0]["content_uri"], json!(first.to_string()));
    // Deleting: one's own alone, and the content goes with the last.
    assert_eq!(delete(&a, "bob", &first.id).await.status, 404);
    assert_eq!(delete(&a, "alice", &first.id).await.status, 200);
    assert_eq!(delete(&a, "alice", &first.id).await.status, 404);
    assert_eq!(get(&a, &first).await.status, 404);
    assert_eq!(get(&a, &other).await.status, 200);
    assert_eq!(delete(&a, "bob", &other.id).await.status, 200);
    assert!(contents(&a).is_empty());
    put(&a, "alice", &content(1_000, 1)).await;
    let elsewhere = ask(&a, Method::POST, "/users/%40x:elsewhere.example/media", None, "x").await;
    assert_eq!(elsewhere.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_never_served() {
    let world = World::new();
    let (a, b) = (world.server().await, world.server().await);
    let uri = put(&a, "alice", &content(100_000, 1)).await;
    assert_eq!(get(&b, &uri).await.status, 200);
    let flip = |place: &Place| {
        let path = contents(place).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[50_000] ^= 1;
        fs::write(&path, bytes).unwrap();
    };
    flip(&b);
    assert_eq!(get(&b, &uri).await.refusal(), (500, "M_UNKNOWN".to_owned()));
    // A copy is fetched again.
    assert_eq!(get(&b, &uri).await.status, 200);
    flip(&a);
    assert_eq!(get(&a, &uri).await.refusal(), (500, "M_UNKNOWN".to_owned()));
    let path = media_download::paths(&uri.id).stable;
    let answer = b.node().client.request(&a.name, &Method::GET, &path, None).await.unwrap();
    assert_eq!(answer.status, 500);
    // Uploaded once more, it is whole again.
    put(&a, "alice", &content(100_000, 1)).await;
    assert_eq!(get(&a, &uri).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_bounded() {
    let world = World::new();
    let a = world.server().await;
    let b = world
        .server_with(|config| {
            config.media = MediaSettings { max_bytes: 1_000, cache_bytes: 2_000, ..MediaSettings::default() };
        })
        .await;
    let large = put(&a, "alice", &content(1_001, 0)).await;
    assert_eq!(get(&b, &large).await.refusal(), (413, "M_TOO_LARGE".to_owned()));
    assert!(contents(&b).is_empty());
    for seed in 1..=5 {
        let uri = put(&a, "alice", &content(900, seed)).await;
        assert_eq!(get(&b, &uri).await.status, 200);
        assert!(contents(&b).len() <= 2, "{seed}");
    }
    assert_eq!(contents(&b).len(), 2);
}

/// A scanner that says what it is told to, and counts.
#[derive(Clone)]
struct TestScanner {
    says: Arc<Mutex<(StatusCode, String)>>,
    seen: Arc<AtomicUsize>,
    settings: ScannerSettings,
}

impl TestScanner {
    async fn start() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/scan?x=1", tcp.local_addr().unwrap()).parse().unwrap();
        let (says, seen) = (Arc::new(Mutex::new((StatusCode::OK, String::new()))), Arc::default());
        let scanner = Self { says, seen, settings: ScannerSettings::at(url) };
        let answering = scanner.clone();
        let scan = move |headers: HeaderMap, body: Bytes| {
            let answering = answering.clone();
            async move {
                let size = headers[header::CONTENT_LENGTH].to_str().unwrap().parse();
                assert_eq!(size, Ok(body.len()), "the whole content is sent");
                assert!(headers["x-media-uri"].to_str().unwrap().starts_with("mxc://"));
                assert_eq!(headers["x-media-type"].to_str().unwrap(), "image/png");
                answering.seen.fetch_add(1, Ordering::SeqCst);
                answering.says.lock().unwrap().clone()
            }
        };
        let router = Router::new().route("/scan", post(scan));
        tokio::spawn(serve_plain(tcp, router, ServerLimits::default(), std::future::pending()));
        scanner
    }

    fn says(&self, status: u16, body: &str) {
        *self.says.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), body.to_owned());
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_scanner_calls_clean_is_served() {
    let world = World::new();
    let scanner = TestScanner::start().await;
    let settings = scanner.settings.clone();
    let a = world.server_with(move |config| config.media.scanner = Some(settings.clone())).await;
    let b = world.server().await;
    let uri = put(&a, "alice", &content(200_000, 1)).await;
    let waiting = (504, "M_NOT_YET_UPLOADED".to_owned());
    let path = media_download::paths(&uri.id).stable;
    for (status, body) in [(500, r#"{"clean":true}"#), (200, ""), (200, "{}"), (200, r#"{"clean":"yes"}"#)] {
        scanner.says(status, body);
        let answer = get(&a, &uri).await;
        assert_eq!(answer.refusal(), waiting, "{body}");
        assert!(answer.json()["retry_after_ms"].is_u64());
    }
    let answer = b.node().client.request(&a.name, &Method::GET, &path, None).await.unwrap();
    assert_eq!(answer.status, 504);
    assert_eq!(get(&b, &uri).await.refusal(), waiting, "what the owner's server says is passed on");
    scanner.says(200, r#"{"clean":false,"info":"EICAR"}"#);
    let seen = scanner.seen();
    for _ in 0..2 {
        assert_eq!(get(&a, &uri).await.refusal(), (403, "MCS_MEDIA_NOT_CLEAN".to_owned()));
        assert_eq!(get(&b, &uri).await.refusal(), (403, "MCS_MEDIA_NOT_CLEAN".to_owned()));
    }
    assert_eq!(scanner.seen(), seen + 1, "the answer is remembered");
    scanner.says(200, r#"{"clean":true,"info":"fine"}"#);
    assert_eq!(get(&a, &uri).await.status, 403);
    let clean = put(&a, "alice", &content(200_000, 2)).await;
    for place in [&a, &b] {
        assert_eq!(get(place, &clean).await.body, content(200_000, 2));
    }
    assert_eq!(scanner.seen(), seen + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_elsewhere_is_scanned_too() {
    let world = World::new();
    let scanner = TestScanner::start().await;
    let settings = scanner.settings.clone();
    let (a, b) = (
        world.server().await,
        world.server_with(move |config| config.media.scanner = Some(settings.clone())).await,
    );
    let uri = put(&a, "alice", b"content").await;
    scanner.says(200, r#"{"clean":false}"#);
    assert_eq!(get(&b, &uri).await.refusal(), (403, "MCS_MEDIA_NOT_CLEAN".to_owned()));
    assert_eq!(get(&a, &uri).await.status, 200, "who has no scanner has no word on it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_is_not_there_lets_nothing_through() {
    let world = World::new();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let a = world
        .server_with(move |config| {
            config.media.scanner = Some(ScannerSettings::at(format!("http://{gone}/").parse().unwrap()));
        })
        .await;
    let uri = put(&a, "alice", b"content").await;
    assert_eq!(get(&a, &uri).await.refusal(), (504, "M_NOT_YET_UPLOADED".to_owned()));
}

/// Servers that answer a download with something else.
#[tokio::test(flavor = "multi_thread")]
async fn odd_answers_are_not_taken() {
    let world = World::new();
    let b = world.server().await;
    let answers: [(&str, &[u8]); 7] = [
        ("application/octet-stream", b"content"),
        ("multipart/mixed; boundary=b", b"--b\r\n\r\n{}\r\n--b\r\n\r\ncont"),
        ("multipart/mixed; boundary=b", b"--b\r\n\r\n[]\r\n--b\r\n\r\ncontent\r\n--b--"),
        ("multipart/mixed; boundary=b", b"--b\r\n\r\n{}\r\n--b--"),
        ("multipart/mixed; boundary=b", b"--b\r\n\r\n{}\r\n--b\r\nLocation: https://elsewhere.example/x\r\n\r\n\r\n--b--"),
        ("multipart/mixed; boundary=b", b"--b\r\n\r\n{\"org.mimi-interop.sha256\":\"AAAA\"}\r\n--b\r\n\r\ncontent\r\n--b--"),
        ("multipart/mixed; boundary=b", b"--b\r\n\r\n{}\r\n--b\r\nContent-Type: text/html\r\nContent-Disposition: inline; filename=\"../x.html\"\r\n\r\ncontent\r\n--b--"),
    ];
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = ServerName::parse(&format!("localhost:{}", tcp.local_addr().unwrap().port())).unwrap();
    let serve = move |axum::extract::Path(id): axum::extract::Path<usize>| async move {
        ([(header::CONTENT_TYPE, answers[id].0)], answers[id].1)
    };
    let router = Router::new().route("/_matrix/federation/v1/media/download/{id}", axum::routing::get(serve));
    let https = HttpsListener::new(tcp, world.certificate.server_config().unwrap());
    tokio::spawn(https.serve(router, std::future::pending()));
    let item = |id: usize| MxcUri { server: name.clone(), id: MediaId::parse(&id.to_string()).unwrap() };
    for id in 0..6 {
        assert_eq!(get(&b, &item(id)).await.refusal(), (502, "M_UNKNOWN".to_owned()), "{id}");
        assert!(contents(&b).is_empty(), "{id}");
    }
    let answer = get(&b, &item(6)).await;
    assert_eq!((answer.status, answer.body.as_ref()), (200, &b"content"[..]));
    assert_eq!(answer.headers[header::CONTENT_DISPOSITION], "attachment; filename*=UTF-8''x.html");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_outsiders_are_not_served() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    fs::write(&path, "mode = \"open\"").unwrap();
    let policy = path.clone();
    let (a, b) =
        (world.server().await, world.server_with(move |config| config.policy = Some(policy.clone())).await);
    let (copied, other) = (put(&a, "alice", b"one").await, put(&a, "alice", b"two").await);
    assert_eq!(get(&b, &copied).await.status, 200);
    fs::write(&path, "mode = \"allow\"\nservers = []").unwrap();
    assert!(b.node().policy.reload().unwrap());
    for uri in [&copied, &other] {
        assert_eq!(get(&b, uri).await.refusal(), (403, "M_FORBIDDEN".to_owned()));
    }
    let own = put(&b, "bob", b"three").await;
    assert_eq!(get(&b, &own).await.status, 200);
}
