//! What all handlers share, and the one place that tells which of them a request is for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hearth_engine::EngineStats;
use hearth_platform::{Invoked, LogStore, Platform, PlatformError, Target};
use http::header::HOST;
use http::{HeaderMap, StatusCode};

use crate::config::{Auth, Settings};
use crate::dialect;
use crate::dialect::hearth::CodeLinks;
use crate::gateway::TrustedProxies;
use crate::http::{
    BodyBudget, Cores, Exchange, Handle, Rejection, Request, Response, ShutdownSignal,
};
use crate::telemetry::{Figures, FiguresSource, Metrics};

/// The server's state.
#[derive(Debug)]
pub struct App {
    /// Services, functions, invocations.
    pub platform: Platform,
    /// What functions logged.
    pub logs: Arc<LogStore>,
    /// The settings, validated.
    pub settings: Settings,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Memory for request bodies.
    pub bodies: BodyBudget,
    /// Links to code.
    pub code_links: CodeLinks,
    /// Proxies that are believed.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Tells streams to end.
    pub shutdown: ShutdownSignal,
    ready: AtomicBool,
}

impl App {
    /// The state of a server that is not ready yet.
    pub fn new(
        platform: Platform,
        logs: Arc<LogStore>,
        settings: Settings,
        (listen, cores): (SocketAddr, Arc<Cores>),
        shutdown: &ShutdownSignal,
    ) -> Arc<Self> {
        let bodies = BodyBudget::new(settings.http.body_budget.0);
        let source = Sources {
            platform: platform.clone(),
            logs: logs.clone(),
            bodies: bodies.clone(),
            cores,
        };
        Arc::new(Self {
            metrics: Arc::new(Metrics::new(Arc::new(source))),
            // The settings were validated.
            trusted_proxies: TrustedProxies::parse(&settings.gateway.trusted_proxies)
                .unwrap_or_default(),
            platform,
            logs,
            settings,
            bodies,
            code_links: CodeLinks::new(),
            listen,
            shutdown: shutdown.clone(),
            ready: AtomicBool::new(false),
        })
    }

    /// Whether requests must be signed.
    pub fn checks_callers(&self) -> bool {
        match self.settings.auth {
            Auth::Auto => !self.platform.keys().is_empty(),
            Auth::Required => true,
            Auth::Off => false,
        }
    }

    /// Whether it takes calls.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.shutdown.has_started()
    }

    /// It takes calls from now on.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// The address under which the caller reached the server, as far as its `Host` can be believed.
    pub fn url(&self, headers: &HeaderMap) -> String {
        let plain = |host: &&str| {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
        };
        match headers.get(HOST).and_then(|host| host.to_str().ok()).filter(plain) {
            // One official client leaves the port out of `Host` although it is not 80.
            Some(host) if !has_port(host) => format!("http://{host}:{}", self.listen.port()),
            Some(host) => format!("http://{host}"),
            None => format!("http://{}", self.listen),
        }
    }

    /// Counts what came of a call.
    pub fn metrics_of(&self, target: Target<'_>, result: &Result<Invoked, PlatformError>) {
        match result {
            Ok(invoked) => self.metrics.ran(&invoked.revision, &invoked.outcome),
            Err(error) => self.metrics.not_run(&target, error),
        }
    }
}

/// Whether a host names its port; the colons of an IPv6 address are inside brackets.
fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'))
}

impl Handle for App {
    fn handle(
        &self,
        request: &mut Request,
        exchange: &Exchange,
    ) -> impl Future<Output = Response> + Send {
        dialect::serve(self, request, exchange)
    }

    fn reject(&self, _path: &str, rejection: Rejection) -> Response {
        dialect::reject(rejection)
    }

    fn answered(&self, status: StatusCode) {
        self.metrics.answered(status.as_u16());
    }
}

/// Where `/metrics` reads at each scrape.
struct Sources {
    platform: Platform,
    logs: Arc<LogStore>,
    bodies: BodyBudget,
    cores: Arc<Cores>,
}

impl FiguresSource for Sources {
    fn read(&self) -> Figures {
        let engine: EngineStats = self.platform.engine().stats();
        let platform = self.platform.stats();
        Figures {
            engine,
            functions: self.platform.loaded_stats(),
            services: platform.services,
            functions_stored: platform.functions,
            queue_depth: platform.queue_depth,
            queue_running: platform.queue_running,
            enqueued: platform.enqueued,
            settled: platform.settled,
            retried: platform.retried,
            leases_lost: platform.leases_lost,
            body_bytes: self.bodies.held(),
            connections: self.cores.connections().collect(),
            log_lines_dropped: self.logs.lost(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_port() {
        for (host, port) in [("a", false), ("a:1", true), ("[::1]", false), ("[::1]:1", true)] {
            assert_eq!(has_port(host), port, "{host}");
        }
    }
}
