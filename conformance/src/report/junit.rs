//! The report as JUnit's XML, which GitLab and GitHub show.

use std::time::Duration;

use super::{CaseResult, Report, Standing};
use crate::case::Verdict;
use crate::catalogue::Catalogue;
use crate::printable::printable;
use quick_junit::{NonSuccessKind, Property, SerializeError, TestCase, TestCaseStatus, TestSuite};

/// One test suite for each section of the draft, one test case for each case.
///
/// | verdict | test case |
/// |---|---|
/// | pass, acceptable, warn | passed; the reason is in its output |
/// | fail | failed |
/// | fail or warn as expected, skip | skipped, with the reason |
/// | an unexpected pass | failed |
pub(crate) fn junit(report: &Report, catalogue: &Catalogue) -> Result<String, SerializeError> {
    let mut document =
        quick_junit::Report::new(format!("mimi run: {}", printable(&report.target.server_name)));
    document.set_time(Duration::from_millis(report.suite.duration_ms));
    for (section, cases) in report.sections() {
        let mut suite = TestSuite::new(format!("{} {section}", document_of(section)));
        suite.set_time(cases.iter().map(|case| Duration::from_millis(case.duration_ms)).sum());
        for (name, value) in [
            ("target", printable(&report.target.server_name)),
            ("driver", printable(&report.target.driver)),
            ("seed", report.suite.seed.to_string()),
            ("started", report.suite.started.clone()),
        ] {
            suite.add_property(Property::new(name, value));
        }
        if let Some(profile) = &report.profile {
            suite.add_property(Property::new("profile", printable(&profile.name)));
        }
        suite.add_test_cases(cases.into_iter().map(|case| test_case(case, catalogue)));
        document.add_test_suite(suite);
    }
    document.to_string()
}

/// What a group of cases is about: sections of the draft have numbers.
fn document_of(section: &str) -> &'static str {
    if section.starts_with(|first: char| first.is_ascii_digit()) { "LM-04" } else { "profile" }
}

fn test_case(case: &CaseResult, catalogue: &Catalogue) -> TestCase {
    let reason = &printable(case.reason.as_deref().unwrap_or_default());
    let status = match (case.standing(), case.verdict) {
        (Standing::UnexpectedPass, _) => {
            let expected =
                case.expected.as_ref().map_or_else(String::new, |expected| printable(&expected.reason));
            failure("unexpected pass", &format!("this case was expected to fail: {expected}"), "")
        }
        (Standing::Expected, _) => {
            let expected =
                case.expected.as_ref().map_or_else(String::new, |expected| printable(&expected.reason));
            skipped(&format!("expected to fail: {expected}; {reason}"))
        }
        (Standing::Plain, Verdict::Skip) => skipped(reason),
        (Standing::Plain, Verdict::Fail) => {
            let says =
                case.covers.iter().map(|id| format!("{id}: {}", catalogue.says(id).unwrap_or_default()));
            failure(case.level.as_str(), reason, &says.collect::<Vec<_>>().join("\n"))
        }
        (Standing::Plain, Verdict::Pass | Verdict::Warn | Verdict::Acceptable) => TestCaseStatus::success(),
    };
    let mut test = TestCase::new(format!("{}: {}", case.id, case.title), status);
    test.set_classname(format!("{}.{}", document_of(case.section()), case.section()))
        .set_time(Duration::from_millis(case.duration_ms));
    if matches!(case.verdict, Verdict::Warn | Verdict::Acceptable) {
        test.set_system_out(format!("{}: {reason}", case.verdict.as_str()));
    }
    for (name, value) in [
        ("id", case.id.clone()),
        ("verdict", case.verdict.as_str().to_owned()),
        ("level", case.level.as_str().to_owned()),
        ("role", case.role.clone()),
        ("covers", case.covers.join(" ")),
    ] {
        test.add_property(Property::new(name, value));
    }
    if let Some(link) = case.expected.as_ref().and_then(|expected| expected.link.as_ref()) {
        test.add_property(Property::new("link", link.as_str()));
    }
    test
}

fn failure(kind: &str, message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(kind).set_message(message);
    status.set_description(format!("{message}\n{description}"));
    status
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}
