//! A file that says where the server listens, for whoever started it on port 0.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What is in the file, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortFile {
    /// The process.
    pub pid: u32,
    /// Where functions are deployed and called.
    pub listen: SocketAddr,
    /// Where health and metrics are served; the same as `listen` where they have no address of their own.
    pub admin_listen: SocketAddr,
    /// Where the same is served over TLS.
    pub tls_listen: Option<SocketAddr>,
    /// `listen` as the command line takes it.
    pub url: String,
}

impl PortFile {
    /// Writes the file as a whole: a reader finds all of it or none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", self.pid));
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        std::fs::write(&name, text)?;
        std::fs::rename(&name, path)
    }
}
