//! Latency by percentile: a curve for each host, both axes logarithmic, as what matters is how the tail goes on.

use super::canvas::{Anchor, Canvas, short};
use super::colour;

/// The latencies of one host.
#[derive(Debug, Clone)]
pub struct Curve {
    /// As in the legend.
    pub name: String,
    /// Milliseconds at fractions from 0 to below 1, rising.
    pub points: Vec<(f64, f64)>,
}

/// One plot of several beside each other, which share their axes.
#[derive(Debug, Clone)]
pub struct Facet {
    /// What is in this one.
    pub title: String,
    /// A curve for each host; its place in here is its colour in all facets.
    pub curves: Vec<Curve>,
}

const PANEL: (f64, f64) = (500.0, 380.0);
const LEFT: f64 = 80.0;
const TOP: f64 = 90.0;
const GAP: f64 = 50.0;
const GRID: &str = "#dddddd";
const AXIS: &str = "#444444";

/// A plot with a title, its facets beside each other and a legend below.
#[must_use]
pub fn latency(title: &str, subtitle: &str, facets: &[Facet]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "there are a few facets and curves")]
    let (count, rows) = (
        facets.len().max(1) as f64,
        facets.iter().map(|facet| facet.curves.len()).max().unwrap_or(0).div_ceil(4) as f64,
    );
    let width = LEFT + count * (PANEL.0 + GAP);
    let mut canvas = Canvas::new(width, TOP + PANEL.1 + 70.0 + rows * 22.0);
    canvas.text((LEFT, 30.0), 18.0, Anchor::Start, title);
    canvas.text((LEFT, 52.0), 12.0, Anchor::Start, subtitle);
    let scale = Scale::over(facets);
    let mut left = LEFT;
    for (number, facet) in facets.iter().enumerate() {
        scale.frame(&mut canvas, left, &facet.title, number == 0);
        // Ours are drawn without gaps.
        for (number, curve) in facet.curves.iter().enumerate() {
            let points: Vec<_> = curve.points.iter().map(|at| scale.place(left, *at)).collect();
            canvas.curve(&points, colour(number), !curve.name.starts_with("hearth"));
        }
        left += PANEL.0 + GAP;
    }
    let named = facets.iter().max_by_key(|facet| facet.curves.len());
    for (number, curve) in named.into_iter().flat_map(|facet| &facet.curves).enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "there are a few curves")]
        let (column, row) = ((number % 4) as f64, (number / 4) as f64);
        let (x, y) = (LEFT + column * (width - LEFT) / 4.0, TOP + PANEL.1 + 66.0 + row * 22.0);
        let stroke = [(x, y - 4.0), (x + 28.0, y - 4.0)];
        canvas.curve(&stroke, colour(number), !curve.name.starts_with("hearth"));
        canvas.text((x + 36.0, y), 12.0, Anchor::Start, &curve.name);
    }
    canvas.svg()
}

/// What both axes reach from and to.
struct Scale {
    /// Powers of ten of milliseconds.
    low: f64,
    high: f64,
    /// Nines: 2 is 99 %.
    nines: f64,
}

impl Scale {
    fn over(facets: &[Facet]) -> Self {
        let points =
            || facets.iter().flat_map(|facet| &facet.curves).flat_map(|curve| &curve.points);
        let (least, most) = points().fold((f64::MAX, 0.0_f64), |(least, most), (_, value)| {
            (least.min(*value), most.max(*value))
        });
        let nines = points().map(|(fraction, _)| nines(*fraction)).fold(3.0, f64::max);
        let low = least.clamp(1e-3, 1e6).log10().floor();
        Self {
            low,
            high: most.clamp(1e-3, 1e6).log10().ceil().max(low + 1.0),
            nines: nines.min(5.0),
        }
    }

    fn place(&self, left: f64, (fraction, millis): (f64, f64)) -> (f64, f64) {
        let x = nines(fraction).min(self.nines) / self.nines;
        let y = (millis.max(1e-3).log10() - self.low) / (self.high - self.low);
        (left + x * PANEL.0, TOP + PANEL.1 * (1.0 - y.clamp(0.0, 1.0)))
    }

    fn frame(&self, canvas: &mut Canvas, left: f64, title: &str, is_first: bool) {
        canvas.text((left + PANEL.0 / 2.0, TOP - 12.0), 14.0, Anchor::Middle, title);
        for percentile in [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999] {
            let fraction = percentile / 100.0;
            if nines(fraction) > self.nines + 0.001 {
                continue;
            }
            let x = left + PANEL.0 * nines(fraction) / self.nines;
            canvas.line((x, TOP), (x, TOP + PANEL.1), GRID);
            canvas.text((x, TOP + PANEL.1 + 18.0), 12.0, Anchor::Middle, &format!("{percentile}%"));
        }
        let mut power = self.low;
        while power <= self.high {
            for step in [1.0, 2.0, 5.0] {
                let millis = step * 10f64.powf(power);
                if millis.log10() > self.high + 0.001 {
                    continue;
                }
                let (_, y) = self.place(left, (0.0, millis));
                canvas.line((left, y), (left + PANEL.0, y), GRID);
                if is_first {
                    let text = if millis < 0.1 { format!("{millis:.2}") } else { short(millis) };
                    canvas.text((left - 8.0, y + 4.0), 12.0, Anchor::End, &text);
                }
            }
            power += 1.0;
        }
        let (bottom, right) = (TOP + PANEL.1, left + PANEL.0);
        canvas.line((left, bottom), (right, bottom), AXIS);
        canvas.line((left, TOP), (left, bottom), AXIS);
        canvas.text(
            (left + PANEL.0 / 2.0, bottom + 38.0),
            12.0,
            Anchor::Middle,
            "percentile of requests",
        );
        if is_first {
            canvas.upright((22.0, TOP + PANEL.1 / 2.0), 12.0, "latency, ms");
        }
    }
}

/// How far along the axis a fraction is: 0.9 is one nine, 0.99 are two.
fn nines(fraction: f64) -> f64 {
    -(1.0 - fraction.clamp(0.0, 1.0 - 1e-9)).log10()
}
