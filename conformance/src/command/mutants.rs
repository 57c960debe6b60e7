//! `mimi mutants`: the suite against faulty servers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::run::CaseGlob;
use crate::USAGE;

/// Run the suite against deliberately faulty servers, and show which case catches which fault.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 every mutant is caught, in a full run every case catches one, and with --profile every case that has to notice
a mutant does; 1 that is not so; 2 the command line is wrong, or the program was built without the feature `mutants`.

Examples:
  cargo run --release -p mimi-conformance --features mutants -- mutants --write
  cargo run -p mimi-conformance --features mutants -- mutants --quick
  cargo run -p mimi-conformance --features mutants -- mutants --only '5.2.3/*'
  cargo run -p mimi-conformance --features mutants -- mutants --profile '*'")]
pub(crate) struct MutantsArguments {
    /// Only mutants whose id matches, such as '5.2.3/*'
    #[arg(long, value_name = "GLOB")]
    only: Option<CaseGlob>,
    /// Only cases whose id matches, such as '5.*'
    #[arg(long, value_name = "GLOB", conflicts_with_all = ["quick", "write"])]
    cases: Option<CaseGlob>,
    /// Only the cases that are recorded to catch a mutant, until one does
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Only the cases about what a mutant breaks, by section or by requirement
    #[arg(long, conflicts_with = "quick")]
    near: bool,
    /// Instead of the others, the mutants of these profiles, such as '*': each is tried by the cases that have to notice it
    #[arg(long, value_name = "GLOB", conflicts_with_all = ["cases", "quick", "near", "write"])]
    profile: Option<CaseGlob>,
    /// List the mutants and end
    #[arg(long)]
    list: bool,
    /// Write the result as JSON to this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the cases that catch each mutant to conformance/mutants.jsonl, from the root of the repository
    #[arg(long)]
    write: bool,
    /// How many mutants are tried at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// The seed of every random choice of the suite
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "this program was built without mutants: cargo run -p mimi-conformance --features mutants -- mutants"
    )]
    #[cfg(not(feature = "mutants"))]
    NotBuilt,
    #[cfg(feature = "mutants")]
    #[error("no mutant matches; `mimi mutants --list` shows all of them")]
    NoMutant,
    #[cfg(feature = "mutants")]
    #[error("no case matches; `mimi run --list` shows all of them")]
    NoCase,
    #[cfg(feature = "mutants")]
    #[error("no profile matches; `mimi run --help` shows where they are")]
    NoProfile,
    #[cfg(feature = "mutants")]
    #[error(transparent)]
    Profile(#[from] crate::profile::ProfileError),
    #[cfg(feature = "mutants")]
    #[error("{0}")]
    Ports(#[from] crate::environment::SetupError),
    #[cfg(feature = "mutants")]
    #[error("{path}: {error}", path = path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[cfg(feature = "mutants")]
    #[error("conformance/mutants.jsonl: {0}")]
    Recorded(#[from] serde_json::Error),
}

/// Runs the suite against the mutants.
pub(crate) async fn mutants(arguments: MutantsArguments) -> ExitCode {
    match execute(arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mimi mutants: {error}");
            ExitCode::from(USAGE)
        }
    }
}

#[cfg(not(feature = "mutants"))]
#[expect(clippy::unused_async, reason = "the other one waits")]
async fn execute(_: MutantsArguments) -> Result<ExitCode, Refusal> {
    Err(Refusal::NotBuilt)
}

#[cfg(feature = "mutants")]
use built::execute;

#[cfg(feature = "mutants")]
mod built {
    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr};
    use std::path::Path;
    use std::process::ExitCode;
    use std::sync::Arc;

    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    use super::{CaseGlob, MutantsArguments, Refusal};
    use crate::FAILED;
    use crate::case::Case;
    use crate::cases;
    use crate::catalogue::Catalogue;
    use crate::environment::Ports;
    use crate::mutant::{self, Matrix, Mutant, OfProfile, Plan, Recorded, Until};
    use crate::output::print;
    use crate::profile::Profile;

    /// Where the result is kept, from the root of the repository.
    const FILE: &str = "conformance/mutants.jsonl";
    /// Where servers listen: below the ports that operating systems give to outgoing connections. A run against one mutant takes
    /// some 500 of them; several at the same time would find the others held by connections that were closed a minute ago.
    const PORTS: (u16, u16) = (10_000, 32_000);

    pub(super) async fn execute(arguments: MutantsArguments) -> Result<ExitCode, Refusal> {
        if let Some(profiles) = &arguments.profile {
            return by_profile(&arguments, profiles).await;
        }
        let all: Vec<&'static Mutant> = mutant::all().collect();
        let wanted =
            |mutant: &&'static Mutant| arguments.only.as_ref().is_none_or(|only| only.0.is_match(mutant.id));
        let mutants: Vec<_> = all.iter().copied().filter(wanted).collect();
        if mutants.is_empty() {
            return Err(Refusal::NoMutant);
        }
        if arguments.list {
            return Ok(enumerate(&mutants));
        }
        let cases: Vec<&'static Case> = cases::all()
            .filter(|case| arguments.cases.as_ref().is_none_or(|only| only.0.is_match(case.id)))
            .collect();
        if cases.is_empty() {
            return Err(Refusal::NoCase);
        }
        let recorded = Recorded::all()?;
        let seed = arguments.seed.unwrap_or_else(rand::random);
        let mut matrix = Matrix { notes: unsound(&all), ..Matrix::default() };
        let plans = if arguments.quick {
            matrix.notes.extend(unrecorded(&all, &recorded));
            quick(&mutants, &recorded, seed)
        } else {
            let near = |mutant: Option<&'static Mutant>| {
                let is_near = |case: &&'static Case| mutant.is_none_or(|mutant| mutant.is_near(case));
                cases.iter().copied().filter(|case| !arguments.near || is_near(case)).collect()
            };
            let plan = |mutant| {
                let (settings, first, cases) = (None, None, near(mutant));
                Plan { mutant, settings, first, cases, until: Until::End, seed }
            };
            // A sound server comes first and last: that no case fails there says that the others failed for what the mutants do.
            let mutants = mutants.iter().copied().map(Some);
            std::iter::once(None).chain(mutants).chain([None]).map(plan).collect()
        };
        let complete =
            arguments.only.is_none() && arguments.cases.is_none() && !arguments.quick && !arguments.near;
        matrix.full = complete.then(|| cases.clone());
        let keep = |matrix: &Matrix| match arguments.write {
            true => write_down(matrix, &recorded, &all),
            false => Ok(()),
        };
        try_all(plans, usize::from(arguments.jobs), &mut matrix, keep).await?;
        publish(&arguments, &matrix)
    }

    /// A line a mutant.
    fn enumerate(mutants: &[&'static Mutant]) -> ExitCode {
        for mutant in mutants {
            print(&format!("{:<34} {}\n", mutant.id, mutant.says));
        }
        ExitCode::SUCCESS
    }

    /// The mutants of profiles: all of the cases that have to notice one do, and none fails against a sound server.
    async fn by_profile(arguments: &MutantsArguments, wanted: &CaseGlob) -> Result<ExitCode, Refusal> {
        let profiles: Vec<_> = Profile::names().into_iter().filter(|name| wanted.0.is_match(name)).collect();
        let is_wanted = |mutant: &&OfProfile| {
            let by_id = arguments.only.as_ref().is_none_or(|only| only.0.is_match(mutant.mutant.id));
            by_id && profiles.contains(&mutant.profile())
        };
        let mutants: Vec<_> = mutant::of_profiles().filter(is_wanted).collect();
        if profiles.is_empty() {
            return Err(Refusal::NoProfile);
        } else if mutants.is_empty() {
            return Err(Refusal::NoMutant);
        } else if arguments.list {
            return Ok(enumerate(&mutants.iter().map(|of| &of.mutant).collect::<Vec<_>>()));
        }
        let seed = arguments.seed.unwrap_or_else(rand::random);
        let all: Vec<_> = mutants.iter().map(|of| &of.mutant).collect();
        let mut matrix = Matrix { notes: unsound(&all), ..Matrix::default() };
        if arguments.only.is_none() {
            matrix.notes.extend(mutant::gaps(&mutants, &profiles));
        }
        let mut plans = Vec::new();
        for name in profiles {
            let (profile, cases) = (Profile::find(name)?, mutant::own_cases(name));
            let plan = |mutant, settings, cases| Plan {
                mutant,
                settings: Some(settings),
                first: None,
                cases,
                until: Until::End,
                seed,
            };
            if !cases.is_empty() {
                plans.push(plan(None, profile.server().clone(), cases));
            }
            let own = mutants.iter().filter(|of| of.profile() == name);
            plans.extend(own.map(|of| plan(Some(&of.mutant), of.settings(&profile), of.cases())));
        }
        try_all(plans, usize::from(arguments.jobs), &mut matrix, |_| Ok(())).await?;
        for of in mutants {
            let tried = matrix.rows.iter().find(|(mutant, _)| mutant.id == of.mutant.id);
            let noticed = |id: &&str| tried.is_some_and(|(_, tried)| tried.caught_by.contains(id));
            let blind = of.red.iter().filter(|id| !noticed(id));
            matrix.notes.extend(blind.map(|id| format!("{id} does not notice {}", of.mutant.id)));
        }
        publish(arguments, &matrix)
    }

    /// Only the recorded cases, the quickest of them first, until one catches the mutant.
    fn quick(mutants: &[&'static Mutant], recorded: &[Recorded], seed: u64) -> Vec<Plan> {
        let plan = |mutant: &&'static Mutant| {
            let line = recorded.iter().find(|line| line.id == mutant.id)?;
            let cases = cases::all().filter(|case| line.caught_by.iter().any(|id| id == case.id)).collect();
            let first = cases::all().find(|case| line.quickest.as_deref() == Some(case.id));
            Some(Plan { mutant: Some(mutant), settings: None, first, cases, until: Until::Caught, seed })
        };
        mutants.iter().filter_map(plan).collect()
    }

    /// What is wrong with the list of mutants itself.
    fn unsound(all: &[&'static Mutant]) -> Vec<String> {
        let mut notes = Vec::new();
        let mut ids = BTreeSet::new();
        let catalogue = Catalogue::read();
        for mutant in all {
            if !ids.insert(mutant.id) {
                notes.push(format!("{} is the id of two mutants", mutant.id));
            }
            let unknown = |id: &&&str| catalogue.as_ref().is_ok_and(|catalogue| catalogue.says(id).is_none());
            for id in mutant.covers.iter().filter(unknown) {
                notes.push(format!("{} breaks {id}, which is in no catalogue", mutant.id));
            }
        }
        notes
    }

    /// Where the recorded result and the list of mutants differ.
    fn unrecorded(all: &[&'static Mutant], recorded: &[Recorded]) -> Vec<String> {
        let lacks = |mutant: &&&'static Mutant| !recorded.iter().any(|line| line.id == mutant.id);
        let gone = |line: &&Recorded| !all.iter().any(|mutant| mutant.id == line.id);
        let new = all.iter().filter(lacks).map(|mutant| format!("{} is not in {FILE}", mutant.id));
        let old =
            recorded.iter().filter(gone).map(|line| format!("{FILE} has {}, which is no mutant", line.id));
        let caught = recorded.iter().flat_map(|line| &line.caught_by);
        let unknown = caught.filter(|id| !cases::all().any(|case| case.id == **id));
        let unknown: BTreeSet<_> = unknown.map(|id| format!("{FILE} has {id}, which is no case")).collect();
        new.chain(old).chain(unknown).collect()
    }

    /// Tries several mutants at the same time. What comes of each is kept as it comes, so that a run that is broken off was not
    /// for nothing.
    async fn try_all(
        plans: Vec<Plan>,
        jobs: usize,
        matrix: &mut Matrix,
        keep: impl Fn(&Matrix) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let ports = Ports::new("localhost", IpAddr::V4(Ipv4Addr::LOCALHOST), Some(PORTS))?;
        let places = Arc::new(Semaphore::new(jobs));
        let count = plans.len();
        let mut running = JoinSet::new();
        for (index, plan) in plans.into_iter().enumerate() {
            let (places, ports) = (Arc::clone(&places), ports.beside());
            running.spawn(async move {
                let _place = places.acquire_owned().await;
                let mutant = plan.mutant;
                (index, mutant, mutant::run(plan, ports).await)
            });
        }
        let mut order: Vec<usize> = Vec::new();
        let mut ended = 0_usize;
        while let Some(joined) = running.join_next().await {
            ended = ended.saturating_add(1);
            let Ok((index, faulty, tried)) = joined else {
                matrix.notes.push("a run broke off".to_owned());
                continue;
            };
            let id = faulty.map_or("(a sound server)", |mutant| mutant.id);
            let tried = match tried {
                Ok(tried) => tried,
                Err(error) => {
                    matrix.notes.push(format!("{id} does not start: {error}"));
                    continue;
                }
            };
            let (by, took) = (tried.caught_by.len(), tried.took.as_secs());
            eprintln!("{ended:>4}/{count} {id}: {by} cases fail, {took} s");
            if tried.unended > 0 {
                matrix.notes.push(format!("{id}: {} cases did not end in time", tried.unended));
            }
            let in_rust = tried.reasons.iter().filter(|(_, reason)| mutant::is_in_rust(reason));
            matrix.notes.extend(in_rust.map(|(case, _)| format!("{case} gives a reason of {id} in Rust")));
            match faulty {
                Some(mutant) => {
                    let place = order.partition_point(|other| *other < index);
                    order.insert(place, index);
                    matrix.rows.insert(place, (mutant, tried));
                    keep(matrix)?;
                }
                None => matrix.unsound.extend(tried.caught_by),
            }
        }
        Ok(())
    }

    fn write(path: &Path, text: String) -> Result<(), Refusal> {
        std::fs::write(path, text).map_err(|error| Refusal::File { path: path.to_owned(), error })
    }

    /// Writes what was found so far to the file; of other mutants it has what it had.
    fn write_down(matrix: &Matrix, recorded: &[Recorded], all: &[&'static Mutant]) -> Result<(), Refusal> {
        // What was written since the program was built counts.
        let before = std::fs::read_to_string(FILE).unwrap_or_default();
        let recorded = if before.is_empty() { recorded.to_vec() } else { Recorded::read(&before)? };
        write(Path::new(FILE), Recorded::file(&matrix.recorded(&recorded, all))?)
    }

    fn publish(arguments: &MutantsArguments, matrix: &Matrix) -> Result<ExitCode, Refusal> {
        let json = || format!("{:#}\n", matrix.to_json());
        match &arguments.json {
            Some(path) if path.as_os_str() == "-" => {
                eprint!("{}", matrix.to_text());
                print(&json());
            }
            Some(path) => {
                write(path, json())?;
                print(&matrix.to_text());
            }
            None => print(&matrix.to_text()),
        }
        Ok(if matrix.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}
