//! What the benches share: guests, and rounds that alternate between ours and the baseline, so that a noisy machine is noisy for
//! both.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

pub mod bare_server;
pub mod density;
pub mod heavy_module;
pub mod in_process;
pub mod load;
pub mod peers;
pub mod plot;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

/// The binary of an example, as `rust-event` or `bad/sleeper`.
///
/// # Panics
/// When it is not there; it is committed.
#[must_use]
pub fn guest(name: &str) -> Vec<u8> {
    let path = guest_path(name);
    std::fs::read(&path).unwrap_or_else(|why| panic!("guest {}: {why}", path.display()))
}

/// Whether a guest that is not committed was built.
#[must_use]
pub fn is_built(name: &str) -> bool {
    guest_path(name).exists()
}

/// In the folder that `GUEST_EXAMPLES_DIR` names, if it is there, or among the examples.
fn guest_path(name: &str) -> PathBuf {
    let inside = |guests: PathBuf| match name.split_once('/') {
        Some((folder, name)) => guests.join(folder).join(format!("{name}.wasm")),
        None => guests.join(name).join(format!("{name}.wasm")),
    };
    let named = std::env::var_os("GUEST_EXAMPLES_DIR").map(|guests| inside(guests.into()));
    named.filter(|path| path.exists()).unwrap_or_else(|| {
        inside(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples")))
    })
}

/// The same code under another content: a custom section that holds `number` is put behind it.
#[must_use]
pub fn numbered(code: &[u8], number: u32) -> Vec<u8> {
    // Section 0, its size, the length of its name, the name, then whatever one likes.
    let mut numbered = code.to_vec();
    numbered.extend_from_slice(&[0, 6, 1, b'n']);
    numbered.extend_from_slice(&number.to_le_bytes());
    numbered
}

/// What was asked for on the command line. Words that no bench knows, such as those of cargo, are skipped.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--quick`: only show that it works.
    pub is_quick: bool,
    /// `--format json` or `--format table`; a table on a terminal and JSON elsewhere unless given.
    pub wants_json: bool,
    words: Vec<String>,
}

impl Options {
    /// From the command line; none when cargo only wants to see that the program starts.
    #[must_use]
    pub fn from_arguments() -> Option<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        if words.iter().any(|word| word == "--test") {
            return None;
        }
        let mut options =
            Self { is_quick: words.iter().any(|word| word == "--quick"), wants_json: false, words };
        options.wants_json = match options.value("--format") {
            Some(format) => format == "json",
            None => !std::io::stdout().is_terminal(),
        };
        Some(options)
    }

    /// The word after `name`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let at = self.words.iter().position(|word| word == name)?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// The number after `name`, or another.
    #[must_use]
    pub fn number(&self, name: &str, otherwise: u32) -> u32 {
        self.value(name).and_then(|word| word.parse().ok()).unwrap_or(otherwise)
    }

    /// Words that stand for themselves, to choose cases by: no options and not what follows one.
    pub fn wanted(&self) -> impl Iterator<Item = &str> {
        let follows_option = |at: usize| {
            at.checked_sub(1).and_then(|at| self.words.get(at)).is_some_and(|word| {
                word.starts_with("--") && !["--quick", "--bench"].contains(&word.as_str())
            })
        };
        let words = self.words.iter().enumerate();
        words
            .filter(move |(at, word)| !word.starts_with("--") && !follows_option(*at))
            .map(|(_, word)| word.as_str())
    }
}

/// Does a piece of work so many times and returns the time that counts.
pub type Side = Box<dyn FnMut(u64) -> Duration>;

/// One comparison to be made.
pub struct Case {
    /// What is done, and beside what.
    pub what: &'static str,
    /// The most that the ratio may be; none where the figure is for orientation.
    pub target: Option<f64>,
    /// Ours.
    pub ours: Side,
    /// What it is set beside.
    pub beside: Side,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("what", &self.what).finish_non_exhaustive()
    }
}

/// One comparison made: microseconds of each side and their ratio, by medians.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What is done, and beside what.
    pub what: &'static str,
    /// The most that the ratio may be.
    pub target: Option<f64>,
    /// Microseconds of ours.
    pub ours: f64,
    /// Microseconds of the other side.
    pub beside: f64,
    /// The median of the rounds' own ratios.
    pub ratio: f64,
    /// Lowest and highest ratio of a round.
    pub spread: (f64, f64),
}

/// Alternates between both sides in short batches and takes medians of the rounds.
#[must_use]
pub fn compare(case: &mut Case, is_quick: bool) -> Comparison {
    let (rounds, time) = match is_quick {
        true => (3, Duration::from_millis(20)),
        false => (11, Duration::from_millis(200)),
    };
    // Caches, branch predictors and pools settle first; it also tells how many calls fit into a batch.
    let batches = [&mut case.ours, &mut case.beside].map(|side| calls_in(side, time));
    let (mut ours, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut of_ours = || micros(&mut case.ours, batches[0]);
        let mut of_beside = || micros(&mut case.beside, batches[1]);
        // Whoever comes second finds what the first left in the caches, so they take turns at that too.
        let (a, b) = if round % 2 == 0 {
            let a = of_ours();
            (a, of_beside())
        } else {
            let b = of_beside();
            (of_ours(), b)
        };
        ours.push(a);
        beside.push(b);
        ratios.push(a / b);
    }
    ratios.sort_by(f64::total_cmp);
    Comparison {
        what: case.what,
        target: case.target,
        ours: median(ours),
        beside: median(beside),
        spread: (ratios[0], ratios[ratios.len() - 1]),
        ratio: median(ratios),
    }
}

/// How many calls take about that long.
fn calls_in(side: &mut Side, time: Duration) -> u64 {
    let mut calls = 1;
    loop {
        let taken = side(calls);
        if taken >= time || calls >= 1 << 30 {
            return calls;
        }
        let factor = time.as_secs_f64() / taken.as_secs_f64().max(1e-9);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 16"
        )]
        let factor = (factor * 1.1).clamp(1.0, 16.0).ceil() as u64;
        calls *= factor.max(2);
    }
}

fn micros(side: &mut Side, calls: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    let calls_as_float = calls as f64;
    side(calls).as_secs_f64() * 1e6 / calls_as_float
}

/// The value in the middle.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Begins a table for a person.
#[expect(clippy::print_stdout, reason = "this is what a bench is for")]
pub fn show_head(options: &Options, columns: &str) {
    if !options.wants_json {
        let is_terminal = std::io::stdout().is_terminal();
        let (bold, plain) = if is_terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        println!("{bold}{columns}{plain}");
    }
}

/// What a comparison came to.
pub const COLUMNS: &str = "what                                                  hearth us  beside us   ratio  (lowest to highest)  target";

impl Comparison {
    /// Prints a row, or a line of JSON.
    #[expect(clippy::print_stdout, reason = "this is what a bench is for")]
    pub fn show(&self, options: &Options) {
        let Self { what, target, ours, beside, ratio, spread: (lowest, highest) } = self;
        if options.wants_json {
            let target = target.map_or_else(|| "null".to_owned(), |target| target.to_string());
            println!(
                r#"{{"what":"{what}","hearth_us":{ours:.3},"beside_us":{beside:.3},"ratio":{ratio:.3},"lowest":{lowest:.3},"highest":{highest:.3},"target":{target}}}"#,
            );
            return;
        }
        let verdict = target.map_or_else(String::new, |target| {
            format!("{target:>6.2} {}", if *ratio <= target { "ok" } else { "MISSED" })
        });
        println!(
            "{what:<52} {ours:>10.2} {beside:>10.2} {ratio:>7.2}  ({lowest:>6.2} to {highest:>6.2})     {verdict}"
        );
    }
}
