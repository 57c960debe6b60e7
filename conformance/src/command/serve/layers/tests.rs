use clap::CommandFactory as _;
use clap::Parser;

use super::*;

/// A program with a setting of each kind.
#[derive(Debug, Args, PartialEq, Eq)]
struct Sample {
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    one_number: u8,
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = ArgAction::Set)]
    flag: bool,
    #[arg(long, value_name = "NUMBER")]
    many: Vec<u8>,
    #[arg(long, value_name = "NAME=VALUE")]
    named: Vec<String>,
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long)]
    act: bool,
}

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    _sample: Sample,
}

/// Reads a command line, variables and the text of a file.
fn read(line: &[&str], variables: &[(&str, &str)], file: Option<&str>) -> Layers<Sample> {
    let matches = Program::command().no_binary_name(true).try_get_matches_from(line).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    Layers::read(&matches, variables, file.map(|_| path.as_path()))
}

fn settings(line: &[&str], variables: &[(&str, &str)], file: &str) -> Sample {
    let layers = read(line, variables, Some(file));
    assert!(layers.errors.is_empty(), "{:?}", layers.errors);
    layers.settings.unwrap()
}

fn sources<'l>(layers: &'l Layers<Sample>, key: &str) -> Vec<&'l Origin> {
    let entry = layers.entries.iter().find(|entry| entry.key == key).unwrap();
    entry.values.iter().map(|given| &given.origin).collect()
}

#[test]
fn the_highest_place_counts() {
    let (line, variable, file) = (&["--one-number", "4"], &[("MIMI_ONE_NUMBER", "3")], "one-number = 2");
    assert_eq!(settings(line, variable, file).one_number, 4);
    assert_eq!(settings(&[], variable, file).one_number, 3);
    assert_eq!(settings(&[], &[], file).one_number, 2);
    assert_eq!(settings(&[], &[], "").one_number, 1);
    assert_eq!(
        settings(&[], &[("MIMI_ONE_NUMBER", "")], file).one_number,
        2,
        "an empty variable says nothing"
    );

    // A flag can be taken back.
    assert!(settings(&["--flag"], &[("MIMI_FLAG", "false")], "").flag);
    assert!(!settings(&["--flag=false"], &[], "flag = true").flag);
    assert!(settings(&[], &[], "flag = true").flag);
    assert!(settings(&[], &[("MIMI_FLAG", "true")], "flag = false").flag);
}

#[test]
fn of_lists_the_highest_place_counts_and_of_names_each() {
    let file = "many = [1, 2]\nnamed = [\"a=1\", \"b=1\"]";
    let variables = [("MIMI_MANY", "3  4"), ("MIMI_NAMED", "a=2 c=2")];
    let line = ["--many", "5", "--named", "a=3"];
    assert_eq!(settings(&line, &variables, file).many, [5]);
    assert_eq!(settings(&[], &variables, file).many, [3, 4]);
    assert_eq!(settings(&[], &[], file).many, [1, 2]);
    assert_eq!(settings(&line, &variables, file).named, ["a=1", "b=1", "a=2", "c=2", "a=3"]);
}

#[test]
fn tables_stand_before_their_keys() {
    let file = "[one]\nnumber = 7\n[named]\nx = \"5/s\"\ny = 6";
    let read = settings(&[], &[], file);
    assert_eq!((read.one_number, read.named), (7, vec!["x=5/s".to_owned(), "y=6".to_owned()]));
}

#[test]
fn it_is_known_where_a_value_is_from() {
    let file = "# comment\ntext = \"t\"\nmany = [\n  1,\n  2,\n]";
    let layers = read(&["--named", "a=1"], &[("MIMI_NAMED", "b=2")], Some(file));
    let line = |key| match sources(&layers, key).last().unwrap() {
        Origin::File(_, line) => *line,
        other => panic!("{other}"),
    };
    assert_eq!((line("text"), line("many")), (2, 5));
    assert_eq!(sources(&layers, "one-number"), [&Origin::Default]);
    let variable = Origin::Environment("MIMI_NAMED".to_owned());
    assert_eq!(sources(&layers, "named"), [&variable, &Origin::CommandLine]);
    assert!(layers.entries.iter().all(|entry| entry.key != "act"), "what is no setting is not listed");
}

#[test]
fn every_error_is_told_with_its_place() {
    let file = "one-number = 256\nunknown = 1\n[one]\nnumbers = 1\n[text]\nx = 1\n";
    let layers = read(&[], &[("MIMI_MANY", "1 x"), ("MIMI_MANNY", "1"), ("HOME", "/")], Some(file));
    assert!(layers.settings.is_none());
    let errors: Vec<String> = layers.errors.iter().map(ToString::to_string).collect();
    let expected = [
        ("f.toml:2: ", "no setting `unknown`"),
        ("f.toml:4: ", "no setting `one-numbers`"),
        ("f.toml:5: ", "`text` cannot be a table"),
        ("f.toml:1: ", "256 is not in 0..=255"),
        ("MIMI_MANY: ", "'x'"),
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (place, what) in expected {
        assert!(
            errors.iter().any(|error| error.contains(place) && error.contains(what)),
            "{what}: {errors:#?}"
        );
    }
    assert_eq!(layers.strangers, ["MIMI_MANNY"]);
}

#[test]
fn a_file_does_not_name_a_file() {
    let layers = read(&[], &[], Some("config = \"other.toml\"\nact = true"));
    assert_eq!(layers.errors.len(), 2, "{:?}", layers.errors);
}

#[test]
fn what_is_no_toml_has_its_place() {
    let layers = read(&[], &[], Some("one-number = 1\ntext = \n"));
    let error = layers.errors.first().unwrap().to_string();
    assert!(error.contains("line 2"), "{error}");
    let gone = Layers::<Sample>::read(
        &Program::command().no_binary_name(true).try_get_matches_from([""; 0]).unwrap(),
        std::iter::empty(),
        Some(Path::new("/nowhere.toml")),
    );
    assert!(gone.settings.is_none() && gone.errors.len() == 1);
}
