//! A process that a bench started: what it writes goes to a file, and it ends with its handle.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process has to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the programs lie that were built with this one; `$BENCH_PROGRAMS` where that is set.
#[must_use]
pub fn programs() -> PathBuf {
    if let Some(given) = std::env::var_os("BENCH_PROGRAMS") {
        return given.into();
    }
    let own = std::env::current_exe().expect("its own program");
    let folder = own.parent().expect("a program lies in a folder");
    match folder.file_name().is_some_and(|name| name == "deps") {
        true => folder.parent().expect("it has one").to_owned(),
        false => folder.to_owned(),
    }
}

/// The server and command line that is measured: `$HEARTH`, such as the program of a release, or else the one that was built with this.
pub(super) fn hearth() -> PathBuf {
    std::env::var_os("HEARTH").map_or_else(|| programs().join("hearth"), PathBuf::from)
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it writes goes to `log`.
    ///
    /// # Errors
    /// A sentence, when there is no such program.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        let file = File::create(log).map_err(|why| format!("{}: {why}", log.display()))?;
        let same = file.try_clone().map_err(|why| format!("{}: {why}", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(same).spawn();
        let child = child.map_err(|why| format!("{}: {why}", command.get_program().display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until a file holds what is looked for, and returns that.
    ///
    /// # Errors
    /// With the last line that it wrote, when it ended before or it takes too long.
    pub fn told<T>(&mut self, file: &Path, find: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(found) = std::fs::read_to_string(file).ok().and_then(|text| find(&text)) {
                return Ok(found);
            }
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("it does not come up: {}", self.last_line()))
    }

    /// The same, of its own output.
    ///
    /// # Errors
    /// As `told`.
    pub fn says<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let log = self.log.clone();
        self.told(&log, find)
    }

    fn last_line(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rfind(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned()
    }

    /// A figure of `/proc/PID/status` in KiB, such as `VmRSS` or `VmHWM`.
    #[must_use]
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let words = line.and_then(|line| line.split_whitespace().next());
        words.and_then(|kib| kib.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
