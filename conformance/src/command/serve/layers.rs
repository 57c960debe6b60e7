//! Where the settings of `mimi serve` come from: the command line, the environment, a file, in this precedence.
//!
//! What a setting is called and what it takes is said once, where the command line is declared. `--data-dir` is the
//! variable `MIMI_DATA_DIR` and the key `data-dir`, and its text means the same in all three, because it is the same
//! parser that reads it. In a file, a table's name stands before its keys (`[tls]` with `cert` is `tls-cert`), what may
//! be repeated is an array, and `NAME=VALUE` settings may be a table of their names. In a variable, what may be repeated
//! is separated by spaces.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What the variables begin with.
const PREFIX: &str = "MIMI_";
/// The setting that cannot be in a file: where the file is.
const FILE: &str = "config";

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// On the command line.
    CommandLine,
    /// In this variable of the environment.
    Environment(String),
    /// In the file, on this line.
    File(PathBuf, usize),
    /// Nowhere: it is what is taken then.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(variable) => f.write_str(variable),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// A setting and what it is.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its key.
    pub(super) key: String,
    /// Its values, none if it is not set and has no default.
    pub(super) values: Vec<Given>,
    pub(super) kind: Kind,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// One value.
    Single,
    /// Any number of values. The highest place where there is one has them all.
    List,
    /// Any number of `NAME=VALUE`. Those of all places count, the highest last.
    Named,
}

impl Kind {
    fn of(arg: &Arg) -> Self {
        let name = arg.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
        match arg.get_action() {
            ArgAction::Append if name.contains('=') => Self::Named,
            ArgAction::Append => Self::List,
            _ if arg.get_num_args().is_some_and(|count| count.min_values() == 0) => Self::Flag,
            _ => Self::Single,
        }
    }
}

/// Settings that are wrong in themselves, or where they stand.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    #[error("{path} cannot be read: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error("{path} is no TOML: {error}")]
    Toml { path: PathBuf, error: Box<toml::de::Error> },
    #[error("{origin}: there is no setting `{key}`")]
    Unknown { origin: Origin, key: String },
    #[error("{origin}: `{key}` cannot be {what}")]
    Form { origin: Origin, key: String, what: &'static str },
    #[error("{origin}: {message}")]
    Value { origin: Origin, message: String },
}

/// Everything that was said, put together.
#[derive(Debug)]
pub(super) struct Layers<S> {
    /// The settings, if nothing is wrong with any.
    pub(super) settings: Option<S>,
    /// Each of them, in the order of the help.
    pub(super) entries: Vec<Entry>,
    /// What is wrong.
    pub(super) errors: Vec<LayerError>,
    /// Variables that look like settings and are none.
    pub(super) strangers: Vec<String>,
}

impl<S: Args + FromArgMatches> Layers<S> {
    /// Puts the command line, the environment and the file, if there is one, together.
    pub(super) fn read(
        line: &ArgMatches,
        environment: impl Iterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Self {
        let command = S::augment_args(Command::new("mimi serve").no_binary_name(true));
        // What has no value is no setting but something to do.
        let settings = command.get_arguments().filter(|arg| arg.get_action().takes_values());
        let args: Vec<&Arg> = settings.filter(|arg| arg.get_long().is_some()).collect();
        let mut errors = Vec::new();
        let environment: BTreeMap<String, String> =
            environment.filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty()).collect();
        let known: BTreeSet<String> = args.iter().map(|arg| variable(arg)).collect();
        let strangers = environment.keys().filter(|name| !known.contains(*name)).cloned().collect();
        let mut in_file = match file.map(|path| read_file(path, &args)).transpose() {
            Ok(read) => read.unwrap_or_default(),
            Err(error) => {
                errors.push(error);
                InFile::default()
            }
        };
        errors.append(&mut in_file.errors);
        let mut entries = Vec::new();
        for arg in &args {
            let key = key(arg).to_owned();
            let kind = Kind::of(arg);
            let below = in_file.values.remove(&key).unwrap_or_default();
            let between = environment.get(&variable(arg)).map(|text| in_variable(arg, kind, text));
            let between = between.unwrap_or_default();
            for given in below.iter().chain(&between) {
                if let Err(message) = probe(&command, &key, &given.text) {
                    errors.push(LayerError::Value { origin: given.origin.clone(), message });
                }
            }
            let above = on_line(line, arg);
            let values = match kind {
                Kind::Named => [below, between, above].concat(),
                _ => [above, between, below].into_iter().find(|given| !given.is_empty()).unwrap_or_default(),
            };
            let values = if values.is_empty() { defaults(arg) } else { values };
            entries.push(Entry { key, values, kind });
        }
        let mut settings = None;
        if errors.is_empty() {
            match put_together(command, &entries) {
                Ok(made) => settings = Some(made),
                Err(message) => errors.push(LayerError::Value { origin: Origin::CommandLine, message }),
            }
        }
        Self { settings, entries, errors, strangers }
    }
}

fn put_together<S: FromArgMatches>(command: Command, entries: &[Entry]) -> Result<S, String> {
    let words = entries.iter().flat_map(|entry| {
        let given = entry.values.iter().filter(|given| given.origin != Origin::Default);
        given.map(|given| format!("--{}={}", entry.key, given.text))
    });
    let matches = command.try_get_matches_from(words).map_err(|error| sentence(&error))?;
    S::from_arg_matches(&matches).map_err(|error| sentence(&error))
}

fn key(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

fn variable(arg: &Arg) -> String {
    format!("{PREFIX}{}", key(arg).replace('-', "_").to_ascii_uppercase())
}

/// Reads a value as the command line would.
fn probe(command: &Command, key: &str, text: &str) -> Result<(), String> {
    let read = command.clone().try_get_matches_from([format!("--{key}={text}")]);
    read.map(|_| ()).map_err(|error| sentence(&error))
}

/// What is wrong, without the hint at the help.
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.trim_start_matches("error: ");
    let end = text.find("\n\nFor more information").unwrap_or(text.len());
    text.get(..end).unwrap_or(text).trim_end().to_owned()
}

fn on_line(line: &ArgMatches, arg: &Arg) -> Vec<Given> {
    let id = arg.get_id().as_str();
    if line.value_source(id) != Some(ValueSource::CommandLine) {
        return Vec::new();
    }
    let given = |text: &std::ffi::OsStr| Given {
        text: text.to_string_lossy().into_owned(),
        origin: Origin::CommandLine,
    };
    line.get_raw(id).into_iter().flatten().map(given).collect()
}

fn in_variable(arg: &Arg, kind: Kind, text: &str) -> Vec<Given> {
    let given = |text: &str| Given { text: text.to_owned(), origin: Origin::Environment(variable(arg)) };
    match kind {
        Kind::Flag | Kind::Single => vec![given(text)],
        Kind::List | Kind::Named => text.split_whitespace().map(given).collect(),
    }
}

fn defaults(arg: &Arg) -> Vec<Given> {
    let given =
        |text: &std::ffi::OsStr| Given { text: text.to_string_lossy().into_owned(), origin: Origin::Default };
    arg.get_default_values().iter().map(|text| given(text.as_os_str())).collect()
}

/// What a file says.
#[derive(Debug, Default)]
struct InFile {
    values: BTreeMap<String, Vec<Given>>,
    errors: Vec<LayerError>,
}

fn read_file(path: &Path, args: &[&Arg]) -> Result<InFile, LayerError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| LayerError::File { path: path.to_owned(), error })?;
    let table = DeTable::parse(&text)
        .map_err(|error| LayerError::Toml { path: path.to_owned(), error: Box::new(error) })?;
    let args = args.iter().filter(|arg| key(arg) != FILE);
    let kinds = args.map(|arg| (key(arg), Kind::of(arg))).collect();
    let mut reader = Reader { path, text: &text, kinds, found: InFile::default() };
    reader.table("", table.get_ref());
    Ok(reader.found)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    kinds: BTreeMap<&'a str, Kind>,
    found: InFile,
}

impl Reader<'_> {
    fn origin(&self, span: Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        Origin::File(self.path.to_owned(), before.matches('\n').count().saturating_add(1))
    }

    /// The keys of a table, after those of the tables that it is in.
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}-{}", name.get_ref())
            };
            match (self.kinds.get(key.as_str()).copied(), value.get_ref()) {
                (Some(Kind::Named), DeValue::Table(names)) => {
                    for (name, value) in names {
                        self.take(&key, value, |text| format!("{}={text}", name.get_ref()));
                    }
                }
                (Some(Kind::List | Kind::Named), DeValue::Array(array)) => {
                    array.iter().for_each(|value| self.take(&key, value, str::to_owned));
                }
                (Some(_), _) => self.take(&key, value, str::to_owned),
                (None, DeValue::Table(inner)) => self.table(&key, inner),
                (None, _) => {
                    let origin = self.origin(name.span());
                    self.found.errors.push(LayerError::Unknown { origin, key });
                }
            }
        }
    }

    fn take(&mut self, key: &str, value: &Spanned<DeValue<'_>>, write: impl Fn(&str) -> String) {
        let origin = self.origin(value.span());
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Boolean(flag) => flag.to_string(),
            other => {
                let what = match other {
                    DeValue::Array(_) => "an array",
                    DeValue::Table(_) => "a table",
                    _ => "a time",
                };
                self.found.errors.push(LayerError::Form { origin, key: key.to_owned(), what });
                return;
            }
        };
        let given = Given { text: write(&text), origin };
        self.found.values.entry(key.to_owned()).or_default().push(given);
    }
}

#[cfg(test)]
mod tests;
