//! The gate of one function: what its requests were granted, how many are under way, and what became of them.
//!
//! [`Egress`] belongs to a function and is shared by its instances; [`EgressHooks`] belongs to one instance and carries the
//! deadline of the invocation it serves. Neither keeps anything of a request once it is over.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tracing::debug;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::denial::Counters;
use super::send::{self, Timeouts};
use super::{
    BODY_CHUNK_BYTES, Denial, Destination, EgressCounts, MAX_ADDRESSES, OutgoingHttp, Reach,
    Resolve, not_public,
};

/// The outgoing requests of one function.
pub struct Egress {
    grant: OutgoingHttp,
    resolver: Arc<dyn Resolve>,
    slots: Arc<Semaphore>,
    counters: Counters,
}

impl Egress {
    /// A gate that lets through what `grant` covers and asks `resolver` for addresses.
    #[must_use]
    pub fn new(grant: OutgoingHttp, resolver: Arc<dyn Resolve>) -> Arc<Self> {
        let slots = usize::try_from(grant.concurrent_requests).unwrap_or(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { grant, resolver, slots, counters: Counters::default() })
    }

    /// What happened to the function's requests so far.
    #[must_use]
    pub fn counts(&self) -> EgressCounts {
        self.counters.read()
    }

    /// The checks that need no network.
    fn admit(&self, request: &Request<WasiBody>, deadline: Instant) -> Result<Admitted, Denial> {
        if *request.method() == Method::CONNECT {
            return Err(Denial::Tunnel);
        }
        let destination = Destination::of(request.uri())?;
        let reach = self.grant.admit(&destination)?;
        if cfg!(not(feature = "tls")) && destination.scheme == super::HttpScheme::Https {
            return Err(Denial::NoTls);
        }
        if deadline <= Instant::now() {
            return Err(Denial::TooLate);
        }
        let slot = self.slots.clone().try_acquire_owned().map_err(|error| match error {
            TryAcquireError::Closed | TryAcquireError::NoPermits => {
                Denial::TooMany { limit: self.grant.concurrent_requests }
            }
        })?;
        Ok(Admitted { destination, reach, slot })
    }

    /// The checks for a request of the host's own.
    pub(super) fn admit_own(
        &self,
        request: &Request<WasiBody>,
        deadline: Instant,
    ) -> Result<(Destination, Reach, OwnedSemaphorePermit), Denial> {
        let Admitted { destination, reach, slot } = self.admit(request, deadline)?;
        Ok((destination, reach, slot))
    }

    pub(super) fn response_bytes(&self) -> u64 {
        self.grant.response_bytes
    }

    /// The addresses a request may connect to: resolved once, here, and filtered. Nothing later resolves again.
    pub(super) async fn vetted(
        &self,
        destination: &Destination,
        reach: Reach,
        timeouts: &Timeouts,
    ) -> Result<Vec<SocketAddr>, Error> {
        let found = match (destination.address(), &destination.host) {
            (Some(address), _) => vec![address],
            (None, url::Host::Domain(name)) => {
                let resolving = self.resolver.resolve(name);
                let found = tokio::time::timeout(timeouts.connect(), resolving).await;
                found.map_err(|_| Error::DnsTimeout)?.map_err(|error| {
                    debug!(host = %destination.host, %error, "a host was not resolved");
                    Error::DnsError { rcode: Some("no address".to_owned()), info_code: None }
                })?
            }
            (None, _) => Vec::new(),
        };
        let vetted = vet(&found, reach).map_err(|kind| {
            let denial = Denial::NotPublic { host: destination.host.to_string(), kind };
            self.refuse(denial)
        })?;
        if vetted.is_empty() {
            return Err(Error::DestinationNotFound);
        }
        Ok(vetted.into_iter().map(|address| (address, destination.port).into()).collect())
    }

    fn refuse(&self, denial: Denial) -> Error {
        debug!(%denial, "an outgoing request was denied");
        self.counters.denied(&denial);
        denial.into()
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress")
            .field("grant", &self.grant)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// A request that may be made.
struct Admitted {
    destination: Destination,
    reach: Reach,
    slot: OwnedSemaphorePermit,
}

/// The addresses of `found` that may be connected to; an error when there were some and all are refused.
fn vet(found: &[IpAddr], reach: Reach) -> Result<Vec<IpAddr>, super::AddressKind> {
    let mut vetted = Vec::new();
    let mut refused = None;
    for address in found.iter().take(MAX_ADDRESSES) {
        match not_public(*address) {
            Some(kind) if reach == Reach::Public => refused = Some(kind),
            _ => vetted.push(*address),
        }
    }
    match refused {
        Some(kind) if vetted.is_empty() => Err(kind),
        _ => Ok(vetted),
    }
}

/// The hooks of one instance, in front of its function's [`Egress`].
#[derive(Debug)]
pub struct EgressHooks {
    egress: Arc<Egress>,
    deadline: Instant,
}

impl EgressHooks {
    /// Hooks whose requests end at `deadline`, in bytes and in time bounded by `egress`.
    #[must_use]
    pub fn new(egress: Arc<Egress>, deadline: Instant) -> Self {
        Self { egress, deadline }
    }

    /// Sets the deadline of the invocation that the instance serves next.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Io), Error>;

impl WasiHttpHooks for EgressHooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let egress = self.egress.clone();
        let deadline = self.deadline;
        // Checked before the future is made: a denied request costs neither a task nor a connection.
        let admitted = egress.admit(&request, deadline).map_err(|denial| egress.refuse(denial));
        Box::new(async move {
            let Admitted { destination, reach, slot } = admitted?;
            let timeouts = Timeouts::new(options.unwrap_or_default(), deadline);
            let addresses = egress.vetted(&destination, reach, &timeouts).await?;
            egress.counters.sent();
            let limit = egress.grant.response_bytes;
            let sent = send::send(request, &destination, &addresses, timeouts, limit, slot).await?;
            let (response, io) = sent;
            Ok((response, Box::new(io) as Io))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }
}

#[cfg(test)]
#[path = "egress_tests.rs"]
mod tests;
