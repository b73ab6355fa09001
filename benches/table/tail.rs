//! Latency of each host at a constant rate, at shares of what it can do itself, and of ours at the rates of its neighbours, in turns; and the
//! plot of the former.
//!
//! What a host can do is asked right before each of its turns: on a machine that is shared it is half as much a minute later, and a share of
//! what it was would be more than all of what it is.

use std::collections::BTreeMap;
use std::time::Duration;

use hearth_benches::load::{Pace, Plan, Report, run};
use hearth_benches::median;
use hearth_benches::peers::{Field, Peer};
use hearth_benches::plot::{Bar, Curve, Facet, Panel, latency};

use crate::Settings;
use crate::findings::{Findings, subtitle};
use crate::row::{Row, Target};
use crate::throughput::capacity;

const SHARES: [u32; 2] = [50, 80];

/// Of whom, beside whom, and the most that the ratio of their p99 may be.
const COMPARED: &[(&str, &str, Option<f64>)] = &[
    ("hearth-reuse", "axum", None),
    ("hearth-reuse", "wasmtime-reuse", Some(1.0)),
    ("hearth-reuse", "workerd", None),
    ("hearth-fresh", "axum", None),
    ("hearth-fresh", "wasmtime-fresh", Some(1.0)),
    ("hearth-fresh", "spin", Some(1.0)),
    ("hearth-fresh", "workerd", None),
    ("hearth-invoke", "axum-post", None),
    ("hearth-reuse-as-wasmtime", "wasmtime-reuse", Some(1.0)),
    ("hearth-fresh-as-wasmtime", "wasmtime-fresh", Some(1.0)),
    ("hearth-fresh-as-spin", "spin", Some(1.0)),
];

/// Who has the same work as whom: a key of its own, ours, and whose rate it is given. Who can do more has more to do at a share of that; a
/// caller, who brings as many requests to whichever host it is, sees this one.
const SAME_RATE: &[(&str, &str, &str)] = &[
    ("hearth-reuse-as-wasmtime", "hearth-reuse", "wasmtime-reuse"),
    ("hearth-fresh-as-wasmtime", "hearth-fresh", "wasmtime-fresh"),
    ("hearth-fresh-as-spin", "hearth-fresh", "spin"),
];

/// A host's turn: its key in the findings, itself, and of whose capacity it is given a share.
type Turn<'a> = (&'static str, &'a Peer, &'a Peer);

/// What a host did at a share: each round's p50, p99 and p99.9, and all rounds together.
#[derive(Default)]
struct Seen {
    rounds: [Vec<f64>; 3],
    all: Option<Report>,
}

type Runs = BTreeMap<&'static str, Seen>;

pub(crate) fn measure(settings: &Settings, field: &Field, findings: &mut Findings) {
    let mut facets = Vec::new();
    let turns = turns(field);
    for share in SHARES {
        let mut runs = Runs::new();
        for round in 0..settings.rounds() {
            settings.progress(&format!(
                "latency at {share}% of capacity: round {} of {}",
                round + 1,
                settings.rounds()
            ));
            for at in 0..turns.len() {
                let (key, peer, whose) = turns[(at + round) % turns.len()];
                let of = format!("{key} at {share}%");
                match turn(settings, (peer, whose), share) {
                    Ok(report) => {
                        findings.doubt(&of, report.doubts());
                        runs.entry(key).or_default().take(report);
                    }
                    Err(why) => findings.doubt(&of, vec![why.to_string()]),
                }
            }
        }
        say(share, &runs, findings);
        facets.push(facet(share, field, &runs));
    }
    let title = "Latency at a constant rate, counted from when each request was meant to be sent";
    findings.plots.push(("latency", latency(title, &subtitle(settings), &facets)));
}

fn turns(field: &Field) -> Vec<Turn<'_>> {
    let own = field.peers.iter().map(|peer| (peer.name, peer, peer));
    let same = SAME_RATE
        .iter()
        .filter_map(|(key, ours, whose)| Some((*key, field.peer(ours)?, field.peer(whose)?)));
    own.chain(same).collect()
}

/// One host at a share of what this or another one can do now.
fn turn(settings: &Settings, (peer, whose): (&Peer, &Peer), share: u32) -> std::io::Result<Report> {
    let warm_up = Duration::from_millis(300);
    let can = capacity(settings, whose, settings.time() / 2, warm_up)?.summary().achieved;
    let rate = (can * f64::from(share) / 100.0).max(1.0);
    let plan = Plan::new(peer.target.clone(), Pace::Constant(rate), settings.time());
    run(&plan.connections(settings.connections).warm_up(warm_up))
}

impl Seen {
    fn take(&mut self, report: Report) {
        let summary = report.summary();
        let figures = [summary.p50, summary.p99, summary.p999];
        self.rounds.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
        match &mut self.all {
            Some(all) => all.latency.add(&report.latency).expect("histograms of the same bounds"),
            None => self.all = Some(report),
        }
    }
}

fn say(share: u32, runs: &Runs, findings: &mut Findings) {
    for (ours, name, most) in COMPARED {
        let (Some(of_ours), Some(of_theirs)) = (runs.get(ours), runs.get(name)) else { continue };
        let (who, whose) = match SAME_RATE.iter().find(|(key, ..)| key == ours) {
            Some((_, who, whose)) => (*who, format!("{whose}'s")),
            None => (*ours, "its".to_owned()),
        };
        for (number, percentile) in ["p50", "p99", "p99.9"].iter().enumerate() {
            // All three beside the one that does the same; of the others what a tail is judged by.
            if most.is_none() && *percentile != "p99" {
                continue;
            }
            let figure = format!("{percentile} at {share}% of {whose} capacity, {who}");
            let rounds = (*name, of_theirs.rounds[number].as_slice());
            let row = Row::of_rounds(figure, "us", &of_ours.rounds[number], rounds);
            let target = most.filter(|_| *percentile == "p99").map(Target::AtMost);
            findings.rows.push(row.target(target));
        }
    }
    let mut bars = Vec::new();
    for (name, seen) in runs {
        if let Some(report) = &seen.all {
            findings.distributions.push((format!("latency-{name}-{share}"), report.distribution()));
        }
        if SAME_RATE.iter().any(|(key, ..)| key == name) {
            continue;
        }
        let value = median(seen.rounds[1].clone()) / 1e3;
        bars.push(Bar { name: (*name).to_owned(), value, is_ours: name.starts_with("hearth") });
    }
    bars.sort_by_key(|bar| !bar.is_ours);
    findings.panels.push(Panel { title: format!("p99 at {share}% of its own capacity, ms"), bars });
}

fn facet(share: u32, field: &Field, runs: &Runs) -> Facet {
    let curve = |name: &'static str| {
        let seen = runs.get(name).and_then(|seen| seen.all.as_ref());
        Curve { name: name.to_owned(), points: seen.map(points).unwrap_or_default() }
    };
    let mut names: Vec<_> = field.peers.iter().map(|peer| peer.name).collect();
    // The same events on axum are the same hello: one curve is enough. Ours come first.
    names.retain(|name| *name != "axum-post");
    names.sort_by_key(|name| !name.starts_with("hearth"));
    let curves = names.into_iter().map(curve).collect();
    Facet { title: format!("at {share}% of what each can do"), curves }
}

/// Milliseconds by quantile, as far as there are ten requests beyond it to speak of.
fn points(report: &Report) -> Vec<(f64, f64)> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of requests and times are far below 2^52"
    )]
    let (count, millis) = (report.latency.len() as f64, |nanos: u64| nanos as f64 / 1e6);
    let steps = report.latency.iter_quantiles(10);
    let points = steps.map(|step| (step.quantile_iterated_to(), millis(step.value_iterated_to())));
    points.filter(|(quantile, _)| (1.0 - quantile) * count >= 10.0).collect()
}
