//! Latencies of many calls: quantiles, and their distribution drawn with block characters.

use std::time::Duration;

use serde_json::json;

use super::human_time;

/// Bars of a drawing.
const BARS: usize = 10;
/// Widest bar, in characters.
const WIDTH: usize = 40;
/// Eighths of a block, from one to eight.
const BLOCKS: [&str; 8] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

/// Quantiles that are shown, with their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Latencies in nanoseconds up to a minute, to three digits.
#[derive(Debug, Clone)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

/// A minute: longer calls count as one.
const LONGEST_NANOS: u64 = 60_000_000_000;

impl Histogram {
    /// An empty one.
    ///
    /// # Errors
    /// When the library refuses the bounds, which are constants.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        hdrhistogram::Histogram::new_with_bounds(1, LONGEST_NANOS, 3).map(Self)
    }

    /// Adds one latency.
    pub fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos.clamp(1, LONGEST_NANOS));
    }

    /// Adds all latencies of another.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so this cannot fail.
        let _ = self.0.add(&other.0);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Each quantile with its name.
    pub fn quantiles(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        QUANTILES
            .iter()
            .map(|(name, at)| (*name, Duration::from_nanos(self.0.value_at_quantile(*at))))
    }

    /// Count and quantiles as JSON, in microseconds.
    pub fn to_json(&self) -> serde_json::Value {
        let micros = |nanos: f64| (nanos / 10.0).round() / 100.0;
        #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
        let value = |nanos: u64| micros(nanos as f64);
        let mut object = json!({
            "count": self.count(), "min_us": value(self.0.min()), "mean_us": micros(self.0.mean()),
            "max_us": value(self.0.max()),
        });
        for (name, time) in self.quantiles() {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            if let Some(object) = object.as_object_mut() {
                object.insert(format!("{}_us", name.replace('.', "_")), value(nanos).into());
            }
        }
        object
    }

    /// The distribution between the fastest call and the 99.9th percentile in bars of equal ratio.
    pub fn draw(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let (low, high) = (self.0.min().max(1), self.0.value_at_quantile(0.999).max(2));
        let edges = edges(low, high.max(low + 1));
        let mut from = 0;
        let counts: Vec<u64> = edges
            .iter()
            .map(|&to| {
                let count = self.0.count_between(from, to);
                from = to + 1;
                count
            })
            .collect();
        let most = counts.iter().copied().max().unwrap_or(1).max(1);
        let mut text = String::new();
        for (edge, count) in edges.iter().zip(&counts) {
            let label = human_time(Duration::from_nanos(*edge));
            text.push_str(&format!("{label:>9} {:<WIDTH$} {count}\n", bar(*count, most)));
        }
        text
    }
}

/// Upper edges of the bars, growing by a constant ratio.
fn edges(low: u64, high: u64) -> Vec<u64> {
    #[allow(clippy::cast_precision_loss, reason = "edges are approximate")]
    let (low, high) = (low as f64, high as f64);
    let step = (high / low).powf(1.0 / BARS as f64);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most a minute in nanoseconds"
    )]
    let mut edges: Vec<u64> =
        (1..=BARS).map(|bar| (low * step.powf(bar as f64)).ceil() as u64).collect();
    edges.dedup();
    edges
}

/// A bar in eighths of a character.
fn bar(count: u64, most: u64) -> String {
    let eighths =
        usize::try_from(u128::from(count) * (WIDTH as u128 * 8) / u128::from(most)).unwrap_or(0);
    let part =
        (eighths % 8).checked_sub(1).and_then(|last| BLOCKS.get(last)).copied().unwrap_or("");
    // Something is never drawn as nothing.
    let part = if count > 0 && eighths == 0 { "▏" } else { part };
    format!("{}{part}", "█".repeat(eighths / 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_drawing() {
        let mut histogram = Histogram::new().unwrap();
        assert_eq!(histogram.draw(), "");
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        histogram.record(Duration::from_secs(3600));
        let p50 = histogram.quantiles().next().unwrap().1;
        assert!((495..505).contains(&p50.as_micros()), "{p50:?}");
        assert_eq!(histogram.to_json()["count"], 1001);
        let drawing = histogram.draw();
        assert_eq!(drawing.lines().count(), BARS);
        assert!(drawing.lines().last().unwrap().contains(&"█".repeat(WIDTH)), "{drawing}");
    }

    #[test]
    fn one_latency_draws() {
        let mut histogram = Histogram::new().unwrap();
        histogram.record(Duration::ZERO);
        assert!(histogram.draw().contains('█'));
    }
}
