//! Where a server says that it is (LM-04 §12.3.1), if it says so itself.
//!
//! The document is asked for where the target answers everything else. A target that leaves it to another web server, or
//! delegates to nobody, is not judged (`LM-04/12.3.1/4`).

use http::{Method, StatusCode};
use mimi_linearized::id::ServerName;
use mimi_transport::resolve::WELL_KNOWN_PATH;
use serde_json::Value;

use crate::case::{Case, Finding, case, check, fault, said};
use crate::context::Context;
use crate::wire::{Ask, Reply};

pub(super) const CASES: &[Case] = &[
    case!(
        Must,
        Server,
        "12.3.1/answer",
        "a delegation is a JSON object whose `m.server` is a host name with an optional port",
        ["LM-04/12.3.1/5"],
        answer
    ),
    case!(
        Should,
        Server,
        "12.3.1/content-type",
        "a delegation says that it is JSON",
        ["LM-04/12.3.1/6"],
        content_type
    ),
];

/// The delegation, if there is one.
async fn delegation(ctx: &Context) -> Result<Reply, Finding> {
    let reply = ctx.ask(Ask::new(Method::GET, WELL_KNOWN_PATH)).await?;
    if reply.status == StatusCode::OK {
        return Ok(reply);
    }
    let status = reply.status.as_u16();
    Err(Finding::Untried(format!("the target does not answer `{WELL_KNOWN_PATH}` itself: {status}")))
}

async fn answer(ctx: &Context) -> Result<(), Finding> {
    let reply = delegation(ctx).await?;
    let object = reply.body.as_object().ok_or_else(|| fault("the delegation is no JSON object"))?;
    let server = object.get("m.server");
    let name = server.and_then(Value::as_str).map(ServerName::parse);
    let fits = matches!(name, Some(Ok(name)) if name.is_contactable());
    check!(
        fits,
        "`m.server` is {server} and no name of a server that can be contacted",
        server = said(&server)
    );
    Ok(())
}

async fn content_type(ctx: &Context) -> Result<(), Finding> {
    let reply = delegation(ctx).await?;
    check!(reply.says_json(), "`Content-Type` is not `application/json`");
    Ok(())
}
