//! Starts in process: what the bench `in_process` compares, as rows.

use hearth_benches::compare;
use hearth_benches::in_process::{ALL, Lab};
use hearth_benches::plot::{Bar, Panel};

use crate::Settings;
use crate::findings::Findings;
use crate::row::{Beside, Row, Target};

/// What the plot of everything shows of them.
const SHOWN: &[&str] = &[
    "fresh minimal module",
    "fresh Rust WASI command",
    "fresh Rust HTTP component",
    "warm Rust HTTP component",
];

pub(crate) fn measure(settings: &Settings, findings: &mut Findings) {
    let lab = Lab::new(settings.quick);
    let mut bars = Vec::new();
    for (what, make) in ALL {
        settings.progress(&format!("starts: {what}"));
        let seen = compare(&mut make(&lab, what), settings.quick);
        // What is ours on both sides, or other work on the other, says so behind the comma.
        let (figure, name) = match what.split_once(", ") {
            Some((figure, other)) => (figure, other),
            None => (*what, "bare wasmtime"),
        };
        if SHOWN.contains(what) || what.starts_with("cold") {
            let bar = |name: &str, value, is_ours| Bar { name: name.to_owned(), value, is_ours };
            bars.push((
                *what,
                [bar("hearth", seen.ours, true), bar("bare wasmtime", seen.beside, false)],
            ));
        }
        let mut row = Row::new(figure, "us", seen.ours);
        let (value, ratio, spread) = (seen.beside, seen.ratio, Some(seen.spread));
        row.beside = Some(Beside { name: name.to_owned(), value, ratio, spread });
        findings.rows.push(row.target(seen.target.map(Target::AtMost)));
    }
    let panel = |(what, bars): (&str, [Bar; 2])| Panel {
        title: format!("{what}, us"),
        bars: bars.to_vec(),
    };
    findings.panels.extend(bars.into_iter().map(panel));
}
