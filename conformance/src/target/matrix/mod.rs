//! Driving a homeserver through the Matrix client-server API.
//!
//! What the suite asks of its target is the control API. Here that API is served by the suite itself, on loopback, and
//! each call is made into calls of a Matrix client. So a homeserver needs no shim of its own, and no case knows of it.
//! What a Matrix client cannot do (publish an MLS device) is answered 501, and the case that wants it is skipped.

mod client;
mod membership;
mod passing;
mod rooms;
#[cfg(test)]
mod tests;
mod timeline;
mod trial;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::Method;
use mimi_linearized::id::ServerName;
use mimi_linearized::version::RoomVersions;
use mimi_transport::tls::{Roots, TlsError};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) use client::Accounts;
use client::{CallError, Homeserver};

use super::{Control, ControlError};

/// Why a homeserver cannot be driven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriverError {
    /// The URL is none that can be used.
    #[error(
        "{0:?} is not the URL of a Matrix client-server API, of the form https://HOST or http://HOST:PORT"
    )]
    Url(String),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no port for the control API.
    #[error("there is no port for the driver: {0}")]
    Port(#[from] std::io::Error),
    /// The suite does not reach the driver.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Its users cannot do what every case makes them do.
    #[error("the homeserver cannot be driven: {step}: {error}")]
    Trial {
        /// What was tried.
        step: &'static str,
        /// What came of it.
        error: String,
    },
}

/// A homeserver that is driven.
#[derive(Debug)]
pub(crate) struct Matrix {
    /// What the suite calls.
    pub(crate) control: Control,
    /// Which room versions it says that it has.
    pub(crate) room_versions: Vec<String>,
    server: JoinHandle<()>,
}

impl Drop for Matrix {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Matrix {
    /// Starts driving the homeserver whose client-server API is at `url`, and tries whether its users can do what they
    /// will have to. Returns what was tried, in words.
    pub(crate) async fn start(
        url: &str,
        name: ServerName,
        roots: &Roots,
        accounts: Accounts,
    ) -> Result<(Self, String), DriverError> {
        let homeserver = Homeserver::new(url, name, roots, accounts)?;
        let driver = Arc::new(Driver {
            homeserver,
            present: Mutex::default(),
            inboxes: Mutex::default(),
            timelines: Mutex::default(),
        });
        let (room_versions, tried) = trial::run(&driver).await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let control = Control::at(&format!("http://{}", listener.local_addr()?))?;
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router(driver)).await {
                tracing::error!(%error, "the driver of the homeserver has ended");
            }
        });
        Ok((Self { control, room_versions, server }, tried))
    }

    /// Whether it has rooms of Linearized Matrix.
    pub(crate) fn has_linearized_rooms(&self) -> bool {
        let known = RoomVersions::lm_04();
        self.room_versions.iter().any(|version| known.get(version).is_some())
    }
}

/// What the handlers share.
#[derive(Debug)]
struct Driver {
    homeserver: Homeserver,
    /// Who of the homeserver is or was in which room, in the order in which they came: whom to read it as.
    present: Mutex<HashMap<String, Vec<String>>>,
    inboxes: Mutex<HashMap<String, passing::Inbox>>,
    timelines: Mutex<HashMap<String, Arc<tokio::sync::Mutex<timeline::Timeline>>>>,
}

impl Driver {
    fn came(&self, room: &str, user: &str) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let users = present.entry(room.to_owned()).or_default();
        if !users.iter().any(|known| known == user) {
            users.push(user.to_owned());
        }
    }

    fn timeline_of(&self, room: &str) -> Arc<tokio::sync::Mutex<timeline::Timeline>> {
        let mut timelines = self.timelines.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(timelines.entry(room.to_owned()).or_default())
    }

    fn who_knows(&self, room: &str) -> Vec<String> {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.get(room).cloned().unwrap_or_default()
    }
}

/// A call that failed, as the control API answers it.
#[derive(Debug)]
struct Failed(CallError);

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (status, body) = match self.0 {
            CallError::Refused { status, body } => (status, body),
            CallError::Stranger(_) => {
                (StatusCode::BAD_REQUEST, json!({"errcode": "M_INVALID_PARAM", "error": self.0.to_string()}))
            }
            CallError::Silent(_) | CallError::Lacks(_) => {
                (StatusCode::BAD_GATEWAY, json!({"errcode": "M_UNKNOWN", "error": self.0.to_string()}))
            }
        };
        (status, axum::Json(body)).into_response()
    }
}

type Answer = Result<axum::Json<Value>, Failed>;

fn router(driver: Arc<Driver>) -> Router {
    let paths = Router::new()
        .route("/rooms", post(rooms::create))
        .route("/rooms/{room}", get(rooms::show))
        .route("/rooms/{room}/state", get(rooms::state))
        .route("/rooms/{room}/events", get(rooms::list).post(rooms::send))
        .route("/rooms/{room}/membership", post(membership::change))
        .route("/users/{user}/inbox", get(passing::inbox))
        .route("/users/{user}/to-device", post(passing::to_device))
        .route("/{*rest}", any(impossible));
    Router::new().nest("/control/v1", paths).with_state(driver)
}

/// What no Matrix client can do.
async fn impossible(method: Method, Path(rest): Path<String>) -> Response {
    let error = format!("the Matrix client-server API has nothing for {method} /{rest} of the control API");
    (StatusCode::NOT_IMPLEMENTED, axum::Json(json!({"errcode": "M_UNRECOGNIZED", "error": error})))
        .into_response()
}

/// A member of a JSON object that is a string.
fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str)
}

/// The same, of a request that is malformed without it.
fn required<'v>(value: &'v Value, field: &'static str) -> Result<&'v str, Failed> {
    text(value, field).ok_or_else(|| {
        let error = format!("`{field}` is missing, or no string");
        let body = json!({"errcode": "M_BAD_JSON", "error": error});
        Failed(CallError::Refused { status: StatusCode::BAD_REQUEST, body })
    })
}
