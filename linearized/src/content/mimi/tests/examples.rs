//! The examples of draft-ietf-mimi-content-08.

/// Name, sender, id and bytes of each.
pub(super) fn examples() -> Vec<[&'static str; 4]> {
    let file = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../drafts/mimi-content-08.txt"));
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').collect::<Vec<_>>().try_into().unwrap()).collect()
}
