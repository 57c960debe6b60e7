//! Running the suite against one mutant.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mimi_mls_foreign::Stack;
use mimi_transport::tls::TlsError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::Mutant;
use super::profiles::Under;
use crate::case::{Case, Outcome, Verdict};
use crate::environment::{EXHAUSTED, Environment, PeerCertificate, Ports, Setup, SetupError};
use crate::mls::Stacks;
use crate::network::NetworkError;
use crate::profile::{ServerSettings, SettingsError};
use crate::runner::{CONCURRENT, run_one};
use crate::target::{Embedded, EmbeddedError};

/// How long the run against one mutant may take. What has not ended by then says nothing.
const LIMIT: Duration = Duration::from_secs(400);

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// When a case has caught the mutant.
    Caught,
    /// When every case has ended.
    End,
}

/// A run against one server.
#[derive(Clone)]
pub(crate) struct Plan {
    /// The mutant; without one, the server is sound.
    pub(crate) mutant: Option<&'static Mutant>,
    /// The settings of the profile that it is started with, if it is.
    pub(crate) settings: Option<ServerSettings>,
    /// The case that is tried before the others, by itself.
    pub(crate) first: Option<&'static Case>,
    /// The cases.
    pub(crate) cases: Vec<&'static Case>,
    /// When it is over.
    pub(crate) until: Until,
    /// The seed of every random choice.
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Tried {
    /// The cases that caught the mutant: that did not pass, in the order of the draft.
    pub(crate) caught_by: Vec<&'static str>,
    /// The one of them that needed the least time.
    pub(crate) quickest: Option<&'static str>,
    /// What each of them had to say.
    pub(crate) reasons: Vec<(&'static str, String)>,
    /// The cases that did not end in time.
    pub(crate) unended: usize,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The suite's surroundings.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// What a profile has the server started with.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The suite's names.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The server.
    #[error(transparent)]
    Server(#[from] EmbeddedError),
    /// The suite's client.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Whether an outcome shows the fault: against a server without it, the case passes. A fault that a reading of the draft
/// allows shows as an acceptable difference.
fn catches(outcome: &Outcome) -> bool {
    matches!(outcome.verdict, Verdict::Fail | Verdict::Warn | Verdict::Acceptable)
}

/// Starts the server, runs the cases against it, and stops it.
pub(crate) async fn run(plan: Plan, ports: Ports) -> Result<Tried, RunError> {
    let started = Instant::now();
    let setup = Setup::new(ports.host(), PeerCertificate::Temporary, &[])?;
    let settled = match &plan.settings {
        Some(settings) => Some(settings.settle(ports.host()).await?),
        None => None,
    };
    let assembly = Under { settled: settled.as_ref(), mutant: plan.mutant };
    let network = setup.network(&ports).await?;
    let embedded = Embedded::assemble(&setup, &ports, &[], network.as_ref(), &assembly).await?;
    let (target, stacks) = (embedded.target().clone(), Stacks::One(Stack::OpenMls));
    let environment = Environment::new(target, setup, ports, Vec::new(), network, plan.seed, stacks)?;
    let (outcomes, unended) = cases(&plan, &environment).await;
    embedded.stop().await;
    environment.ports.release();
    // What had no place to be tried at says nothing of the mutant.
    let is_lost =
        |outcome: &Outcome| outcome.reason.as_ref().is_some_and(|reason| reason.contains(EXHAUSTED));
    let (lost, mut outcomes): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(is_lost);
    let unended = unended.saturating_add(lost.len());
    outcomes.retain(catches);
    outcomes.sort_by_key(|outcome| plan.cases.iter().position(|case| case.id == outcome.id));
    Ok(Tried {
        caught_by: outcomes.iter().map(|outcome| outcome.id).collect(),
        quickest: outcomes.iter().min_by_key(|outcome| outcome.duration_ms).map(|outcome| outcome.id),
        reasons: outcomes.into_iter().filter_map(|outcome| Some((outcome.id, outcome.reason?))).collect(),
        unended,
        took: started.elapsed(),
    })
}

/// The outcomes, and how many there are not.
async fn cases(plan: &Plan, environment: &Arc<Environment>) -> (Vec<Outcome>, usize) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    let mut outcomes = Vec::new();
    if let Some(first) = plan.first
        && let Ok(outcome) = timeout_at(deadline, run_one(Arc::clone(environment), first)).await
        && plan.until == Until::Caught
        && catches(&outcome)
    {
        return (vec![outcome], 0);
    }
    let places = Arc::new(Semaphore::new(CONCURRENT));
    let mut running = JoinSet::new();
    for case in plan.cases.iter().copied().filter(|case| !case.alone) {
        let (places, environment) = (Arc::clone(&places), Arc::clone(environment));
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            run_one(environment, case).await
        });
    }
    let mut over = false;
    while !over {
        match timeout_at(deadline, running.join_next()).await {
            Ok(Some(Ok(outcome))) => {
                over = plan.until == Until::Caught && catches(&outcome);
                outcomes.push(outcome);
            }
            Ok(Some(Err(_))) => {}
            Ok(None) => break,
            Err(_) => over = true,
        }
    }
    running.shutdown().await;
    for case in plan.cases.iter().copied().filter(|case| case.alone) {
        if over {
            break;
        }
        match timeout_at(deadline, run_one(Arc::clone(environment), case)).await {
            Ok(outcome) => {
                over = plan.until == Until::Caught && catches(&outcome);
                outcomes.push(outcome);
            }
            Err(_) => over = true,
        }
    }
    let caught = outcomes.iter().any(catches);
    let unended = match plan.until {
        Until::Caught if caught => 0,
        _ => plan.cases.len().saturating_sub(outcomes.len()),
    };
    (outcomes, unended)
}
