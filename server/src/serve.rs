//! Starts a server: the rooms in order, from the engine up to the listeners. Read it to know the system.
//!
//! One thread with a runtime of its own for each core, one for health and metrics that no guest can hold up, one for the queue
//! and upkeep. The main thread waits for a signal.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hearth_engine::{Engine, Limits};
use hearth_platform::{LogStore, Platform, PlatformCaller, PlatformConfig};
use tokio::sync::mpsc;

use crate::app::App;
use crate::certificates::DomainCertificates;
use crate::config::{AdminListen, ConfigError, Settings, Span, open_address};
use crate::dialect::function_compute::DestinationEvents;
use crate::dialect::health::Admin;
use crate::gateway::QueuedRequests;
use crate::http::{
    Bound, ConnectionBounds, CoreThread, Cores, Identity, Listeners, MinVersion, PortFile, Seat,
    Serving, Shutdown, ShutdownSignal, Signals, Tls, bind, bind_near,
};

/// Connections at once on the admin address: enough for scrapers, too few to matter.
const ADMIN_CONNECTIONS: u32 = 64;

/// Files that are kept for the admin address, storage, code and outgoing connections.
const FILES_KEPT: u32 = 128;

/// How long guests get to end after everything else has.
const ENGINE_DRAIN: Duration = Duration::from_millis(100);

/// Why a server did not start, or did not stay up.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory cannot be made or used.
    #[error("data directory {path} cannot be used: {source}")]
    DataDir {
        /// Which directory.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; choose another with --listen, port 0 takes a free one"
    )]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The engine was not built.
    #[error("engine: {0}")]
    Engine(#[from] hearth_engine::BuildError),
    /// The platform was not opened.
    #[error("{error}; {hint}")]
    Platform {
        /// Why.
        error: hearth_platform::PlatformError,
        /// What to do.
        hint: String,
    },
    /// Nothing would check who calls where others can.
    #[error("{why}")]
    Open {
        /// What is open, and what to do.
        why: String,
    },
    /// A file that the settings name cannot be used.
    #[error("{why}")]
    Settings {
        /// Which one, and what to do.
        why: String,
    },
    /// A thread, a runtime or a signal handler could not be had, or the port file not be written.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// Whether requests must be signed.
    pub checks_callers: bool,
    /// Where functions are deployed and called.
    pub listen: SocketAddr,
    /// Where the same is served over TLS.
    pub tls: Option<SocketAddr>,
    /// Where health and metrics are.
    pub admin: SocketAddr,
}

/// The sockets of a server.
struct Sockets {
    main: Bound,
    tls: Option<Bound>,
    admin: Option<Bound>,
}

/// What `serve` is told beside the settings.
#[derive(Debug)]
pub struct ServeOptions<'a> {
    /// The arguments that make this program a compiler child.
    pub compile_child: &'a [&'a str],
    /// Where to write the addresses once it is ready.
    pub port_file: Option<&'a Path>,
}

/// Serves until a signal comes, then lets what runs finish.
///
/// # Errors
/// When it does not start. `ready` is called once it takes calls.
pub fn serve(
    settings: Settings,
    options: &ServeOptions<'_>,
    ready: impl FnOnce(&Listening),
) -> Result<(), ServeError> {
    let system = |what| move |source| ServeError::System { what, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("making a runtime"))?;
    runtime.block_on(async {
        let (shutdown, signal) = Shutdown::new();
        let mut signals = Signals::catch().map_err(system("waiting for signals"))?;
        let server = Server::start(settings, options, &signal).await?;
        ready(&server.listening);
        let caught = signals.next().await;
        tracing::info!(
            signal = caught,
            "stopping: running invocations finish, a second signal ends them"
        );
        shutdown.start();
        tokio::select! {
            () = server.stop() => Ok(()),
            _ = signals.next() => {
                tracing::warn!("stopped at once");
                leave()
            }
        }
    })
}

/// Ends the process; what is on disk is whole at any moment.
#[expect(
    clippy::exit,
    reason = "a second signal asks for exactly this, and threads may still be busy"
)]
fn leave() -> ! {
    std::process::exit(1)
}

/// A running server.
struct Server {
    app: Arc<App>,
    listening: Listening,
    threads: Vec<CoreThread>,
    queue: Option<std::thread::JoinHandle<()>>,
    /// Yields nothing more once all threads that hold its other end are gone.
    ended: mpsc::Receiver<()>,
}

impl Server {
    async fn start(
        settings: Settings,
        options: &ServeOptions<'_>,
        signal: &ShutdownSignal,
    ) -> Result<Self, ServeError> {
        // Sockets first: a taken port is found before anything is opened or changed.
        let early = if settings.needs_keys() { None } else { Some(bind_all(&settings)?) };
        let (platform, logs) = open_platform(&settings, options).await?;
        // But where keys are needed, nobody reaches a socket before it is known that there are some.
        let Sockets { main, tls, admin } = match early {
            Some(sockets) => sockets,
            None if platform.keys().is_empty() => {
                return Err(ServeError::Open { why: open_address(settings.open_listen()) });
            }
            None => bind_all(&settings)?,
        };
        let (cores, seats) = Cores::new(main.listeners.len());
        let app = App::new(platform.clone(), logs, settings, (main.address, cores), signal);
        let listening = Listening {
            checks_callers: app.checks_callers(),
            listen: main.address,
            tls: tls.as_ref().map(|tls| tls.address),
            admin: admin.as_ref().map_or(main.address, |admin| admin.address),
        };
        let (alive, ended) = mpsc::channel(1);
        let mut threads = Vec::new();
        let system = |what| move |source| ServeError::System { what, source };
        if let Some(admin) = admin {
            let (_, seats) = Cores::new(admin.listeners.len());
            for (listener, seat) in admin.listeners.into_iter().zip(seats) {
                let handler = Arc::new(Admin(app.clone()));
                let serving = serving(&app, (handler, seat), ADMIN_CONNECTIONS, signal);
                let (name, listeners) =
                    ("hearth-admin".to_owned(), Listeners { plain: listener, tls: None });
                let thread = CoreThread::start(name, listeners, serving, alive.clone());
                threads.push(thread.map_err(system("starting the admin thread"))?);
            }
        }
        let count = u32::try_from(main.listeners.len()).unwrap_or(1);
        let per_thread = connections(&app.settings).div_ceil(count);
        let (spoken, mut encrypted) =
            (open_tls(&app)?, tls.into_iter().flat_map(|tls| tls.listeners));
        for (number, (plain, seat)) in main.listeners.into_iter().zip(seats).enumerate() {
            let mut serving = serving(&app, (app.clone(), seat), per_thread, signal);
            serving.tls = spoken.clone();
            let name = format!("hearth-core-{number}");
            let listeners = Listeners { plain, tls: encrypted.next() };
            let thread = CoreThread::start(name, listeners, serving, alive.clone());
            threads.push(thread.map_err(system("starting a serving thread"))?);
        }
        let queue = start_queue(platform, count as usize, signal.clone(), alive)
            .map_err(system("starting the queue"))?;
        if let Some(path) = options.port_file {
            let file = PortFile {
                pid: std::process::id(),
                listen: listening.listen,
                admin_listen: listening.admin,
                tls_listen: listening.tls,
                url: format!("http://{}", listening.listen),
            };
            file.write(path).map_err(system("writing the port file"))?;
        }
        app.set_ready();
        Ok(Self { app, listening, threads, queue: Some(queue), ended })
    }

    /// Waits until all threads have finished what they had; they have been told to stop.
    async fn stop(mut self) {
        while self.ended.recv().await.is_some() {}
        self.app.platform.engine().drain(ENGINE_DRAIN).await;
        for thread in self.threads.drain(..) {
            thread.join();
        }
        if let Some(queue) = self.queue.take()
            && queue.join().is_err()
        {
            tracing::error!("the queue's thread panicked");
        }
    }
}

/// How many connections there may be: as the settings say, but some files are left for everything else. More wait in the system's
/// queue, where they cost nothing.
fn connections(settings: &Settings) -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let files = limit.current.and_then(|files| u32::try_from(files).ok()).unwrap_or(u32::MAX);
    let most = files.saturating_sub(FILES_KEPT).max(FILES_KEPT / 4);
    let wanted = settings.http.connections;
    if most < wanted {
        tracing::warn!(
            files,
            most,
            wanted,
            "too few files are allowed for the connections of the settings; see `ulimit -n`"
        );
    }
    wanted.min(most)
}

/// What a listener serves, copied for each thread.
fn serving<H>(
    app: &App,
    (handler, seat): (Arc<H>, Seat),
    connections: u32,
    signal: &ShutdownSignal,
) -> Serving<H> {
    Serving {
        handler,
        seat,
        tls: None,
        bounds: ConnectionBounds::new(&app.settings.http),
        connections,
        shutdown: signal.clone(),
        drain_time: app.settings.drain_time.0,
    }
}

/// Reads the certificate that is shown to clients who name no custom domain.
fn open_tls(app: &App) -> Result<Option<Arc<Tls>>, ServeError> {
    let settings = &app.settings;
    if settings.tls_listen.address().is_none() {
        return Ok(None);
    }
    let refused = |what: &Path, error: &dyn std::fmt::Display| ServeError::Settings {
        why: format!("{}: {error}", what.display()),
    };
    let read = |path: &Path| std::fs::read(path).map_err(|error| refused(path, &error));
    let default = match settings.tls.files() {
        None => None,
        Some((certificate, key)) => {
            let (chain, key) = (read(certificate)?, read(key)?);
            let identity =
                Identity::from_pem(&chain, &key, MinVersion::default(), settings.http.h2);
            Some(identity.map_err(|error| refused(certificate, &error))?)
        }
    };
    let domains = DomainCertificates::new(app.platform.clone(), settings.http.h2);
    let tls = Tls::new(Arc::new(domains), default);
    tls.map(|tls| Some(Arc::new(tls)))
        .map_err(|error| ServeError::Settings { why: error.to_string() })
}

fn bind_all(settings: &Settings) -> Result<Sockets, ServeError> {
    let listen = |address| move |source| ServeError::Listen { address, source };
    let threads = match settings.http.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    };
    let main = bind(settings.listen, threads).map_err(listen(settings.listen))?;
    let tls = settings.tls_listen.address().map(|at| bind(at, threads).map_err(listen(at)));
    let admin = match settings.admin_listen {
        AdminListen::Off => None,
        AdminListen::Next => Some(bind_near(main.address).map_err(listen(main.address))?),
        AdminListen::Address(address) => Some(bind(address, 1).map_err(listen(address))?),
    };
    Ok(Sockets { main, tls: tls.transpose()?, admin })
}

/// Opens the engine and the platform on the data directory.
async fn open_platform(
    settings: &Settings,
    options: &ServeOptions<'_>,
) -> Result<(Platform, Arc<LogStore>), ServeError> {
    // What is kept there holds functions' secrets: it is for this user alone, whatever the shell's mask is.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let dir = &settings.data_dir;
    let data_dir = |source| ServeError::DataDir { path: dir.clone(), source };
    std::fs::create_dir_all(dir).map_err(data_dir)?;
    let logs = LogStore::open(settings.log.to_store(dir)).map_err(data_dir)?;
    let caller = PlatformCaller::new();
    let program = std::env::current_exe()
        .map_err(|source| ServeError::System { what: "finding this program", source })?;
    let arguments = options.compile_child.iter().map(|&argument| argument.to_owned()).collect();
    let refused = |error: ConfigError| ServeError::Settings { why: error.to_string() };
    let mut engine = Engine::builder()
        .config(settings.engine.to_engine_with_child(program, arguments))
        .artifact_dir(dir.join("artifacts"))
        .log_sink(logs.clone())
        .caller(caller.clone());
    if let Some((share, key)) = settings.shared_artifacts.to_share().map_err(refused)? {
        engine = engine.shared_artifacts(share, key);
    }
    let engine = engine.build()?;
    let mut config = PlatformConfig::new(dir, engine);
    config.caller = Some(caller);
    config.limits = Limits { payload_bytes: settings.http.event_size.0, ..Limits::default() };
    config.replay = Some(Arc::new(QueuedRequests));
    config.deliver = Some(Arc::new(DestinationEvents::new(settings)));
    config.objects =
        settings.object_store.to_objects(settings.http.upload_size).map_err(refused)?;
    config.queue = settings.queue.to_queue(Span(settings.drain_time.0));
    config.audit = settings.audit.to_audit();
    let sealing_key = &settings.sealing_key;
    config.sealing_key = (!sealing_key.as_os_str().is_empty()).then(|| sealing_key.clone());
    let platform = Platform::open(config)
        .await
        .map_err(|error| ServeError::Platform { hint: error.hint().to_owned(), error })?;
    Ok((platform, logs))
}

/// Starts the threads that work the queue down and keep house: as many as serve callers, and behind them.
fn start_queue(
    platform: Platform,
    cores: usize,
    signal: ShutdownSignal,
    alive: mpsc::Sender<()>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(1))
        .thread_name("hearth-queue")
        .on_thread_start(hearth_platform::run_behind_callers)
        .enable_all()
        .build()?;
    std::thread::Builder::new().name("hearth-queue".to_owned()).spawn(move || {
        hearth_platform::run_behind_callers();
        let stopped = |mut signal: ShutdownSignal| async move { signal.wait().await };
        runtime.block_on(async {
            tokio::join!(
                platform.run_queue(stopped(signal.clone())),
                platform.run_upkeep(stopped(signal))
            );
        });
        drop(alive);
    })
}
