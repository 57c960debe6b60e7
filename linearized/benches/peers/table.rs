//! The table at the end: every time, and ours as a multiple of each peer's.
//!
//! The time is that of the fastest sample. Whatever else the machine does makes a sample slower and none faster, so on a
//! shared machine the fastest says most about the code; medians there say more about the neighbours.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// How a group's own time is called.
pub(crate) const OURS: &str = "ours";

/// Prints a line for each measured function, group by group.
pub(crate) fn print(results: &Path) {
    println!("\n{:<44} {:>12} {:>14}", "", "fastest", "ours / peer");
    for (group, functions) in measured(results) {
        let ours = functions.iter().find(|(name, _)| name == OURS).map(|(_, time)| *time);
        for (name, time) in functions {
            let ratio = match ours {
                Some(ours) if name != OURS => format!("{:.2}", ours / time),
                _ => String::new(),
            };
            println!("{:<44} {:>12} {:>14}", format!("{group}: {name}"), shown(time), ratio);
        }
    }
}

/// The fastest samples in nanoseconds by group and function, from what criterion files.
fn measured(results: &Path) -> Vec<(String, Vec<(String, f64)>)> {
    let mut groups: Vec<(String, Vec<(String, f64)>)> = Vec::new();
    for group in folders(results) {
        for function in folders(&results.join(&group)) {
            let read = |file: &str| -> Option<Value> {
                let path = results.join(&group).join(&function).join("new").join(file);
                serde_json::from_slice(&fs::read(path).ok()?).ok()
            };
            let (Some(id), Some(samples)) = (read("benchmark.json"), read("sample.json")) else {
                continue;
            };
            let (Some(group), Some(name)) = (id["group_id"].as_str(), id["function_id"].as_str()) else {
                continue;
            };
            let numbers =
                |field: &str| samples[field].as_array().into_iter().flatten().filter_map(Value::as_f64);
            let each = numbers("times").zip(numbers("iters")).map(|(time, times)| time / times);
            let Some(fastest) = each.min_by(f64::total_cmp) else { continue };
            match groups.iter_mut().find(|(known, _)| known == group) {
                Some((_, functions)) => functions.push((name.to_owned(), fastest)),
                None => groups.push((group.to_owned(), vec![(name.to_owned(), fastest)])),
            }
        }
    }
    for (_, functions) in &mut groups {
        functions.sort_by_key(|(name, _)| name != OURS);
    }
    // Digits are compared as numbers would be, so that small rooms come before large ones.
    groups.sort_by_key(|(group, _)| {
        let (what, size) = group.split_once(", ").unwrap_or((group, ""));
        (what.to_owned(), size.len(), size.to_owned())
    });
    groups
}

fn folders(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn shown(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1_000.0 => format!("{n:.0} ns"),
        n if n < 1_000_000.0 => format!("{:.2} us", n / 1_000.0),
        n => format!("{:.2} ms", n / 1_000_000.0),
    }
}
