//! What a quiet function pays for a neighbour that misbehaves, over HTTP against a server with its defaults: the p99 of an echo at a low constant
//! rate, alone and beside the neighbour, in turns. The neighbour's callers share the cores with the server, but give
//! way to it.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hearth_benches::heavy_module::heavy_module;
use hearth_benches::load::{Pace, Plan, Report, Target, ask, run};
use hearth_benches::numbered;
use hearth_benches::peers::{Hearth, example};
use hearth_benches::plot::{Bar, Panel};
use rustix::process::setpriority_process;
use rustix::thread::gettid;

use crate::Settings;
use crate::findings::Findings;
use crate::row::{self, Row};

/// Calls a second of the quiet one. Not a divisor of how often the system's clock ticks: what is always called at the same time after a tick
/// finds the same every time, for a whole round, and something else in the next.
const QUIET_RATE: f64 = 233.0;

/// Its connections: enough that a call is sent when it is due, though others still wait for their answers.
const QUIET_CONNECTIONS: usize = 64;

/// How kind the quiet one's generator is where it may not be a real-time thread.
const BEFORE_OTHERS: i32 = -10;

/// So would the neighbour's: what they send, and the code they encode, takes no share of the server's.
const AFTER_OTHERS: i32 = 10;

/// How long a neighbour misbehaves before it is looked at what that costs.
const LEAD: Duration = Duration::from_millis(500);

/// The most that its p99 may grow by.
const MOST: f64 = 1.5;

enum Offence {
    /// A guest that is called by so many at once, each time anew; as many are its concurrency limit.
    Calls(&'static str, usize),
    /// A module of so many bytes that is deployed again and again, each time with another content.
    Compiles(usize),
}

const OFFENCES: &[(&str, Offence)] = &[
    ("spins on every core", Offence::Calls("bad/infinite-loop", 16)),
    ("floods its log", Offence::Calls("bad/log-flood", 16)),
    ("allocates to its limit", Offence::Calls("bad/memory-hog", 16)),
    ("compiles 30 MiB", Offence::Compiles(30 << 20)),
];

/// How long a deployment may take.
const DEPLOYS_WITHIN: Duration = Duration::from_secs(60);

/// In `--quick`, what shows that deploying in a loop works.
const QUICK_BYTES: usize = 1 << 20;

pub(crate) fn measure(settings: &Settings, findings: &mut Findings) {
    let mut bars = Vec::new();
    for (what, offence) in OFFENCES {
        match compare(settings, what, offence, findings) {
            Ok((alone, beside)) => {
                let figure = format!("p99 of a quiet echo beside one that {what}");
                let row = Row::of_rounds(figure, "us", &beside, ("alone", &alone));
                findings.rows.push(row.target(Some(row::Target::AtMost(MOST))));
                let bar = |name: &str, value: Vec<f64>, is_ours| {
                    let value = hearth_benches::median(value) / 1e3;
                    Bar { name: name.to_owned(), value, is_ours }
                };
                bars.push(bar(&format!("one that {what}"), beside, true));
                bars.push(bar("alone", alone, false));
            }
            Err(why) => findings.doubt(&format!("beside one that {what}"), vec![why]),
        }
    }
    findings.panels.push(Panel { title: "p99 of a quiet echo beside, ms".to_owned(), bars });
}

/// While it lives, this thread goes before all others of the machine, where that is allowed. The quiet one's callers would be on machines of their
/// own: a generator that shares this one fairly waits for its turn as the server does, which is then in the figure twice.
struct Foremost;

impl Foremost {
    fn begin() -> Self {
        // It sleeps between what it sends, so that nobody starves.
        if !schedule(&["--fifo", "--pid", "1"]) {
            let _ = setpriority_process(None, BEFORE_OTHERS);
        }
        Self
    }
}

impl Drop for Foremost {
    fn drop(&mut self) {
        let _ = schedule(&["--other", "--pid", "0"]);
        let _ = setpriority_process(None, 0);
    }
}

/// Has this thread scheduled otherwise, with `chrt` of util-linux.
fn schedule(how: &[&str]) -> bool {
    let thread = gettid().as_raw_nonzero().to_string();
    let set = Command::new("chrt").args(how).arg(thread).stdin(Stdio::null()).output();
    set.is_ok_and(|set| set.status.success())
}

/// The p99 of each round, alone and beside, in microseconds.
fn compare(
    settings: &Settings,
    what: &str,
    offence: &Offence,
    findings: &mut Findings,
) -> Result<(Vec<f64>, Vec<f64>), String> {
    let scratch = tempfile::tempdir().map_err(|why| why.to_string())?;
    // A server of its own, so that nothing is left of the one before.
    let hearth = Hearth::start(scratch.path(), "neighbours", &[])?;
    hearth.deploy(&example("wat-echo"), "quiet/echo", &[])?;
    let echo = target(&hearth, "quiet", "echo")?;
    let offender = Offender::new(settings, &hearth, offence)?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..settings.rounds() {
        settings.progress(&format!(
            "beside one that {what}: round {} of {}",
            round + 1,
            settings.rounds()
        ));
        let mut quiet = |name: String| {
            let plan = Plan::new(echo.clone(), Pace::Constant(QUIET_RATE), settings.time());
            let first = Foremost::begin();
            let report = run(&plan.connections(QUIET_CONNECTIONS));
            drop(first);
            let report = report.map_err(|why| why.to_string())?;
            findings.doubt(&name, report.doubts());
            Ok::<Report, String>(report)
        };
        let before = quiet(format!("alone, before one that {what}"))?;
        let is_over = AtomicBool::new(false);
        let (report, offended) = std::thread::scope(|scope| {
            let offending = scope.spawn(|| offender.offend(&is_over));
            std::thread::sleep(LEAD);
            let report = quiet(format!("beside one that {what}"));
            is_over.store(true, Ordering::Relaxed);
            (report, offending.join().expect("it does not panic"))
        });
        offended.map_err(|why| format!("the neighbour could not do what it should: {why}"))?;
        alone.push(before.summary().p99);
        beside.push(report?.summary().p99);
    }
    Ok((alone, beside))
}

fn target(hearth: &Hearth, service: &str, function: &str) -> Result<Target, String> {
    let url = hearth.invocations(service, function);
    Target::new(&url, "POST", &[], b"hello").map_err(|why| why.to_string())
}

/// One who misbehaves while it is told to.
enum Offender {
    Calls(Plan),
    /// The deployment, and how often it was sent.
    Compiles(Mutex<(Target, u32)>),
}

impl Offender {
    fn new(settings: &Settings, hearth: &Hearth, offence: &Offence) -> Result<Self, String> {
        match offence {
            Offence::Calls(guest, callers) => {
                let most = callers.to_string();
                let flags = ["--timeout", "1s", "--max-instances", &most];
                hearth.deploy(&example(guest), "loud/offender", &flags)?;
                let target = target(hearth, "loud", "offender")?;
                let time = LEAD + settings.time();
                Ok(Self::Calls(Plan::new(target, Pace::Closed, time).connections(*callers)))
            }
            Offence::Compiles(bytes) => {
                let bytes = if settings.quick { QUICK_BYTES } else { *bytes };
                let code = numbered(&heavy_module(bytes), 0);
                let url = hearth.deployment("loud", "heavy");
                let headers = ["content-type: application/wasm".to_owned()];
                let target = Target::new(&url, "PUT", &headers, &code);
                Ok(Self::Compiles(Mutex::new((target.map_err(|why| why.to_string())?, 0))))
            }
        }
    }

    /// Until it is over; a deployment that was begun is waited for.
    fn offend(&self, is_over: &AtomicBool) -> Result<(), String> {
        // The threads and processes that it starts are the same.
        let _ = setpriority_process(None, AFTER_OTHERS);
        match self {
            Self::Calls(plan) => {
                let report = run(plan).map_err(|why| why.to_string())?;
                let is_called = report.answered + report.refused > 0;
                is_called.then_some(()).ok_or_else(|| format!("not one call ended: {report:?}"))
            }
            // By this process: one that is started anew each time, and files, would take memory from the machine as no caller elsewhere does.
            Self::Compiles(deployment) => {
                let mut deployment = deployment.lock().map_err(|why| why.to_string())?;
                let (target, sent) = &mut *deployment;
                while !is_over.load(Ordering::Relaxed) {
                    // What was compiled once is kept, over all rounds; the last bytes of the code are its number.
                    target.end_with(&sent.to_le_bytes());
                    *sent += 1;
                    let (status, answer) =
                        ask(target, DEPLOYS_WITHIN).map_err(|why| why.to_string())?;
                    if !(200..300).contains(&status) {
                        return Err(String::from_utf8_lossy(&answer).into_owned());
                    }
                }
                Ok(())
            }
        }
    }
}
