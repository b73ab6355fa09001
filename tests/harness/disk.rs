//! A small disk of its own for a server: to be filled, and to be made read-only.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A file system of a few mebibytes in memory; unmounted with this.
#[derive(Debug)]
pub struct Disk(TempDir);

impl Disk {
    /// Mounts one. Where mounting is not allowed there is none, and the test says that it is skipped.
    ///
    /// # Panics
    /// When there is no temporary directory.
    #[must_use]
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let size = format!("size={mebibytes}m");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(home.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(home)),
            Ok(output) => skip(&String::from_utf8_lossy(&output.stderr)),
            Err(why) => skip(&why.to_string()),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it to the last byte.
    ///
    /// # Panics
    /// When there is no end to it.
    pub fn fill(&self) {
        let filler = std::fs::File::options().create(true).append(true).open(self.filler());
        let mut filler = filler.expect("a new file");
        for size in [1 << 20, 1 << 12, 1] {
            let bytes = vec![1; size];
            let end = (0..1 << 16).find(|_| filler.write_all(&bytes).is_err());
            assert!(end.is_some(), "the disk has no end");
        }
    }

    /// Takes away what filled it.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn empty(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }

    /// Nothing can be written any more. Only while nobody has a file open for writing.
    ///
    /// # Panics
    /// When somebody has.
    pub fn make_read_only(&self) {
        self.remount("remount,ro");
    }

    /// The reverse.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn make_writable(&self) {
        self.remount("remount,rw");
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", options]).arg(self.0.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "{options}");
    }
}

#[expect(clippy::print_stdout, reason = "a test that is skipped says so where tests are shown")]
fn skip(why: &str) -> Option<Disk> {
    println!("SKIPPED: needs the right to mount a small disk: {}", why.trim());
    None
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A server that was killed a moment ago may still hold it.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
