//! What a large file costs whoever wakes on the same core: written and read in one system call, and in pieces as the engine does
//! (`hearth_engine::pieces`), by a thread that computes behind others; how late a thread beside it wakes, and how long the file takes.
//!
//! `cargo bench -p hearth-benches --bench files`; `-- --quick` only shows that it works.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hearth_benches::{COLUMNS, Comparison, Options, median, show_head};
use hearth_engine::pieces;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// As large as the compiled code of a large module.
const FILE_BYTES: usize = 30 << 20;

/// Between two times that the other thread wakes: not a divisor of the clock's ticks.
const PERIOD: Duration = Duration::from_micros(1_361);

#[derive(Clone, Copy)]
enum Way {
    Whole,
    Pieces,
}

/// What one turn found.
struct Found {
    late_p99_us: f64,
    file_us: f64,
}

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let (rounds, time) = match options.is_quick {
        true => (1, Duration::from_millis(50)),
        false => (7, Duration::from_secs(1)),
    };
    show_head(&options, COLUMNS);
    let names = [
        (write as Work, "late beside writing, p99: pieces, whole", "writing 30 MiB: pieces, whole"),
        (read as Work, "late beside reading, p99: pieces, whole", "reading 30 MiB: pieces, whole"),
    ];
    for (work, late, file) in names {
        let path = scratch.path().join("file");
        write(&path, &[7; FILE_BYTES], Way::Pieces);
        let round = |_| [Way::Pieces, Way::Whole].map(|way| turn(work, &path, way, time));
        let found: Vec<[Found; 2]> = (0..rounds).map(round).collect();
        let figure =
            |of: fn(&Found) -> f64| found.iter().map(move |[ours, beside]| (of(ours), of(beside)));
        comparison(late, figure(|found| found.late_p99_us)).show(&options);
        comparison(file, figure(|found| found.file_us)).show(&options);
    }
}

type Work = fn(&Path, &[u8], Way);

fn write(path: &Path, bytes: &[u8], way: Way) {
    let mut file = File::create(path).expect("a file");
    let written = match way {
        Way::Whole => file.write_all(bytes),
        Way::Pieces => pieces::write_all(&mut file, bytes),
    };
    written.expect("room on the disk");
}

fn read(path: &Path, bytes: &[u8], way: Way) {
    let mut file = File::open(path).expect("it was written");
    let mut read = Vec::with_capacity(bytes.len() + 1);
    let count = match way {
        Way::Whole => file.read_to_end(&mut read),
        Way::Pieces => pieces::read_to_end(&mut file, &mut read),
    };
    assert_eq!(count.expect("it is there"), bytes.len());
}

/// One thread does it again and again, another wakes beside it on the same core.
fn turn(work: Work, path: &Path, way: Way, time: Duration) -> Found {
    let bytes = vec![7; FILE_BYTES];
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let works = scope.spawn(|| {
            stay_on_one_core();
            hearth_engine::compute_behind();
            let mut took = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                work(path, &bytes, way);
                took.push(began.elapsed().as_secs_f64() * 1e6);
            }
            took
        });
        let wakes = scope.spawn(|| {
            stay_on_one_core();
            let end = Instant::now() + time;
            let mut late = Vec::new();
            while Instant::now() < end {
                let began = Instant::now();
                std::thread::sleep(PERIOD);
                late.push(began.elapsed().saturating_sub(PERIOD).as_secs_f64() * 1e6);
            }
            is_over.store(true, Ordering::Relaxed);
            late
        });
        let mut late = wakes.join().expect("it does not panic");
        late.sort_by(f64::total_cmp);
        let took = works.join().expect("it does not panic");
        Found { late_p99_us: late[late.len() * 99 / 100], file_us: median(took) }
    })
}

fn stay_on_one_core() {
    let mine = sched_getaffinity(None).expect("every thread has cores");
    let last = (0..CpuSet::MAX_CPU).rev().find(|&core| mine.is_set(core)).expect("one core");
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).expect("it is one of its own");
}

fn comparison(what: &'static str, figures: impl Iterator<Item = (f64, f64)>) -> Comparison {
    let (ours, beside): (Vec<f64>, Vec<f64>) = figures.unzip();
    let mut ratios: Vec<f64> =
        ours.iter().zip(&beside).map(|(ours, beside)| ours / beside).collect();
    ratios.sort_by(f64::total_cmp);
    Comparison {
        what,
        target: None,
        ours: median(ours),
        beside: median(beside),
        spread: (ratios[0], ratios[ratios.len() - 1]),
        ratio: median(ratios),
    }
}
