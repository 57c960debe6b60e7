//! A server in front of another, which passes requests on and keeps them with their answers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::signing::SigningKey;
use mimi_transport::api::{UNSTABLE_PREFIX, route_paths};
use mimi_transport::client::{CallLimits, ClientLimits, FederationClient, RawRequest};
use mimi_transport::error::ApiError;
use mimi_transport::resolve::{AddressPolicy, ResolveOptions, Resolver, StaticEntry};
use mimi_transport::server::HttpsListener;
use mimi_transport::tls::{ClientOffer, Roots, ServerCertificate, client_config};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request and its answer.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) body: Bytes,
    pub(super) status: StatusCode,
    pub(super) content_type: Option<String>,
    pub(super) answer: Bytes,
}

/// Which paths there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paths {
    /// Those that the server has.
    All,
    /// Not the final ones of endpoints that have an unstable path too: others fall back to that (reading R24).
    OnlyUnstable,
}

/// The recorder.
pub(super) struct Recorder {
    exchanges: Arc<Mutex<Vec<Recorded>>>,
    running: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Recorder {
    /// Starts one at `front`, before the server with this name and address.
    pub(super) fn start(
        certificate: &ServerCertificate,
        ca: &Path,
        front: TcpListener,
        (name, address): (ServerName, SocketAddr),
        paths: Paths,
    ) -> Self {
        let mut roots = Roots::none();
        roots.add_pem_file(ca).unwrap();
        let policy = AddressPolicy { allow_private: false, allow_loopback: true };
        let mut resolver =
            Resolver::new(&roots, ResolveOptions { policy, ..ResolveOptions::default() }).unwrap();
        resolver.insert(StaticEntry { name: name.clone(), address });
        let tls = client_config(&roots, ClientOffer::default()).unwrap();
        let key = SigningKey::from_seed(KeyId::ed25519("unused").unwrap(), &[0; 32]);
        let client = FederationClient::new(name.clone(), [key], resolver, tls, ClientLimits::default());
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&exchanges);
        let pass = move |request: Request| {
            let (client, name, kept) = (client.clone(), name.clone(), Arc::clone(&kept));
            async move { pass_on(request, &client, &name, paths, &kept).await }
        };
        let listener = HttpsListener::new(front, certificate.server_config().unwrap());
        let running = tokio::spawn(listener.serve(Router::new().fallback(pass), std::future::pending()));
        Self { exchanges, running }
    }

    /// What came so far.
    pub(super) fn exchanges(&self) -> Vec<Recorded> {
        self.exchanges.lock().unwrap().clone()
    }
}

/// Whether the path below a final prefix has an unstable form.
fn has_unstable_form(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/_matrix/federation/v").and_then(|rest| rest.get(1..)) else {
        return false;
    };
    let first = rest.split('/').nth(1).unwrap_or_default();
    // The claim of keys begins as the path of a device does.
    rest != "/user/keys/claim"
        && route_paths().iter().any(|path| path.starts_with(&format!("{UNSTABLE_PREFIX}/{first}/")))
}

async fn pass_on(
    request: Request,
    client: &FederationClient,
    name: &ServerName,
    paths: Paths,
    kept: &Mutex<Vec<Recorded>>,
) -> Response {
    let (parts, body) = request.into_parts();
    if paths == Paths::OnlyUnstable && has_unstable_form(parts.uri.path()) {
        return ApiError::unrecognized().into_response();
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let target = parts.uri.path_and_query().unwrap().to_string();
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let request =
        RawRequest { method: parts.method.clone(), target: target.clone(), headers, body: body.clone() };
    let Ok(answer) = client.send_raw(name, request, CallLimits::default()).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let kind = answer.headers.get(header::CONTENT_TYPE).cloned();
    kept.lock().unwrap().push(Recorded {
        method: parts.method,
        target,
        body,
        status: answer.status,
        content_type: kind.as_ref().map(|kind| kind.to_str().unwrap().to_owned()),
        answer: answer.body.clone(),
    });
    let mut response = (answer.status, Body::from(answer.body)).into_response();
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}
