//! Bars: a panel for each figure, a bar for each host, lengths from nothing, or logarithmic where one would hide the others.

use super::canvas::{Anchor, Canvas, short};

/// One host's figure.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Whose.
    pub name: String,
    /// What it came to.
    pub value: f64,
    /// One of ours.
    pub is_ours: bool,
}

/// One figure.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it is, and its unit.
    pub title: String,
    /// Who had which.
    pub bars: Vec<Bar>,
}

const WIDTH: f64 = 1160.0;
const NAMES: f64 = 190.0;
const BAR: f64 = 18.0;
const OURS: &str = "#d62728";
const OTHERS: &str = "#8aa4c0";
const COLUMNS: usize = 2;

/// A sheet of panels in two columns.
#[must_use]
pub fn bars(title: &str, subtitle: &str, panels: &[Panel]) -> String {
    let mut columns = [76.0_f64; COLUMNS];
    let places: Vec<(usize, f64)> = panels
        .iter()
        .map(|panel| {
            // Into whichever column is shorter.
            let column = usize::from(columns[1] < columns[0]);
            let y = columns[column];
            columns[column] += height(panel) + 26.0;
            (column, y)
        })
        .collect();
    let mut canvas = Canvas::new(WIDTH, columns[0].max(columns[1]) + 24.0);
    canvas.text((24.0, 30.0), 18.0, Anchor::Start, title);
    canvas.text((24.0, 52.0), 12.0, Anchor::Start, subtitle);
    for (panel, (column, y)) in panels.iter().zip(places) {
        #[expect(clippy::cast_precision_loss, reason = "there are two columns")]
        let x = 24.0 + column as f64 * WIDTH / 2.0;
        draw(&mut canvas, panel, (x, y));
    }
    let y = columns[0].max(columns[1]) + 4.0;
    canvas.block((24.0, y), (14.0, 12.0), OURS);
    canvas.text((44.0, y + 11.0), 12.0, Anchor::Start, "hearth");
    canvas.block((114.0, y), (14.0, 12.0), OTHERS);
    canvas.text((134.0, y + 11.0), 12.0, Anchor::Start, "beside it, in the same run");
    canvas.svg()
}

fn height(panel: &Panel) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are a few bars")]
    let bars = panel.bars.len() as f64;
    28.0 + bars * (BAR + 5.0)
}

fn draw(canvas: &mut Canvas, panel: &Panel, (x, mut y): (f64, f64)) {
    let room = WIDTH / 2.0 - NAMES - 48.0 - 64.0;
    let most = panel.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let least =
        panel.bars.iter().map(|bar| bar.value).filter(|value| *value > 0.0).fold(most, f64::min);
    let is_wide = most > least * 50.0;
    let note = if is_wide { " (lengths logarithmic)" } else { "" };
    canvas.text((x, y + 14.0), 14.0, Anchor::Start, &format!("{}{note}", panel.title));
    y += 26.0;
    for bar in &panel.bars {
        let share = match is_wide {
            true => (bar.value.max(least) / (least / 2.0)).ln() / (most / (least / 2.0)).ln(),
            false => bar.value / most.max(1e-12),
        };
        canvas.text((x + NAMES - 8.0, y + BAR - 5.0), 12.0, Anchor::End, &bar.name);
        let colour = if bar.is_ours { OURS } else { OTHERS };
        canvas.block((x + NAMES, y), ((room * share).max(1.0), BAR), colour);
        let beside = (x + NAMES + room * share + 6.0, y + BAR - 5.0);
        canvas.text(beside, 12.0, Anchor::Start, &short(bar.value));
        y += BAR + 5.0;
    }
}
