//! Rows of the table: a figure of ours, the same of whoever is beside it, their ratio, and whether that is what was wanted.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What a ratio, or a figure that stands alone, has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// Another's figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Beside {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// Ours to it: the median of the rounds' own ratios, as neighbours in time had the same machine.
    pub(crate) ratio: f64,
    /// The lowest and highest of a round, where there were several.
    pub(crate) spread: Option<(f64, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) beside: Option<Beside>,
    pub(crate) target: Option<Target>,
}

impl Row {
    pub(crate) fn new(figure: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self { figure: figure.into(), unit, ours, beside: None, target: None }
    }

    pub(crate) fn target(mut self, target: Option<Target>) -> Self {
        self.target = target;
        self
    }

    /// Beside one figure.
    pub(crate) fn beside(mut self, name: impl Into<String>, value: f64) -> Self {
        let ratio = self.ours / value;
        self.beside = Some(Beside { name: name.into(), value, ratio, spread: None });
        self
    }

    /// Medians of rounds beside those of another, made in the same rounds.
    pub(crate) fn of_rounds(
        figure: impl Into<String>,
        unit: &'static str,
        ours: &[f64],
        (name, theirs): (&str, &[f64]),
    ) -> Self {
        let mut ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        ratios.sort_by(f64::total_cmp);
        let median = |values: &[f64]| hearth_benches::median(values.to_vec());
        let spread = ratios.first().copied().zip(ratios.last().copied());
        let mut row = Self::new(figure, unit, median(ours));
        let (value, ratio) = (median(theirs), median(&ratios));
        row.beside = Some(Beside { name: name.to_owned(), value, ratio, spread });
        row
    }

    /// Whether it is what was wanted; none where nothing was.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let value = self.beside.as_ref().map_or(self.ours, |beside| beside.ratio);
        self.target.map(|target| target.is_met(value))
    }

    pub(crate) fn as_json(&self) -> Value {
        let target = self.target.map(|target| match target {
            Target::AtLeast(least) => json!({"at_least": least}),
            Target::AtMost(most) => json!({"at_most": most}),
        });
        let beside = self.beside.as_ref().map(|beside| {
            json!({"name": beside.name, "value": beside.value, "ratio": beside.ratio, "spread": beside.spread})
        });
        json!({"figure": self.figure, "unit": self.unit, "hearth": self.ours, "beside": beside, "target": target, "met": self.is_met()})
    }

    fn cells(&self) -> [String; 8] {
        let target = match self.target {
            None => String::new(),
            Some(Target::AtLeast(least)) => format!("at least {}", readable(least)),
            Some(Target::AtMost(most)) => format!("at most {}", readable(most)),
        };
        let verdict = match self.is_met() {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        let beside = self.beside.as_ref();
        let spread = beside.and_then(|beside| beside.spread);
        [
            self.figure.clone(),
            readable(self.ours),
            beside.map_or_else(String::new, |beside| beside.name.clone()),
            beside.map_or_else(String::new, |beside| readable(beside.value)),
            self.unit.to_owned(),
            beside.map_or_else(String::new, |beside| match spread {
                Some((low, high)) => format!("{:.2} ({low:.2} to {high:.2})", beside.ratio),
                None => format!("{:.2}", beside.ratio),
            }),
            target,
            verdict.to_owned(),
        ]
    }
}

/// Three digits that count.
fn readable(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        middling if middling < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

const HEAD: [&str; 8] =
    ["figure", "hearth", "beside", "its figure", "unit", "ratio (of rounds)", "target", ""];

/// A table in Markdown that can be read as it stands.
pub(crate) fn as_markdown(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let mut widths = [0; 8];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for ((column, cell), width) in line.iter().enumerate().zip(widths) {
            let is_figure = column == 1 || column == 3;
            let _ = match is_figure {
                true => write!(text, "| {cell:>width$} "),
                false => write!(text, "| {cell:<width$} "),
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                let _ =
                    write!(text, "|{dashes}{}", if column == 1 || column == 3 { ":" } else { "-" });
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_own() {
        // The machine was half as fast in the second round, for both.
        let row = Row::of_rounds(
            "rps",
            "a second",
            &[100.0, 50.0, 110.0],
            ("axum", &[200.0, 100.0, 200.0]),
        );
        let beside = row.beside.as_ref().expect("another");
        assert_eq!((row.ours, beside.value, beside.ratio), (100.0, 200.0, 0.5));
        assert_eq!(beside.spread, Some((0.5, 0.55)));
        assert_eq!(row.clone().target(Some(Target::AtLeast(0.5))).is_met(), Some(true));
        assert_eq!(row.clone().target(Some(Target::AtMost(0.49))).is_met(), Some(false));
        assert_eq!(row.is_met(), None);
    }

    #[test]
    fn a_figure_alone_is_held_to_its_target_itself() {
        let row = Row::new("KiB each", "KiB", 34.0).target(Some(Target::AtMost(100.0)));
        assert_eq!(row.is_met(), Some(true));
        let told = row.as_json();
        assert_eq!(told.get("met"), Some(&json!(true)));
        assert_eq!(told.get("beside"), Some(&Value::Null));
    }

    #[test]
    fn what_cannot_be_told_is_not_met() {
        let row = Row::of_rounds("rps", "a second", &[], ("axum", &[]))
            .target(Some(Target::AtLeast(0.5)));
        assert_eq!(row.is_met(), Some(false));
    }

    #[test]
    fn a_table_says_what_was_missed() {
        let missed = Row::new("one", "us", 3.0)
            .beside("bare wasmtime", 1.0)
            .target(Some(Target::AtMost(2.5)));
        let text = as_markdown(&[missed, Row::new("two", "us", 12_345.6)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].contains("3.00 | bare wasmtime") && lines[2].contains("MISSED"), "{text}");
        assert!(lines[3].contains("12346"), "{text}");
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
    }
}
