//! What must be in a plot for it to be read: title, units, legend, and curves that stay on the sheet.

use super::canvas::short;
use super::{Bar, Curve, Facet, Panel, bars, latency};

fn facet(title: &str) -> Facet {
    let points = [(0.0, 0.08), (0.5, 0.1), (0.9, 0.2), (0.99, 1.5), (0.999, 30.0), (0.9999, 70.0)];
    let curve = |name: &str, times: f64| Curve {
        name: name.to_owned(),
        points: points.iter().map(|(at, value)| (*at, value * times)).collect(),
    };
    Facet { title: title.to_owned(), curves: vec![curve("hearth", 1.0), curve("a<b", 2.0)] }
}

#[test]
fn a_plot_of_latencies_names_its_axes_and_curves() {
    let svg = latency("Latency", "two cores", &[facet("at 50%"), facet("at 80%")]);
    for word in
        ["Latency", "two cores", "at 50%", "at 80%", "latency, ms", "99.9%", "hearth", "a&lt;b"]
    {
        assert!(svg.contains(word), "{word} is missing");
    }
    assert_eq!(svg.matches("<polyline").count(), 4 + 2, "curves and a legend");
}

#[test]
fn curves_rise_from_left_to_right_and_stay_on_the_sheet() {
    let svg = latency("Latency", "", &[facet("at 50%")]);
    let points =
        svg.lines().find_map(|line| line.strip_prefix("<polyline points=\"")).expect("a curve");
    let points = points.split('"').next().expect("its end").split(' ');
    let points: Vec<(f64, f64)> = points
        .map(|point| point.split_once(',').expect("x,y"))
        .map(|(x, y)| (x.parse().expect("a number"), y.parse().expect("a number")))
        .collect();
    assert_eq!(points.len(), 6);
    // Downwards is more, as a sheet begins at its top.
    assert!(points.is_sorted_by(|one, next| one.0 < next.0 && one.1 > next.1), "{points:?}");
    assert!(points.iter().all(|(x, y)| (80.0..=580.0).contains(x) && (90.0..=470.0).contains(y)));
}

#[test]
fn bars_are_as_long_as_their_figures() {
    let bar = |name: &str, value| Bar { name: name.to_owned(), value, is_ours: value > 1.0 };
    let panel = Panel {
        title: "requests a second".into(),
        bars: vec![bar("hearth", 2.0), bar("axum", 1.0)],
    };
    let svg = bars("Overview", "", &[panel]);
    let widths: Vec<f64> = svg
        .lines()
        .filter(|line| line.starts_with("<rect x=\"214") && line.contains("height=\"18"))
        .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
        .collect();
    assert!(matches!(*widths, [two, one] if (two / one - 2.0).abs() < 0.01), "{widths:?}");
}

#[test]
fn numbers_have_the_digits_that_one_reads() {
    let of = [0.0, 0.051, 0.52, 3.12, 31.4, 84_123.0, 1_234_567.0].map(short);
    assert_eq!(of, ["0", "0.05", "0.52", "3.1", "31", "84,123", "1,234,567"]);
}
