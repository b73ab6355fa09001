//! In the place of `tls.rs` where the feature `tls` is off: every https request is answered with a configuration error.

use tokio::net::TcpStream;
use url::Host;
use wasmtime_wasi_http::Error;

use super::Denial;
use super::connect::Wire;

/// Nobody is believed.
#[derive(Debug, Default)]
pub(super) struct Trust;

impl Trust {
    pub(super) fn of_host() -> Self {
        Self
    }

    pub(super) async fn secure(
        &self,
        _wire: TcpStream,
        _host: &Host<String>,
    ) -> Result<Box<dyn Wire>, Error> {
        Err(Denial::NoTls.into())
    }
}
