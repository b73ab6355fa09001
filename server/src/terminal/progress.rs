//! A progress bar on standard error, shown only where a terminal shows it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Terminal;

/// A bar or a spinner; nothing where there is no terminal. It goes away when dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A spinner beside a word on what is going on.
    pub fn spinner(terminal: &Terminal, doing: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(terminal));
        bar.set_message(doing.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// A bar of so many steps.
    pub fn bar(terminal: &Terminal, doing: &str, steps: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps), target(terminal));
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}%") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(doing.to_owned());
        Self(bar)
    }

    /// Says what is going on now.
    pub fn say(&self, doing: &str) {
        self.0.set_message(doing.to_owned());
    }

    /// So many steps are done.
    pub fn at(&self, steps: u64) {
        self.0.set_position(steps);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn target(terminal: &Terminal) -> ProgressDrawTarget {
    if terminal.has_progress() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}
