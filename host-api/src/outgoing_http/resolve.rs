//! Host names to addresses, once for each request.
//!
//! A request resolves its host exactly once, filters what came back and connects to what is left. Nothing after that looks
//! at the name again, so a name server that answers differently a second time has no second time.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;

/// The most addresses of one host that are considered. Real hosts have a handful; the rest of a longer list is ignored.
pub const MAX_ADDRESSES: usize = 16;

/// Addresses in the order they should be tried, or the reason there are none.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Turns names into addresses. It does not judge them.
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, a name in its normal form and never an address.
    fn resolve<'a>(&'a self, host: &'a str) -> Resolved<'a>;
}

/// The resolver of the operating system, on tokio's blocking threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolved<'a> {
        Box::pin(async move {
            // Names go out as they are, so that /etc/hosts and search domains work for the private hosts an operator grants.
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|found| found.ip()).take(MAX_ADDRESSES).collect())
        })
    }
}
