//! `mimi replay`: one exchange of a bundle again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use mimi_linearized::id::ServerName;
use mimi_transport::client::Response;
use mimi_transport::request_auth;
use mimi_transport::resolve::StaticEntry;
use mimi_transport::tls::ServerCertificate;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::bundle::{self, Bundle, Reach, Server};
use crate::environment::{Environment, PeerCertificate, Ports, Setup};
use crate::evidence::{Kept, Recorder};
use crate::mls::Stacks;
use crate::output::print;
use crate::peer::Peer;
use crate::printable::printable;
use crate::published::Published;
use crate::report::TargetInfo;
use crate::target::{Control, Target, Undriven};
use crate::wire::{self, Ask};
use crate::{FAILED, UNREACHABLE, USAGE};

/// Send one request of a bundle again, to the target it was sent to, and compare the answers.
#[derive(Debug, Args)]
#[command(after_help = "\
The suite's servers of the bundle listen again under their names, with their keys, so that the target can ask for these.
A request that was soundly signed is signed anew, under a new transaction id; any other is sent as it was.

Exit codes: 0 the answer has the same status and errcode as then; 1 it is another; 2 the bundle cannot be read, or its
exchange cannot be repeated by itself; 3 the target does not answer.

Example:
  mimi run --target localhost:8448 --peer-ca-dir ./peers --bundles failures
  mimi replay failures/5.1_forged-signature")]
pub(super) struct ReplayArguments {
    /// The folder of one case, as `mimi run --bundles` writes it
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
    /// Which exchange, from 1; the one that shows the finding unless given
    #[arg(long, value_name = "N")]
    exchange: Option<usize>,
    /// Send it under the same transaction id: a target that remembers its answer gives that
    #[arg(long)]
    same_transaction: bool,
    /// List the exchanges and end
    #[arg(long)]
    list: bool,
}

/// Why nothing was repeated.
enum Refusal {
    Usage(String),
    Unreachable(String),
}

fn usage(error: impl std::fmt::Display) -> Refusal {
    Refusal::Usage(error.to_string())
}

/// Repeats an exchange.
pub(super) async fn replay(arguments: ReplayArguments) -> ExitCode {
    match arguments.execute().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(Refusal::Usage(error)) => {
            eprintln!("mimi replay: {error}");
            ExitCode::from(USAGE)
        }
        Err(Refusal::Unreachable(error)) => {
            eprintln!("mimi replay: {error}");
            ExitCode::from(UNREACHABLE)
        }
    }
}

/// Who sent a request.
enum Sender<'b> {
    /// One of the suite's servers.
    Peer(&'b Server),
    /// The suite, unsigned.
    Nobody,
    /// The suite, to the control API.
    Driver,
}

/// What came back.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl ReplayArguments {
    async fn execute(self) -> Result<bool, Refusal> {
        let bundle = Bundle::read(&self.bundle).map_err(usage)?;
        if self.list {
            for (number, kept) in (1..).zip(&bundle.exchanges) {
                let shows = if bundle.telling == Some(number - 1) { "*" } else { " " };
                print(&format!("{shows} {number:>2}  {}\n", in_line(kept)));
            }
            return Ok(true);
        }
        let again = bundle::command(&bundle.case, bundle.seed);
        let index = match self.exchange {
            Some(number) => number.checked_sub(1),
            None => bundle.telling,
        };
        let kept = index.and_then(|index| bundle.exchanges.get(index)).ok_or_else(|| {
            usage(format!("there is no such exchange in the bundle; the whole case is repeated by: {again}"))
        })?;
        let Some(reach) = &bundle.reach else {
            let gone = "the target was a server that the suite started for itself, and is gone";
            return Err(usage(format!("{gone}; the case is repeated by: {again}")));
        };
        let sender = sender(&bundle, kept).ok_or_else(|| {
            usage(format!(
                "the target sent this by itself and cannot be asked to; the case is repeated by: {again}"
            ))
        })?;
        print(&format!("{}\n", in_line(kept)));
        let answer = match sender {
            Sender::Driver => drive(kept).await?,
            Sender::Peer(_) | Sender::Nobody => self.federate(&bundle, reach, kept, &sender).await?,
        };
        Ok(compare(kept, &answer))
    }

    /// Repeats a request to the target's federation.
    async fn federate(
        &self,
        bundle: &Bundle,
        reach: &Reach,
        kept: &Kept,
        sender: &Sender<'_>,
    ) -> Result<Answer, Refusal> {
        let environment = environment(bundle, reach)?;
        let recorder = Recorder::default();
        let peers = listen(bundle, reach, &environment, &recorder).await?;
        let to =
            kept.exchange.between.rsplit_once(" -> target ").map_or(bundle.target.as_str(), |(_, to)| to);
        let to = ServerName::parse(to).map_err(usage)?;
        let (ask, from) = match sender {
            Sender::Peer(server) => (self.signed(kept, server, &to)?, server.name.as_str()),
            Sender::Nobody | Sender::Driver => (ask(kept)?, "(unsigned)"),
        };
        let response = wire::attempt(&environment.client, &recorder, from, &to, ask).await;
        // The target has asked for what it needed.
        drop(peers);
        match response {
            Ok(Response { status, body, .. }) => Ok(Answer { status: status.as_u16(), body: body.to_vec() }),
            Err(error) => Err(Refusal::Unreachable(format!("{to} does not answer: {error}"))),
        }
    }

    /// The request, signed anew if it was signed soundly.
    fn signed(&self, kept: &Kept, server: &Server, to: &ServerName) -> Result<Ask, Refusal> {
        let mut ask = ask(kept)?;
        let key = server.key().map_err(usage)?;
        let body: Option<Value> =
            if ask.body.is_empty() { None } else { serde_json::from_slice(&ask.body).ok() };
        let sign = |target: &str| {
            request_auth::sign_request(ask.method.as_str(), target, &server.name, to, body.as_ref(), &key)
        };
        let was: Vec<_> = ask.headers.get_all(header::AUTHORIZATION).iter().collect();
        let is_sound = was.len() == 1 && was.first() == Some(&&sign(&ask.target));
        if is_sound && !self.same_transaction {
            let target = renamed(&ask.target);
            let authorization = sign(&target);
            ask.headers.insert(header::AUTHORIZATION, authorization);
            ask.target = target;
        }
        Ok(ask)
    }
}

/// One exchange in one line.
fn in_line(kept: &Kept) -> String {
    let exchange = &kept.exchange;
    let status = exchange.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let line = format!("{}: {} {} -> {status}", exchange.between, exchange.method, exchange.url);
    printable(&line)
}

fn sender<'b>(bundle: &'b Bundle, kept: &Kept) -> Option<Sender<'b>> {
    let (from, to) = kept.exchange.between.split_once(" -> ")?;
    match from.strip_prefix("suite ") {
        None if from == "suite" && to == "control API of the target" => Some(Sender::Driver),
        None => None,
        Some(name) => {
            let server = bundle.servers.iter().find(|server| server.name.as_str() == name);
            Some(server.map_or(Sender::Nobody, Sender::Peer))
        }
    }
}

/// The surroundings of the run that wrote the bundle.
fn environment(bundle: &Bundle, reach: &Reach) -> Result<Arc<Environment>, Refusal> {
    let (certificate, key) = (reach.certificate.clone(), reach.key.clone());
    let given = PeerCertificate::Given(ServerCertificate { certificate, key });
    let setup = Setup::new(&reach.peer_host, given, &reach.trusted).map_err(usage)?;
    let ports = Ports::new(&reach.peer_host, reach.peer_listen, None).map_err(usage)?;
    let resolve: Vec<StaticEntry> =
        reach.resolve.iter().map(|entry| entry.parse()).collect::<Result<_, _>>().map_err(usage)?;
    let name = ServerName::parse(&bundle.target).map_err(usage)?;
    let info = TargetInfo { server_name: bundle.target.clone(), driver: "none".to_owned() };
    let target = Target { name, control: Err(Undriven::NoDriver), info, notary: None };
    let environment =
        Environment::new(target, setup, ports, resolve, None, bundle.seed, Stacks::Mixed).map_err(usage)?;
    let mut keys = HashMap::new();
    for server in &bundle.servers {
        keys.insert(server.name.clone(), server.key().map_err(usage)?);
    }
    environment.give_keys(keys);
    Ok(environment)
}

/// The suite's servers of the bundle, where they were. Those with names of another kind were found by a name server that
/// is gone.
async fn listen(
    bundle: &Bundle,
    reach: &Reach,
    environment: &Arc<Environment>,
    recorder: &Recorder,
) -> Result<Vec<Peer>, Refusal> {
    let published = Arc::new(Published::default());
    let mut peers = Vec::new();
    for server in &bundle.servers {
        let Some(port) = server.name.port().filter(|_| server.name.host() == reach.peer_host) else {
            continue;
        };
        let listener = TcpListener::bind((reach.peer_listen, port))
            .await
            .map_err(|error| usage(format!("{} cannot listen again: {error}", server.name)))?;
        let certificate = environment.setup.certificate();
        let peer =
            Peer::start_as(environment, recorder, &published, server.name.clone(), listener, certificate);
        peers.push(peer.map_err(usage)?);
    }
    Ok(peers)
}

/// The request as it was.
fn ask(kept: &Kept) -> Result<Ask, Refusal> {
    let exchange = &kept.exchange;
    let rest =
        exchange.url.strip_prefix("https://").and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
    let target = rest.ok_or_else(|| usage("the URL in the bundle is none of a federation"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &exchange.headers {
        headers.append(
            HeaderName::try_from(name.as_str()).map_err(usage)?,
            HeaderValue::try_from(value.as_str()).map_err(usage)?,
        );
    }
    let method = exchange.method.parse::<Method>().map_err(usage)?;
    Ok(Ask { method, target: target.to_owned(), headers, body: bundle::body(kept).into() })
}

/// The endpoints whose last segment is a transaction id.
const TRANSACTIONS: [&str; 5] = ["send", "invite", "send_join", "send_leave", "send_knock"];

/// The same path with another transaction id, if it has one.
fn renamed(target: &str) -> String {
    let mut segments: Vec<&str> = target.split('/').collect();
    let (Some(id), Some(endpoint)) = (segments.pop(), segments.last()) else { return target.to_owned() };
    if !TRANSACTIONS.contains(endpoint) || id.is_empty() {
        return target.to_owned();
    }
    format!("{}/{id}-{:08x}", segments.join("/"), rand::random::<u32>())
}

/// Repeats a call of the control API.
async fn drive(kept: &Kept) -> Result<Answer, Refusal> {
    let exchange = &kept.exchange;
    let (base, path) = exchange
        .url
        .split_once("/control/v1")
        .ok_or_else(|| usage("the URL in the bundle is none of a control API"))?;
    let control = Control::at(base).map_err(usage)?;
    let method = exchange.method.parse::<Method>().map_err(usage)?;
    let body = Some(&exchange.body).filter(|body| !body.is_null());
    let reply = control.call(&Recorder::default(), method, path, body).await;
    let reply = reply.map_err(|error| Refusal::Unreachable(error.to_string()))?;
    Ok(Answer { status: reply.status.as_u16(), body: reply.body.to_string().into_bytes() })
}

/// Says what came back, and whether it is what came then.
fn compare(kept: &Kept, answer: &Answer) -> bool {
    let body: Value = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer.body).into_owned()));
    let errcode = |body: &Value| body.get("errcode").and_then(Value::as_str).map(ToOwned::to_owned);
    let then = &kept.exchange;
    let same = then.status == Some(answer.status) && errcode(&then.answer) == errcode(&body);
    let text = serde_json::to_string_pretty(&body).unwrap_or_default();
    print(&format!(
        "\n{}\n{}\n\n",
        answer.status,
        text.lines().map(printable).collect::<Vec<_>>().join("\n")
    ));
    if same {
        print("the same status and errcode as then\n");
    } else {
        let status = then.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let errcode =
            errcode(&then.answer).map(|errcode| format!(" {}", printable(&errcode))).unwrap_or_default();
        print(&format!("another answer than then, which was {status}{errcode}\n"));
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transactions_get_another_id() {
        for path in ["/_matrix/federation/v2/send/t1-0", "/_matrix/federation/v3/send_join/x"] {
            let renamed = renamed(path);
            assert!(renamed.starts_with(&format!("{path}-")) && renamed.len() == path.len() + 9, "{renamed}");
        }
        for path in ["/_matrix/federation/v1/state/!a", "/_matrix/federation/v2/send/", "/"] {
            assert_eq!(renamed(path), path);
        }
    }
}
