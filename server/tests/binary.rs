//! The binary itself: that it starts, says what it is, and tells wrong usage from a server that is not there.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test tells that it failed by panicking"
)]

use std::process::{Command, Output};

fn hearth(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(arguments).env("NO_COLOR", "1").output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_names_every_command_but_the_hidden_one() {
    let help = hearth(&["--help"]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    for command in
        ["serve", "deploy", "invoke", "ls", "logs", "rm", "run", "bench", "config", "completions"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is missing:\n{help}");
    }
    assert!(!help.contains("compile-child"));
}

#[test]
fn wrong_usage_and_a_missing_server_have_codes_of_their_own() {
    assert_eq!(hearth(&["no-such-command"]).status.code(), Some(2));
    let nobody = hearth(&["ls", "--server", "http://127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(3));
    let told = text(&nobody.stderr);
    assert!(told.contains("hearth serve"), "it does not say what to do: {told}");
}

#[test]
fn completions_are_for_the_shell_that_was_named() {
    for shell in ["bash", "zsh", "fish"] {
        let script = hearth(&["completions", shell]);
        assert!(script.status.success());
        assert!(text(&script.stdout).contains("hearth"), "{shell}");
    }
}

#[test]
fn settings_are_shown_as_they_would_count() {
    let shown = hearth(&["config", "--drain-time", "7s", "--format", "json"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(text(&shown.stdout).contains("7s"), "{}", text(&shown.stdout));
    let refused = hearth(&["config", "--listen", "0.0.0.0:9000", "--auth", "off"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--allow-unauthenticated"));
}
