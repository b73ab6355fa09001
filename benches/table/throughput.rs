//! Requests a second of each host, closed loop, in turns.

use std::collections::BTreeMap;
use std::time::Duration;

use hearth_benches::load::{Pace, Plan, Report, run};
use hearth_benches::peers::{Field, Peer};
use hearth_benches::plot::{Bar, Panel};

use crate::Settings;
use crate::findings::Findings;
use crate::row::{Row, Target};

/// What is said, of whom, beside whom, and what the ratio has to be.
const COMPARED: &[(&str, &str, &str, Option<f64>)] = &[
    ("HTTP component, reused", "hearth-reuse", "axum", Some(0.75)),
    // That of the machine it is measured on: what any host on wasmtime has to reckon with.
    ("HTTP component, reused, bare", "bare-wasmtime", "axum", None),
    ("HTTP component, reused", "hearth-reuse", "bare-wasmtime", None),
    ("HTTP component, reused", "hearth-reuse", "wasmtime-reuse", Some(1.4)),
    ("HTTP component, reused", "hearth-reuse", "workerd", Some(3.0)),
    ("HTTP component, reused", "hearth-reuse", "spin", Some(1.0)),
    ("HTTP component, fresh", "hearth-fresh", "axum", Some(0.45)),
    ("HTTP component, fresh", "hearth-fresh", "wasmtime-fresh", Some(1.5)),
    ("HTTP component, fresh", "hearth-fresh", "spin", Some(1.0)),
    ("HTTP component, fresh", "hearth-fresh", "workerd", None),
    ("HTTP invoke of an echo, warm", "hearth-invoke", "axum-post", Some(0.85)),
];

/// Whose p99 under that load may be at most that of whom. A closed loop asks less of who stalls: the runs at a constant rate say more.
const TAILS: &[(&str, &str)] = &[
    ("hearth-reuse", "wasmtime-reuse"),
    ("hearth-fresh", "wasmtime-fresh"),
    ("hearth-fresh", "spin"),
];

/// The rounds of each host: requests a second, and p99 in microseconds.
type Rounds = BTreeMap<&'static str, (Vec<f64>, Vec<f64>)>;

/// What a host can do now: each connection asks as soon as it is answered.
pub(crate) fn capacity(
    settings: &Settings,
    peer: &Peer,
    time: Duration,
    warm_up: Duration,
) -> std::io::Result<Report> {
    let plan = Plan::new(peer.target.clone(), Pace::Closed, time);
    run(&plan.connections(settings.connections).warm_up(warm_up))
}

/// Measures what each can do.
pub(crate) fn measure(settings: &Settings, field: &Field, findings: &mut Findings) {
    let (mut seen, rounds) = (Rounds::new(), settings.rounds());
    for round in 0..rounds {
        settings.progress(&format!("throughput: round {} of {rounds}", round + 1));
        // Who comes first in a round comes last in the next.
        for at in 0..field.peers.len() {
            let peer = &field.peers[(at + round) % field.peers.len()];
            let warm_up = Duration::from_millis(if round == 0 { 500 } else { 100 });
            match capacity(settings, peer, settings.time(), warm_up) {
                Ok(report) => {
                    let (rates, tails) = seen.entry(peer.name).or_default();
                    rates.push(report.summary().achieved);
                    tails.push(report.summary().p99);
                    findings.doubt(peer.name, report.doubts());
                }
                Err(why) => findings.doubt(peer.name, vec![why.to_string()]),
            }
        }
    }
    say(field, &seen, findings);
}

fn say(field: &Field, seen: &Rounds, findings: &mut Findings) {
    for (figure, ours, name, target) in COMPARED {
        if let (Some((ours, _)), Some((theirs, _))) = (seen.get(ours), seen.get(name)) {
            let row = Row::of_rounds(*figure, "a second", ours, (name, theirs));
            findings.rows.push(row.target(target.map(Target::AtLeast)));
        }
    }
    for (who, name) in TAILS {
        if let (Some((_, ours)), Some((_, theirs))) = (seen.get(who), seen.get(name)) {
            let figure = format!("p99 under that load, {who}");
            let row = Row::of_rounds(figure, "us", ours, (name, theirs));
            findings.rows.push(row.target(Some(Target::AtMost(1.0))));
        }
    }
    let bars = seen.iter().map(|(name, (rates, _))| Bar {
        name: (*name).to_owned(),
        value: hearth_benches::median(rates.clone()),
        is_ours: name.starts_with("hearth"),
    });
    let mut bars: Vec<Bar> = bars.collect();
    bars.sort_by_key(|bar| !bar.is_ours);
    findings.panels.push(Panel { title: "requests a second".to_owned(), bars });
    #[expect(clippy::cast_precision_loss, reason = "some thousand MiB at most")]
    let peak = |name: &str| field.peer(name).map(|peer| field.peak_mib(peer) as f64);
    for (ours, name) in [
        ("hearth-reuse", "wasmtime-reuse"),
        ("hearth-fresh", "wasmtime-fresh"),
        ("hearth-fresh", "spin"),
        ("hearth-reuse", "workerd"),
    ] {
        if let (Some(of_ours), Some(of_theirs)) = (peak(ours), peak(name)) {
            findings.rows.push(
                Row::new(format!("peak memory under that load, {ours}"), "MiB", of_ours)
                    .beside(name, of_theirs),
            );
        }
    }
}
