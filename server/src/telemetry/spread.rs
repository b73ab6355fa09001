//! Counters and histograms whose cores do not write to the same memory: each thread has a part of its own, and who reads adds them up.
//!
//! Each call moves a dozen of them. A line of memory that two cores write in turn is on its way between them most of the time, and
//! every call would wait for each of these ways. Bounded by [`PARTS_MAX`] parts a figure; more threads share.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::{Atomic, Counter};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Most parts of a figure.
const PARTS_MAX: usize = 16;

/// Most buckets of a histogram, the one without a bound included.
const BUCKETS_MAX: usize = 20;

/// One for each core and one beside. Asked for once: the system answers from files.
static PARTS: LazyLock<usize> = LazyLock::new(|| {
    std::thread::available_parallelism().map_or(2, |cores| cores.get() + 1).min(PARTS_MAX)
});

/// A part of a figure, on lines of its own: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part<T>(T);

fn parts<T: Default>() -> Box<[Part<T>]> {
    (0..*PARTS).map(|_| Part::default()).collect()
}

/// The calling thread's own part.
fn own<T>(parts: &[Part<T>]) -> Option<&T> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    let number = NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(Some(number));
        number
    });
    parts.get(number % parts.len().max(1)).map(|part| &part.0)
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

    /// What is returned is what the thread's own part was.
    fn inc_by(&self, more: u64) -> u64 {
        own(&self.0).map_or(0, |part| part.fetch_add(more, Ordering::Relaxed))
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
    parts: Box<[Part<Mutex<Seen>>]>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    sum: f64,
    buckets: [u64; BUCKETS_MAX],
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
        let Some(part) = own(&self.0.parts) else { return };
        let mut seen = part.lock();
        seen.sum += value;
        if let Some(count) = seen.buckets.get_mut(bucket) {
            *count += 1;
        }
    }

    /// Sum and buckets of all parts.
    fn seen(&self) -> Seen {
        let mut all = Seen::default();
        for part in &self.0.parts {
            let seen = *part.0.lock();
            all.sum += seen.sum;
            for (all, seen) in all.buckets.iter_mut().zip(seen.buckets) {
                *all += seen;
            }
        }
        all
    }
}

impl TypedMetric for SpreadHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for SpreadHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let Seen { sum, buckets } = self.seen();
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
        let Seen { sum, buckets } = histogram.seen();
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
