//! Coverage for programs.

use serde_json::{Value, json};

use super::{Coverage, DraftCoverage, Line, Status, Tally};
use crate::catalogue::Level;

/// `{drafts: [{draft, file, levels, sections: [{section, levels}], requirements: [..]}], faults: [..]}`
pub(crate) fn to_json(coverage: &Coverage<'_>) -> Value {
    let faults: Vec<String> = coverage.faults.iter().map(ToString::to_string).collect();
    json!({"drafts": coverage.drafts.iter().map(draft).collect::<Vec<_>>(), "faults": faults})
}

fn draft(draft: &DraftCoverage<'_>) -> Value {
    let section =
        |(number, lines): (&str, Vec<&Line<'_>>)| json!({"section": number, "levels": levels(&lines)});
    json!({
        "draft": draft.draft.to_string(),
        "file": format!("{}.toml", draft.draft.name),
        "levels": levels(&draft.lines.iter().collect::<Vec<_>>()),
        "sections": draft.sections().into_iter().map(section).collect::<Vec<_>>(),
        "requirements": draft.lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn levels<'l>(lines: &[&'l Line<'l>]) -> Value {
    let of = |level: Level| (level.as_str().to_owned(), json!(Tally::of(lines.iter().copied(), level)));
    Level::ALL.map(of).into_iter().collect()
}

fn line(line: &Line<'_>) -> Value {
    let (requirement, status) = (line.requirement, line.status());
    let mut entry = json!({
        "id": requirement.id,
        "section": requirement.section,
        "level": requirement.level,
        "role": requirement.role,
        "says": requirement.says,
        "status": status.as_str(),
        "cases": line.cases,
    });
    if let (Some(entry), Status::Untestable(why) | Status::Unspecified(why)) = (entry.as_object_mut(), status)
    {
        entry.insert("reason".to_owned(), json!(why));
    }
    entry
}
