//! Counters and histograms whose cores do not write to the same memory: each thread has a part of its own, and who reads adds them up.
//!
//! Each call moves a dozen of them. A line of memory that two cores write in turn is on its way between them most of the time, and
//! every call would wait for each of these ways. A part that only one thread writes needs no locked instruction either, which costs
//! more than the counting. Bounded by [`PARTS_MAX`] parts a figure; the threads that come later share one beside them.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::{Atomic, Counter};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Most parts of a figure that belong to one thread each.
const PARTS_MAX: usize = 16;

/// Most buckets of a histogram, the one without a bound included.
const BUCKETS_MAX: usize = 20;

/// One for each core and two for who starts before those that serve. Asked for once: the system answers from files.
static PARTS: LazyLock<usize> = LazyLock::new(|| {
    std::thread::available_parallelism().map_or(2, |cores| cores.get() + 2).min(PARTS_MAX)
});

/// A part of a figure, on lines of its own: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part<T>(T);

/// The parts of one thread each, and the one of all others.
fn parts<T: Default>() -> Box<[Part<T>]> {
    (0..=*PARTS).map(|_| Part::default()).collect()
}

/// How a part may be written.
#[derive(Debug, Clone, Copy)]
enum Writer {
    /// By nobody else, now or later: numbers of threads are given out once.
    Alone,
    /// By others at the same time.
    Among,
}

impl Writer {
    /// Adds to a number.
    fn add(self, number: &AtomicU64, more: u64) {
        match self {
            Self::Alone => {
                number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
            }
            Self::Among => drop(number.fetch_add(more, Ordering::Relaxed)),
        }
    }

    /// Adds to the bits of a floating number.
    fn add_float(self, bits: &AtomicU64, more: f64) {
        let sum = |bits: u64| (f64::from_bits(bits) + more).to_bits();
        match self {
            Self::Alone => bits.store(sum(bits.load(Ordering::Relaxed)), Ordering::Relaxed),
            Self::Among => {
                // It only fails where the closure says so.
                let _ =
                    bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| Some(sum(bits)));
            }
        }
    }
}

/// The calling thread's part, and how it may write there.
fn own<T>(parts: &[Part<T>]) -> Option<(&T, Writer)> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    let number = NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(Some(number));
        number
    });
    let (shared, own) = parts.split_last()?;
    Some(own.get(number).map_or((&shared.0, Writer::Among), |part| (&part.0, Writer::Alone)))
}

/// A number in parts.
#[derive(Debug)]
pub(super) struct Spread(Box<[Part<AtomicU64>]>);

/// A counter in parts.
pub(super) type SpreadCounter = Counter<u64, Spread>;

impl Default for Spread {
    fn default() -> Self {
        Self(parts())
    }
}

impl Atomic<u64> for Spread {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// What is returned means nothing: no thread knows what the others counted.
    fn inc_by(&self, more: u64) -> u64 {
        if let Some((part, writer)) = own(&self.0) {
            writer.add(part, more);
        }
        0
    }

    fn get(&self) -> u64 {
        self.0.iter().map(|part| part.0.load(Ordering::Relaxed)).sum()
    }
}

/// A histogram in parts.
#[derive(Debug, Clone)]
pub(super) struct SpreadHistogram(Arc<Shape>);

#[derive(Debug)]
struct Shape {
    /// The upper bounds of all buckets but the last, which has none.
    bounds: Box<[f64]>,
    parts: Box<[Part<Seen>]>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The bits of a floating number.
    sum: AtomicU64,
    buckets: [AtomicU64; BUCKETS_MAX],
}

impl SpreadHistogram {
    /// An empty one with these upper bounds, in order; of more than there is room for, the last are left out.
    pub(super) fn new(bounds: impl IntoIterator<Item = f64>) -> Self {
        let bounds = bounds.into_iter().take(BUCKETS_MAX - 1).collect();
        Self(Arc::new(Shape { bounds, parts: parts() }))
    }

    /// Counts a value.
    pub(super) fn observe(&self, value: f64) {
        let bucket = self.0.bounds.partition_point(|bound| *bound < value);
        let Some((seen, writer)) = own(&self.0.parts) else { return };
        writer.add_float(&seen.sum, value);
        if let Some(count) = seen.buckets.get(bucket) {
            writer.add(count, 1);
        }
    }

    /// Sum and buckets of all parts. Of a value that is counted at this moment only the sum may be there.
    fn seen(&self) -> (f64, [u64; BUCKETS_MAX]) {
        let (mut sum, mut buckets) = (0.0, [0; BUCKETS_MAX]);
        for Part(seen) in &self.0.parts {
            sum += f64::from_bits(seen.sum.load(Ordering::Relaxed));
            for (all, seen) in buckets.iter_mut().zip(&seen.buckets) {
                *all += seen.load(Ordering::Relaxed);
            }
        }
        (sum, buckets)
    }
}

impl TypedMetric for SpreadHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for SpreadHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let (sum, buckets) = self.seen();
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(buckets).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::{Metric, Registry};

    use super::*;

    const VALUES: [f64; 7] = [0.0, 0.5, 1.0, 1.5, 2.0, 7.0, 4e9];

    #[test]
    fn what_many_threads_counted_is_read_as_one_figure() {
        let (counter, histogram) = (SpreadCounter::default(), SpreadHistogram::new([1.0, 2.0]));
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    for value in VALUES {
                        counter.inc();
                        histogram.observe(value);
                    }
                });
            }
        });
        assert_eq!(counter.get(), 40 * 7);
        let (sum, buckets) = histogram.seen();
        assert_eq!(buckets[..4], [40 * 3, 40 * 2, 40 * 2, 0]);
        assert!((sum - 40.0 * VALUES.iter().sum::<f64>()).abs() < 1.0, "{sum}");
    }

    #[test]
    fn it_is_told_as_a_histogram_that_is_not_in_parts() {
        fn text(metric: impl Metric) -> String {
            let mut registry = Registry::default();
            registry.register("x", "X", metric);
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        }
        let (spread, plain) = (SpreadHistogram::new([1.0, 2.0]), Histogram::new([1.0, 2.0]));
        for value in VALUES {
            spread.observe(value);
            plain.observe(value);
        }
        assert_eq!(text(spread), text(plain));
    }
}
