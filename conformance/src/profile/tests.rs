//! The profiles, their cases, their requirements and their pages speak of the same things.

use std::collections::BTreeSet;
use std::path::Path;

use mimi_transport::assembly::Assembly as _;

use super::*;
use crate::catalogue::Catalogue;

fn all() -> Vec<Profile> {
    Profile::names().into_iter().map(|name| Profile::find(name).unwrap()).collect()
}

#[test]
fn every_profile_selects_cases_and_has_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for profile in all() {
        let name = &profile.name;
        assert!(profile.cases().count() > 0, "{name} has no case");
        assert!(!profile.info().title.is_empty() && !profile.info().based_on.is_empty(), "{name}");
        assert_eq!(profile.file.page.as_deref(), Some(format!("docs/profiles/{name}.md").as_str()));
        let page = fs::read_to_string(root.join("docs/profiles").join(format!("{name}.md"))).unwrap();
        for source in profile.info().based_on {
            assert!(page.contains(&source.version), "the page of {name} says nothing of {}", source.version);
        }
        for case in profile.cases().filter(|case| case.section() == name.as_str()) {
            let cell = case.id.strip_prefix(&format!("{name}/")).unwrap();
            assert!(page.contains(&format!("`{cell}`")), "the page of {name} says nothing of {}", case.id);
        }
    }
}

#[test]
fn core_has_every_must_and_strict_every_case() {
    let ids = |cases: Vec<&Case>| cases.into_iter().map(|case| case.id).collect::<Vec<_>>();
    let musts = cases::all().filter(|case| case.level == Level::Must).collect();
    assert_eq!(ids(Profile::find("core").unwrap().cases().collect()), ids(musts));
    let strict = Profile::find("strict").unwrap();
    assert_eq!(ids(strict.cases().collect()), ids(cases::all().collect()));
    assert_eq!(strict.counts(), Level::Should);
}

#[test]
fn a_group_of_cases_is_its_profiles_own() {
    let (profiles, mut ids) = (all(), BTreeSet::new());
    for case in cases::of_profiles() {
        assert!(ids.insert(case.id), "{} is there twice", case.id);
        let profile = profiles.iter().find(|profile| profile.name == case.section());
        let profile = profile.unwrap_or_else(|| panic!("{} is of no profile", case.id));
        assert!(profile.cases().any(|chosen| chosen.id == case.id), "{} is not in its profile", case.id);
        let own = format!("PROFILE/{}/", profile.name);
        assert!(case.covers.iter().any(|id| id.starts_with(&own)), "{} covers nothing of its own", case.id);
        let distinct: BTreeSet<_> = case.covers.iter().collect();
        assert_eq!(distinct.len(), case.covers.len(), "{} covers something twice", case.id);
        assert!(!cases::all().any(|other| other.id == case.id), "{} is in every run", case.id);
    }
    assert!(ids.len() > 10);
}

#[test]
fn requirements_of_profiles_are_of_a_profile_and_have_a_source() {
    let catalogue = Catalogue::read().unwrap();
    let draft = catalogue.drafts.iter().find(|draft| draft.name == "profiles").unwrap();
    let names = Profile::names();
    for requirement in &draft.requirements {
        assert!(names.contains(&requirement.section.as_str()), "{}", requirement.id);
        assert!(requirement.source.as_deref().is_some_and(|source| !source.is_empty()), "{}", requirement.id);
    }
    for draft in catalogue.drafts.iter().filter(|draft| draft.name != "profiles") {
        assert!(draft.requirements.iter().all(|requirement| requirement.source.is_none()), "{draft}");
    }
}

#[test]
fn a_should_fails_where_it_counts() {
    let fault = Err(crate::case::fault("not met"));
    let verdict = |level, counts| crate::case::Verdict::of(&fault, level, counts).as_str();
    assert_eq!(
        [Level::Must, Level::Should, Level::May].map(|level| verdict(level, Level::Must)),
        ["fail", "warn", "warn"]
    );
    assert_eq!(
        [Level::Must, Level::Should, Level::May].map(|level| verdict(level, Level::Should)),
        ["fail", "fail", "warn"]
    );
}

#[test]
fn what_is_no_profile_is_refused() {
    assert!(matches!(Profile::find("none"), Err(ProfileError::Unknown { .. })));
    assert!(matches!(Profile::find("none.toml"), Err(ProfileError::Read { .. })));
    let read = |text: &str| Profile::read("x", text);
    assert!(matches!(read("title = 1"), Err(ProfileError::Form { .. })));
    assert!(matches!(read("title = \"x\"\ncases = []\nelse = 1"), Err(ProfileError::Form { .. })));
    assert!(matches!(read("title = \"x\"\ncases = [\"[\"]"), Err(ProfileError::Pattern { .. })));
    assert!(matches!(read("title = \"x\"\ncases = [\"5.2.3/no\"]"), Err(ProfileError::Idle { .. })));
    let some = read("title = \"x\"\ncases = [\"5.2.3/*\"]\nexcept = [\"5.2.3/banned-user-joins\"]").unwrap();
    assert!(some.cases().count() > 1);
    assert!(some.cases().all(|case| case.id != "5.2.3/banned-user-joins"));
}

#[tokio::test]
async fn the_suites_hosts_are_put_into_a_policy() {
    let text = "policy = {mode = \"allow\", servers = [\"{peers}\", \"x.{peers}\", \"{others}\"]}";
    let settings: ServerSettings = toml::from_str(text).unwrap();
    let settled = settings.settle("peers.example").await.unwrap();
    let config = settled.settings(mimi_transport::start::ServerConfig::new(
        mimi_linearized::id::ServerName::parse("a.example").unwrap(),
        "none".into(),
    ));
    let written: toml::Table = fs::read_to_string(config.policy.unwrap()).unwrap().parse().unwrap();
    assert_eq!(
        written["servers"].to_string(),
        "[\"peers.example\", \"x.peers.example\", \"*.suite.example\"]"
    );
    assert!(config.media.scanner.is_none());
}
