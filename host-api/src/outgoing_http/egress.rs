//! The gate of one function: what its requests were granted, how many are under way, and what became of them.
//!
//! [`Egress`] belongs to a function and is shared by its instances; [`EgressHooks`] belongs to one instance and carries the
//! deadline of the invocation it serves. Neither keeps anything of a request once it is over.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, Method, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tracing::debug;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::depth::{self, DEPTH_HEADER};
use super::hop::is_of_one_hop;
use super::pool::{Keeping, Shelf};
use super::send::{self, Timeouts, Way};
use super::tls::Trust;
use super::{
    BODY_CHUNK_BYTES, Denial, Destination, EgressCounts, MAX_ADDRESSES, OutgoingHttp, Reach,
    Resolve, not_public,
};

/// The outgoing requests of one function.
pub struct Egress {
    grant: OutgoingHttp,
    resolver: Arc<dyn Resolve>,
    slots: Arc<Semaphore>,
    way: Way,
}

impl Egress {
    /// A gate that lets through what `grant` covers and asks `resolver` for addresses.
    #[must_use]
    pub fn new(grant: OutgoingHttp, resolver: Arc<dyn Resolve>) -> Arc<Self> {
        Arc::new(Self::alone(grant, resolver))
    }

    #[cfg(test)]
    pub(super) fn keeping(
        grant: OutgoingHttp,
        resolver: Arc<dyn Resolve>,
        keeping: Keeping,
    ) -> Arc<Self> {
        let mut egress = Self::alone(grant, resolver);
        egress.way.shelf = Shelf::new(keeping);
        Arc::new(egress)
    }

    #[cfg(all(test, feature = "tls"))]
    pub(super) fn trusting(
        grant: OutgoingHttp,
        resolver: Arc<dyn Resolve>,
        trust: Trust,
    ) -> Arc<Self> {
        let mut egress = Self::alone(grant, resolver);
        egress.way.trust = trust;
        Arc::new(egress)
    }

    #[cfg(test)]
    pub(super) fn way_shelf(&self) -> &Shelf {
        &self.way.shelf
    }

    fn alone(grant: OutgoingHttp, resolver: Arc<dyn Resolve>) -> Self {
        let slots = usize::try_from(grant.concurrent_requests).unwrap_or(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS)));
        let way = Way {
            shelf: Shelf::new(Keeping::of(grant.concurrent_requests)),
            trust: Trust::default(),
            counters: Arc::default(),
            limit: grant.response_bytes,
        };
        Self { grant, resolver, slots, way }
    }

    /// A gate for requests of the host's own.
    pub(super) fn of_host(grant: OutgoingHttp, resolver: Arc<dyn Resolve>) -> Self {
        let mut egress = Self::alone(grant, resolver);
        egress.way.trust = Trust::of_host();
        egress
    }

    /// What happened to the function's requests so far.
    #[must_use]
    pub fn counts(&self) -> EgressCounts {
        self.way.counters.read()
    }

    /// The checks that need no network.
    fn admit(
        &self,
        request: &Request<WasiBody>,
        depth: u32,
        deadline: Instant,
    ) -> Result<Admitted, Denial> {
        if *request.method() == Method::CONNECT {
            return Err(Denial::Tunnel);
        }
        let destination = Destination::of(request.uri())?;
        let reach = self.grant.admit(&destination)?;
        if cfg!(not(feature = "tls")) && destination.scheme == super::HttpScheme::Https {
            return Err(Denial::NoTls);
        }
        depth::check(depth)?;
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

    /// Sends a request of the host's own through the same gate.
    ///
    /// # Errors
    /// A denial, or what a guest would be told.
    pub(super) async fn send_own(
        &self,
        request: Request<WasiBody>,
        deadline: Instant,
    ) -> Result<Result<Response<WasiBody>, Error>, Denial> {
        let admitted = self.admit(&request, 0, deadline)?;
        let timeouts = Timeouts::new(RequestOptions::default(), deadline);
        Ok(self.send(request, admitted, timeouts).await)
    }

    /// What is left to do for a request that was admitted.
    async fn send(
        &self,
        request: Request<WasiBody>,
        admitted: Admitted,
        timeouts: Timeouts,
    ) -> Result<Response<WasiBody>, Error> {
        let Admitted { destination, reach, slot } = admitted;
        let counters = &self.way.counters;
        let found = self.found(&destination, &timeouts).await;
        let found = found.inspect_err(|_| counters.failed.one())?;
        let addresses = self.vetted(&found, &destination, reach)?;
        counters.sent.one();
        let sent = send::send(&self.way, request, &destination, &addresses, timeouts, slot).await;
        sent.inspect_err(|_| counters.failed.one())
    }

    /// The addresses of a request's host: looked up once, here. Nothing later looks again.
    async fn found(
        &self,
        destination: &Destination,
        timeouts: &Timeouts,
    ) -> Result<Vec<IpAddr>, Error> {
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
        if found.is_empty() { Err(Error::DestinationNotFound) } else { Ok(found) }
    }

    /// Those of the addresses found that the request may connect to: at least one.
    fn vetted(
        &self,
        found: &[IpAddr],
        destination: &Destination,
        reach: Reach,
    ) -> Result<Vec<SocketAddr>, Error> {
        let vetted = vet(found, reach).map_err(|kind| {
            let denial = Denial::NotPublic { host: destination.host.to_string(), kind };
            self.refuse(denial)
        })?;
        Ok(vetted.into_iter().map(|address| (address, destination.port).into()).collect())
    }

    fn refuse(&self, denial: Denial) -> Error {
        debug!(%denial, "an outgoing request was denied");
        self.way.counters.denied(&denial);
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
    depth: u32,
}

impl EgressHooks {
    /// Hooks whose requests end at `deadline`, in bytes and in time bounded by `egress`.
    #[must_use]
    pub fn new(egress: Arc<Egress>, deadline: Instant) -> Self {
        Self { egress, deadline, depth: 0 }
    }

    /// Sets the deadline of the invocation that the instance serves next.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Sets how many functions called one another to get to the invocation that the instance serves next. Its requests say one more,
    /// under [`DEPTH_HEADER`], and are refused from [`HTTP_DEPTH_MAX`](super::HTTP_DEPTH_MAX) on.
    pub fn set_depth(&mut self, depth: u32) {
        self.depth = depth;
    }
}

/// The headers that a guest can neither write nor see.
fn is_forbidden(name: &HeaderName) -> bool {
    let name = name.as_str();
    is_of_one_hop(name) || name == "host" || name == DEPTH_HEADER.as_str()
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Io), Error>;

impl WasiHttpHooks for EgressHooks {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let egress = self.egress.clone();
        let deadline = self.deadline;
        depth::stamp(request.headers_mut(), self.depth);
        // Checked before the future is made: a denied request costs neither a task nor a connection.
        let admitted = egress.admit(&request, self.depth, deadline);
        let admitted = admitted.map_err(|denial| egress.refuse(denial));
        Box::new(async move {
            let timeouts = Timeouts::new(options.unwrap_or_default(), deadline);
            let response = egress.send(request, admitted?, timeouts).await?;
            // A connection is driven by a task of its own: there is nothing to do beside reading the body.
            Ok((response, Box::new(std::future::ready(Ok(()))) as Io))
        })
    }

    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
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
