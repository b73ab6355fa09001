//! Every setting of the server as a flag, made from the tree of settings so that none can be forgotten:
//! `engine.compile_slots` is `--engine-compile-slots`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, FromArgMatches};

use crate::config::{ConfigError, Loaded, Sources, keys, load};

/// The flags that were given.
#[derive(Debug, Clone, Default)]
pub(super) struct SettingsArgs {
    file: Option<PathBuf>,
    flags: Vec<(String, String)>,
}

const HEADING: &str =
    "Settings (also in the settings file and as HEARTH_... variables; see `hearth config`)";

fn flag(key: &str) -> String {
    key.replace(['.', '_'], "-")
}

impl clap::Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("HEARTH_CONFIG")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The settings file; by default hearth.toml in the data directory, if it exists");
        keys().into_iter().fold(command.arg(file), |command, key| {
            let arg = Arg::new(key.clone())
                .long(flag(&key))
                .value_name("VALUE")
                .help_heading(HEADING)
                .help(format!("Sets `{key}`"))
                // The usual ones are few; `--help` shows all.
                .hide_short_help(key.contains('.'));
            let arg = match key.as_str() {
                "allow_unauthenticated" => {
                    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
                }
                _ => arg,
            };
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.file = matches.get_one::<PathBuf>("config").cloned();
        self.flags = keys()
            .into_iter()
            .filter_map(|key| matches.get_one::<String>(&key).cloned().map(|value| (key, value)))
            .collect();
        Ok(())
    }
}

impl SettingsArgs {
    /// The effective settings, not validated yet.
    pub(super) fn load(self) -> Result<Loaded, ConfigError> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        load(&Sources { file: self.file, environment, flags: self.flags })
    }
}
