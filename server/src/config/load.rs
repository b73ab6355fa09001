//! Lays the sources of settings over one another: defaults < TOML file < `HEARTH_*` < flags.
//!
//! Every value keeps where it came from. A key nobody knows is an error that names the nearest known one, wherever it stands;
//! nothing is ignored. The process environment is read by the caller, once.

use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat, Value, ValueKind};

use super::Settings;

/// The file that is read from the data directory when no other is named.
const FILE_NAME: &str = "hearth.toml";

/// Variables with the prefix that are not settings of the server but of its command line.
const NOT_SETTINGS: [&str; 6] = [
    "HEARTH_SERVER",
    "HEARTH_CONFIG",
    "HEARTH_FORMAT",
    "HEARTH_ACCESS_KEY_ID",
    "HEARTH_ACCESS_KEY_SECRET",
    "HEARTH_SECURITY_TOKEN",
];

/// Why the settings could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that was asked for does not exist.
    #[error("settings file {path} does not exist")]
    NoFile {
        /// Which file.
        path: PathBuf,
    },
    /// A variable or flag names no setting.
    #[error("`{name}` is no setting{}", .nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// What was given.
        name: String,
        /// The known name nearest to it.
        nearest: Option<String>,
    },
    /// A value does not fit its setting, or the file is no TOML.
    #[error("settings are not valid: {why}")]
    Invalid {
        /// What the reader said, with the origin.
        why: String,
    },
    /// The values are readable but may not be used together.
    #[error("{why}")]
    Refused {
        /// What is wrong and what to do.
        why: String,
    },
}

/// Where settings come from, beside the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file to read. Without one, `hearth.toml` in the data directory is read if it exists.
    pub file: Option<PathBuf>,
    /// The environment; only names that begin with `HEARTH_` are looked at.
    pub environment: Vec<(String, String)>,
    /// Flags as (`engine.compile_slots`, `2`).
    pub flags: Vec<(String, String)>,
}

/// The effective settings and where each came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings, not validated yet.
    pub settings: Settings,
    /// Each key with its origin, in the order of the keys; what is absent is a default.
    pub origins: std::collections::BTreeMap<String, String>,
}

/// Every key of the tree, such as `engine.compile_slots`.
pub fn keys() -> Vec<String> {
    let mut keys = Vec::new();
    if let Ok(tree) = Config::try_from(&Settings::default()) {
        walk(&tree.cache, "", &mut |key, _| keys.push(key.to_owned()));
    }
    keys.sort();
    keys
}

/// The variable of a key: `HEARTH_ENGINE_COMPILE_SLOTS`.
fn variable(key: &str) -> String {
    format!("HEARTH_{}", key.replace('.', "_").to_ascii_uppercase())
}

/// Visits every leaf of a tree of values with its dotted key.
fn walk(value: &Value, key: &str, visit: &mut impl FnMut(&str, &Value)) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (name, value) in table {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                walk(value, &key, visit);
            }
        }
        _ => visit(key, value),
    }
}

/// Puts the sources together.
///
/// # Errors
/// [`ConfigError`]; the result is not validated yet, so that `hearth config` can show what would be refused.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let keys = keys();
    let mut overrides = from_environment(&sources.environment, &keys)?;
    overrides.extend(from_flags(&sources.flags, &keys)?);
    let file = match &sources.file {
        Some(path) if !path.is_file() => return Err(ConfigError::NoFile { path: path.clone() }),
        Some(path) => Some(path.clone()),
        None => {
            let data_dir = overrides.iter().rev().find(|(key, ..)| key == "data_dir");
            let data_dir = data_dir
                .map_or_else(|| Settings::default().data_dir, |(_, value, _)| PathBuf::from(value));
            Some(data_dir.join(FILE_NAME)).filter(|path| path.is_file())
        }
    };
    build(file.as_deref(), overrides)
        .map_err(|error| ConfigError::Invalid { why: error.to_string() })
}

/// A key, its value and where that came from.
type Override = (String, String, String);

fn from_environment(
    environment: &[(String, String)],
    keys: &[String],
) -> Result<Vec<Override>, ConfigError> {
    let ours = environment
        .iter()
        .filter(|(name, _)| name.starts_with("HEARTH_") && !NOT_SETTINGS.contains(&name.as_str()));
    ours.map(|(name, value)| match keys.iter().find(|key| variable(key) == *name) {
        Some(key) => Ok((key.clone(), value.clone(), format!("environment {name}"))),
        None => Err(ConfigError::Unknown {
            name: name.clone(),
            nearest: nearest(name, keys.iter().map(|key| variable(key))),
        }),
    })
    .collect()
}

fn from_flags(flags: &[(String, String)], keys: &[String]) -> Result<Vec<Override>, ConfigError> {
    let checked = flags.iter().map(|(key, value)| match keys.contains(key) {
        true => {
            Ok((key.clone(), value.clone(), format!("flag --{}", key.replace(['.', '_'], "-"))))
        }
        false => Err(ConfigError::Unknown {
            name: key.clone(),
            nearest: nearest(key, keys.iter().cloned()),
        }),
    });
    checked.collect()
}

fn build(file: Option<&Path>, overrides: Vec<Override>) -> Result<Loaded, config::ConfigError> {
    let mut builder = Config::builder().add_source(Config::try_from(&Settings::default())?);
    if let Some(file) = file {
        builder = builder.add_source(File::from(file).format(FileFormat::Toml));
    }
    for (key, value, origin) in overrides {
        builder = builder.set_override(key, Value::new(Some(&origin), value))?;
    }
    let tree = builder.build()?;
    let mut origins = std::collections::BTreeMap::new();
    walk(&tree.cache, "", &mut |key, value| {
        if let Some(origin) = value.origin() {
            origins.insert(key.to_owned(), origin.to_owned());
        }
    });
    Ok(Loaded { settings: tree.try_deserialize()?, origins })
}

/// The known name that shares most with `name`, if any is close: a slip of the finger, not a guess.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known
        .map(|known| (distance(name, &known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein distance over bytes, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(b.bytes()) {
            let cost = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = cost.min(*cell + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn later_sources_win_and_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hearth.toml");
        std::fs::write(
            &file,
            "[engine]\ncompile_slots = 3\ninstances = 7\n[http]\nidle_timeout = \"5s\"\n",
        )
        .unwrap();
        let sources = Sources {
            file: None,
            environment: vec![
                pair("HEARTH_DATA_DIR", dir.path().to_str().unwrap()),
                pair("HEARTH_ENGINE_COMPILE_SLOTS", "4"),
                pair("HEARTH_SERVER", "http://elsewhere"),
                pair("PATH", "/bin"),
            ],
            flags: vec![pair("engine.compile_slots", "5"), pair("allow_unauthenticated", "true")],
        };
        let loaded = load(&sources).unwrap();
        assert_eq!(loaded.settings.engine.compile_slots, 5);
        assert_eq!(loaded.settings.engine.instances, 7);
        assert_eq!(loaded.settings.http.idle_timeout, super::super::Span::seconds(5));
        assert!(loaded.settings.allow_unauthenticated);
        assert_eq!(loaded.origins["engine.compile_slots"], "flag --engine-compile-slots");
        assert_eq!(loaded.origins["data_dir"], "environment HEARTH_DATA_DIR");
        assert!(loaded.origins["engine.instances"].ends_with("hearth.toml"));
        assert!(!loaded.origins.contains_key("listen"));
    }

    #[test]
    fn what_nobody_knows_is_an_error() {
        let flags = Sources { flags: vec![pair("engine.instanses", "1")], ..Sources::default() };
        assert_eq!(
            load(&flags).unwrap_err().to_string(),
            "`engine.instanses` is no setting; did you mean `engine.instances`?"
        );
        let environment = vec![pair("HEARTH_LISTNE", "1")];
        let environment = Sources { environment, ..Sources::default() };
        assert!(load(&environment).unwrap_err().to_string().contains("`HEARTH_LISTEN`"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f.toml");
        std::fs::write(&file, "[http]\nidle = 3\n").unwrap();
        let file = Sources { file: Some(file), ..Sources::default() };
        assert!(load(&file).unwrap_err().to_string().contains("idle"));
        let missing = Sources { file: Some("/nowhere/x.toml".into()), ..Sources::default() };
        assert!(matches!(load(&missing), Err(ConfigError::NoFile { .. })));
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_origin() {
        let sources =
            Sources { environment: vec![pair("HEARTH_DRAIN_TIME", "soon")], ..Sources::default() };
        let error = load(&sources).unwrap_err().to_string();
        assert!(error.contains("soon"), "{error}");
        assert!(error.contains("drain_time") || error.contains("HEARTH_DRAIN_TIME"), "{error}");
    }
}
