//! Running cases: several at a time, or one alone, each on its own, none longer than its time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mimi_mls_foreign::Stack;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::case::{Case, Finding, Need, Outcome, Verdict};
use crate::context::Context;
use crate::environment::Environment;
use crate::evidence::Kept;
use crate::report::Progress;

/// How many cases run at the same time.
pub(crate) const CONCURRENT: usize = 8;
/// How long one case may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs cases and returns their outcomes in the order of the cases.
pub(crate) async fn run(
    environment: &Arc<Environment>,
    cases: &[&'static Case],
    progress: &Progress,
) -> Vec<Outcome> {
    let places = Arc::new(Semaphore::new(CONCURRENT));
    let mut running = JoinSet::new();
    let numbered = || cases.iter().copied().enumerate();
    for (index, case) in numbered().filter(|(_, case)| !case.alone) {
        let (places, environment) = (Arc::clone(&places), Arc::clone(environment));
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            (index, run_one(environment, case).await)
        });
    }
    let mut outcomes: Vec<(usize, Outcome)> = Vec::with_capacity(cases.len());
    while let Some(joined) = running.join_next().await {
        if let Ok((index, outcome)) = joined {
            progress.ended(&outcome);
            outcomes.push((index, outcome));
        }
    }
    for (index, case) in numbered().filter(|(_, case)| case.alone) {
        let outcome = run_one(Arc::clone(environment), case).await;
        progress.ended(&outcome);
        outcomes.push((index, outcome));
    }
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Runs one case to its end.
pub(crate) async fn run_one(environment: Arc<Environment>, case: &'static Case) -> Outcome {
    let started = Instant::now();
    let lacking = |need: &Need| match need {
        Need::Control => environment.target.control.as_ref().err().map(ToString::to_string),
        Need::Names => environment.network.is_none().then(|| {
            "the target does not ask the suite's name server, and this case is about names it gives out"
                .to_owned()
        }),
    };
    if let Some(reason) = case.needs.iter().find_map(lacking) {
        let tried = Tried { verdict: Verdict::Skip, reason: Some(reason), ..Tried::default() };
        return outcome(case, started, tried, Vec::new());
    }
    let mut worst: Option<Tried> = None;
    let mut mls = Vec::new();
    for order in environment.mls.orders() {
        let tried = try_once(Arc::clone(&environment), case, order).await;
        let has_devices = !tried.stacks.is_empty();
        if has_devices {
            mls.push(tried.stacks.clone());
        }
        if worst.as_ref().is_none_or(|worst| severity(tried.verdict) > severity(worst.verdict)) {
            worst = Some(tried);
        }
        if !has_devices {
            break;
        }
    }
    outcome(case, started, worst.unwrap_or_default(), mls)
}

/// What came of a case when it was tried once.
#[derive(Debug)]
struct Tried {
    verdict: Verdict,
    reason: Option<String>,
    evidence: Vec<Kept>,
    /// The MLS implementations of its devices.
    stacks: Vec<&'static str>,
}

impl Default for Tried {
    fn default() -> Self {
        let reason = Some("the case was not tried".to_owned());
        Self { verdict: Verdict::Skip, reason, evidence: Vec::new(), stacks: Vec::new() }
    }
}

/// How much a verdict says, when a case comes out differently with other devices.
fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Skip => 1,
        Verdict::Acceptable => 2,
        Verdict::Warn => 3,
        Verdict::Fail => 4,
    }
}

async fn try_once(environment: Arc<Environment>, case: &'static Case, order: Vec<Stack>) -> Tried {
    let counts = environment.terms().counts;
    let context = Arc::new(Context::new(environment, order));
    let shared = Arc::clone(&context);
    // A task of its own: a panic in a case is a fault of the suite and does not stop the others.
    // It ends with this one, also if that is given up.
    let mut task = JoinSet::new();
    task.spawn(async move { (case.run)(&shared).await });
    let result = match tokio::time::timeout(LIMIT, task.join_next()).await {
        Ok(Some(Ok(result))) => result,
        Ok(Some(Err(_)) | None) => Err(Finding::Suite("the case panicked".to_owned())),
        Err(_) => Err(Finding::Fault(format!("the case did not end within {} s", LIMIT.as_secs()))),
    };
    drop(task);
    let verdict = Verdict::of(&result, case.level, counts);
    let evidence = context.recorder.take();
    let evidence = if matches!(verdict, Verdict::Pass | Verdict::Skip) { Vec::new() } else { evidence };
    let stacks = context.stacks_used();
    let reason = result.err().map(|finding| match stacks.as_slice() {
        [] => finding.to_string(),
        stacks => format!("{finding} (the suite's devices are of {})", stacks.join(", ")),
    });
    Tried { verdict, reason, evidence, stacks }
}

fn outcome(case: &'static Case, started: Instant, tried: Tried, mls: Vec<Vec<&'static str>>) -> Outcome {
    let Tried { verdict, reason, evidence, .. } = tried;
    Outcome {
        id: case.id,
        title: case.title,
        verdict,
        level: case.level,
        role: case.role,
        covers: case.covers,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        mls,
        reason,
        evidence,
    }
}
