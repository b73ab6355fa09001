//! A command that goes on running; ends with this.

use std::process::{Child, ChildStdout, Command, Stdio};

use crate::eventually;

/// A running command.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).spawn().expect("the command starts"))
    }

    /// What it prints; once.
    ///
    /// # Panics
    /// The second time.
    #[must_use]
    pub fn output(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("its output is taken once")
    }

    /// Waits for its end; the exit code, if it ended by itself.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the command's end", || {
            status = self.0.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
