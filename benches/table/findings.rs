//! What was found, and the files it is written to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hearth_benches::peers::Field;
use hearth_benches::plot::{Panel, bars, png};
use serde_json::{Value, json};

use crate::Settings;
use crate::row::{Row, as_markdown};

#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) rows: Vec<Row>,
    /// For the plot of everything.
    pub(crate) panels: Vec<Panel>,
    /// Plots by their file's name, without its ending.
    pub(crate) plots: Vec<(&'static str, String)>,
    /// Distributions of latencies by their file's name.
    pub(crate) distributions: Vec<(String, String)>,
    /// What must be known before the figures are believed, and how many rounds it was seen in.
    doubts: BTreeMap<String, Vec<String>>,
    left_out: BTreeMap<String, String>,
    about: BTreeMap<String, String>,
}

impl Findings {
    pub(crate) fn left_out(&mut self, field: &Field) {
        self.left_out
            .extend(field.left_out.iter().map(|(name, why)| ((*name).to_owned(), why.clone())));
        let versions = field
            .peers
            .iter()
            .filter_map(|peer| peer.about.clone().map(|about| (peer.name, about)));
        self.about.extend(versions.map(|(name, about)| (name.to_owned(), about)));
    }

    /// Something that casts doubt on a figure of that host.
    pub(crate) fn doubt(&mut self, of: &str, doubts: Vec<String>) {
        if !doubts.is_empty() {
            self.doubts.entry(of.to_owned()).or_default().extend(doubts);
        }
    }

    fn notes(&self) -> Vec<String> {
        let doubts = self.doubts.iter().filter_map(|(of, doubts)| {
            // One of them says what kind they are; all would be a wall.
            doubts.first().map(|first| match doubts.len() {
                1 => format!("{of}: {first}"),
                times => format!("{of}, {times} times, such as: {first}"),
            })
        });
        let left_out = self.left_out.iter().map(|(name, why)| format!("{name} left out: {why}"));
        left_out.chain(doubts).collect()
    }

    pub(crate) fn as_text(&self) -> String {
        let mut text = as_markdown(&self.rows);
        let notes = self.notes();
        if !notes.is_empty() {
            text.push('\n');
        }
        for note in notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    pub(crate) fn as_json(&self, settings: &Settings) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::as_json).collect();
        let (rounds, seconds) = (settings.rounds(), settings.time().as_secs_f64());
        json!({
            "machine": machine(), "rounds": rounds, "seconds": seconds, "connections": settings.connections,
            "quick": settings.quick, "rows": rows, "versions": self.about, "left_out": self.left_out, "doubts": self.doubts,
        })
    }

    /// Writes table.md, table.json, the plots and the distributions; what cannot be written is said.
    pub(crate) fn write(&mut self, settings: &Settings) {
        let out = &settings.out;
        std::fs::create_dir_all(out).unwrap_or_else(|why| panic!("{}: {why}", out.display()));
        if !self.panels.is_empty() {
            let svg = bars("hearth beside other hosts", &subtitle(settings), &self.panels);
            self.plots.push(("overview", svg));
        }
        let save = |name: String, text: &str| {
            let path = out.join(name);
            std::fs::write(&path, text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            path
        };
        for (name, text) in &self.distributions {
            save(format!("{name}.hgrm"), text);
        }
        for (name, svg) in &self.plots {
            if let Err(why) = png(&save(format!("{name}.svg"), svg)) {
                self.left_out.insert("PNG of plots".to_owned(), why);
            }
        }
        save("table.json".to_owned(), &format!("{:#}\n", self.as_json(settings)));
        let text = format!("{}\n\n{}", subtitle(settings), self.as_text());
        save("table.md".to_owned(), &text);
        settings.progress(&format!("written to {}", out.display()));
    }
}

/// Where and how the figures came to be.
pub(crate) fn subtitle(settings: &Settings) -> String {
    let (rounds, seconds) = (settings.rounds(), settings.time().as_secs_f64());
    let warning = if settings.quick { "QUICK RUN, THE FIGURES MEAN NOTHING. " } else { "" };
    format!(
        "{warning}{}; medians of {rounds} alternating rounds of {seconds} s, {} connections, load from the same machine",
        machine(),
        settings.connections
    )
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown CPU");
    format!("{cores} cores of {model}")
}
