//! What a person sees: tables, progress and histograms. Data goes to standard output, everything else to standard error;
//! colours and progress only where a terminal shows them.

mod histogram;
mod progress;
mod table;

use std::io::{self, IsTerminal, Write};

pub use histogram::Histogram;
pub use progress::Progress;
pub use table::Table;

/// The form of what goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a person.
    Human,
    /// One JSON value, or one a line where it is a stream.
    Json,
}

/// The two outputs, and what they can show.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// The form of data.
    pub format: Format,
    color_out: bool,
    color_err: bool,
    progress: bool,
}

/// A way to show text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Brighter.
    Bold,
    /// Fainter.
    Dim,
    /// Good.
    Green,
    /// Bad.
    Red,
    /// Worth a look.
    Yellow,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Red => "31",
            Self::Yellow => "33",
        }
    }
}

impl Terminal {
    /// Looks at where the outputs go. Without a wish, data is JSON unless a terminal shows it.
    pub fn detect(format: Option<Format>, no_color: bool) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let format = format.unwrap_or(if out { Format::Human } else { Format::Json });
        Self { format, color_out: out && !no_color, color_err: err && !no_color, progress: err }
    }

    /// Whether data is JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether standard error shows colours.
    pub fn has_colors(&self) -> bool {
        self.color_err
    }

    /// Whether standard error can show progress.
    pub fn has_progress(&self) -> bool {
        self.progress
    }

    /// Writes data.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn data(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Writes a line of data.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn line(&self, text: &str) -> io::Result<()> {
        self.data(format!("{text}\n").as_bytes())
    }

    /// Shows text that a guest had a hand in to a person, with nothing in it that could drive or deceive a terminal.
    pub fn note_foreign(&self, style: Style, text: &str) {
        self.note(&self.paint(style, &printable(text)));
    }

    /// Tells a person something. That nobody may be listening is no error.
    pub fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Text for standard output in a style.
    pub fn paint_out(&self, style: Style, text: &str) -> String {
        paint(self.color_out, style, text)
    }

    /// Text for standard error in a style.
    pub fn paint(&self, style: Style, text: &str) -> String {
        paint(self.color_err, style, text)
    }
}

fn paint(colors: bool, style: Style, text: &str) -> String {
    if colors { format!("\x1b[{}m{text}\x1b[0m", style.code()) } else { text.to_owned() }
}

/// Text in which control characters, and marks that reorder or hide text, are escaped; newlines and tabs stay.
pub fn printable(text: &str) -> String {
    let is_plain = |c: char| {
        let is_mark = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        c == '\n' || c == '\t' || !(c.is_control() || is_mark)
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}

/// A duration for a person: three digits and a unit.
pub fn human_time(time: std::time::Duration) -> String {
    let nanos = time.as_secs_f64() * 1e9;
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "us"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let digits = match value {
        v if unit == "ns" || v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// A number of bytes for a person.
pub fn human_bytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let bytes = bytes as f64;
    match bytes {
        b if b < 1024.0 => format!("{b:.0} B"),
        b if b < 1024.0 * 1024.0 => format!("{:.1} KiB", b / 1024.0),
        b if b < 1024.0 * 1024.0 * 1024.0 => format!("{:.1} MiB", b / 1_048_576.0),
        b => format!("{:.2} GiB", b / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_have_three_digits() {
        for (time, text) in [
            (Duration::from_nanos(7), "7 ns"),
            (Duration::from_nanos(1234), "1.23 us"),
            (Duration::from_micros(45_600), "45.6 ms"),
            (Duration::from_millis(123), "123 ms"),
            (Duration::from_secs(61), "61.0 s"),
        ] {
            assert_eq!(human_time(time), text);
        }
        assert_eq!(human_bytes(1536), "1.5 KiB");
    }
}
