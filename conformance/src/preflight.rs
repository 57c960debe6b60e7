//! Before anything is judged: do the target and the suite reach each other?

use std::sync::Arc;

use http::Method;

use crate::environment::Environment;
use crate::evidence::Recorder;
use crate::peer::Peer;

/// Makes sure that the suite reaches the target, and that the target reaches a server of the suite: it is sent a signed
/// request, which it can only check with that server's key. Then finds out under which paths the target has its endpoints.
///
/// # Errors
/// What is wrong, and what can be done about it.
pub(crate) async fn check(environment: &Arc<Environment>) -> Result<(), String> {
    let target = &environment.target.name;
    environment.target_keys().await.map_err(|error| {
        format!(
            "{target} cannot be reached: {error}\n  is it running? does --ca name a CA that verifies its certificate? \
             does its name resolve, or does it need --resolve {target}=IP:PORT?"
        )
    })?;
    let recorder = Recorder::default();
    let peer =
        Peer::start(environment, &recorder, &Arc::default()).await.map_err(|error| error.to_string())?;
    // An endpoint that has a final path only, so that there is nothing to find out about it first.
    let path = "/_matrix/federation/v1/state/%21none?event_id=%24none";
    let reply = peer.request(Method::GET, path, None).await.map_err(|error| error.to_string())?;
    let asked = peer.requests().iter().any(|request| request.target.starts_with("/_matrix/key/v2/server"));
    if asked {
        return environment.unstable_only.learn(&peer).await.map_err(|error| error.to_string());
    }
    let name = &peer.name;
    Err(format!(
        "{target} did not fetch the key of {name}, a server of the suite (its answer to a signed request, GET {path}, was \
         {} {})\n  does it look at a request's signature before it answers, whatever it answers? \
         does {} resolve for the target, and to where the suite listens (--peer-host, --peer-listen, --peer-ports)? \
         does the target trust the suite's CA? `mimi run --print-setup` says what it needs",
        reply.status.as_u16(),
        reply.errcode(),
        name.host(),
    ))
}
