//! Memory: of an idle warm instance, beside one of bare wasmtime, and of a server without functions.

use hearth_benches::density::density;
use hearth_benches::peers::Hearth;
use hearth_benches::plot::{Bar, Panel};

use crate::Settings;
use crate::findings::Findings;
use crate::row::{Row, Target};

pub(crate) fn measure(settings: &Settings, findings: &mut Findings) {
    if let Err(why) = of_instances(settings, findings) {
        findings.doubt("memory of instances", vec![why]);
    }
    of_a_server(findings);
}

fn of_instances(settings: &Settings, findings: &mut Findings) -> Result<(), String> {
    let count = if settings.quick { 50 } else { 1000 };
    // A process of its own each time, so that a round is as good as another; medians of them nevertheless.
    let rounds = settings.rounds().min(3);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    #[expect(clippy::cast_precision_loss, reason = "some thousand KiB at most")]
    for round in 0..rounds {
        settings.progress(&format!("memory: round {} of {rounds}", round + 1));
        ours.push(density("wat-echo", count, false)?.each() as f64);
        bare.push(density("wat-echo", count, true)?.each() as f64);
    }
    let figure = format!("an idle warm minimal instance, of {count} functions");
    let beside = Row::of_rounds(figure.clone(), "KiB", &ours, ("bare wasmtime", &bare));
    findings.rows.push(beside);
    let bar = |name: &str, value: f64, is_ours| Bar { name: name.to_owned(), value, is_ours };
    let (of_ours, of_bare) = (hearth_benches::median(ours), hearth_benches::median(bare));
    findings
        .rows
        .push(Row::new(figure.clone(), "KiB", of_ours).target(Some(Target::AtMost(100.0))));
    let bars = vec![bar("hearth", of_ours, true), bar("bare wasmtime", of_bare, false)];
    findings.panels.push(Panel { title: format!("{figure}, KiB"), bars });
    #[expect(clippy::cast_precision_loss, reason = "some thousand MiB at most")]
    let thousand = density("rust-event", count / 5, false)?.thousand() as f64 / 1024.0;
    let row = Row::new("1,000 Rust event components, an idle instance each", "MiB", thousand);
    findings.rows.push(row.target(Some(Target::AtMost(1536.0))));
    Ok(())
}

fn of_a_server(findings: &mut Findings) {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    match Hearth::start(scratch.path(), "idle", &[]) {
        Ok(hearth) => {
            #[expect(clippy::cast_precision_loss, reason = "some thousand MiB at most")]
            let idle = hearth.process.memory_kib("VmRSS") as f64 / 1024.0;
            findings
                .rows
                .push(Row::new("an idle server", "MiB", idle).target(Some(Target::AtMost(40.0))));
        }
        Err(why) => findings.doubt("an idle server", vec![why]),
    }
}
