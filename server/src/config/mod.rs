//! Every setting of the server in one tree; the doc comments here are the reference.
//!
//! Values come from defaults, then a TOML file, then `HEARTH_*`, then flags; see [`load`]. A setting belongs here only if
//! something reads it. Library crates get their own configuration types from here and read no file and no variable.

mod audit;
mod auth;
mod engine;
mod gateway;
mod http;
mod load;
mod log;
mod object_store;
mod quantity;
mod queue;
mod shared_artifacts;
mod show;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use hearth_engine::Isolation;
use serde::{Deserialize, Serialize};

pub use audit::AuditSection;
pub use auth::Auth;
pub use engine::EngineSection;
pub use gateway::GatewaySection;
pub use http::HttpSection;
pub use load::{ConfigError, Loaded, Sources, keys, load};
pub use log::{AccessLog, LogFormat, LogSection};
pub use object_store::{Addressing, BucketSection, ObjectStoreSection};
pub use quantity::{QuantityError, Size, Span};
pub use queue::QueueSection;
pub use shared_artifacts::SharedArtifactsSection;
pub use show::{as_json, as_toml};
pub use tls::{TlsListen, TlsSection};

/// The settings of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where functions are deployed and called. Default `127.0.0.1:9000`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the same is served over TLS: `off` (the default), or an address.
    pub tls_listen: TlsListen,
    /// Where health and metrics are served, on a thread of their own that no guest can hold up. `next` (the default) is the
    /// port after `listen`, or a free one if that is taken; `off` serves them on `listen` only; else an address.
    pub admin_listen: AdminListen,
    /// Where everything durable lives. Default `hearth-data` in the current directory.
    pub data_dir: PathBuf,
    /// When requests must be signed with an access key: `auto` (the default) as soon as there is one, `required`, or `off`.
    pub auth: Auth,
    /// The file that opens the secrets of access keys. Default `sealing.key` in the data directory.
    pub sealing_key: PathBuf,
    /// Serve on an address that other machines can reach although nothing checks who calls. Default false.
    pub allow_unauthenticated: bool,
    /// Copy the server's own code to pages of 2 MiB when it starts, on Linux: 4% to 12% more requests a second where finding a page is dear,
    /// as in virtual machines, for some 20 MiB of memory; profilers no longer find its functions' names. Default false.
    pub large_code_pages: bool,
    /// How long running invocations may take to finish after SIGTERM. Default 30s.
    pub drain_time: Span,
    /// The isolation of functions that do not choose one: `reuse` (the default) or `fresh`. `snapshot` is chosen for
    /// each function that has an initializer.
    pub isolation: Isolation,
    /// The region in resource names. Default `local`.
    pub region: String,
    /// The account id in resource names. Default `0`.
    pub account: String,
    /// What is logged, and how.
    pub log: LogSection,
    /// Bounds of connections and requests.
    pub http: HttpSection,
    /// Bounds of requests that functions answer themselves.
    pub gateway: GatewaySection,
    /// Budgets of the engine.
    pub engine: EngineSection,
    /// The queue of asynchronous invocations.
    pub queue: QueueSection,
    /// Where objects are that are named as code.
    pub object_store: ObjectStoreSection,
    /// Where servers share what they compile.
    pub shared_artifacts: SharedArtifactsSection,
    /// How much of the audit trail is kept.
    pub audit: AuditSection,
    /// The certificate that clients are shown who name no custom domain.
    pub tls: TlsSection,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)),
            tls_listen: TlsListen::Off,
            admin_listen: AdminListen::Next,
            data_dir: PathBuf::from("hearth-data"),
            auth: Auth::Auto,
            sealing_key: PathBuf::new(),
            allow_unauthenticated: false,
            large_code_pages: false,
            drain_time: Span::seconds(30),
            isolation: Isolation::default(),
            region: "local".to_owned(),
            account: "0".to_owned(),
            log: LogSection::default(),
            http: HttpSection::default(),
            gateway: GatewaySection::default(),
            engine: EngineSection::default(),
            queue: QueueSection::default(),
            object_store: ObjectStoreSection::default(),
            shared_artifacts: SharedArtifactsSection::default(),
            audit: AuditSection::default(),
            tls: TlsSection::default(),
        }
    }
}

/// The port of a server that was told no other.
pub const DEFAULT_PORT: u16 = 9000;

impl Settings {
    /// Checks what no single field can.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] names the setting and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |why: String| Err(ConfigError::Refused { why });
        if self.auth == Auth::Off && self.needs_keys() {
            return refuse(open_address(self.open_listen()));
        }
        if let AdminListen::Address(address) = self.admin_listen
            && !self.allow_unauthenticated
            && !is_local(address.ip())
        {
            return refuse(format!(
                "admin address {address} can be reached by other machines; use 127.0.0.1, or say --allow-unauthenticated"
            ));
        }
        if self.data_dir.as_os_str().is_empty() {
            return refuse("data_dir is empty; name a directory".to_owned());
        }
        if self.isolation == Isolation::Snapshot {
            let why = "isolation is `snapshot`, which functions without an initializer cannot have; choose it for each function";
            return refuse(why.to_owned());
        }
        self.http.validate()?;
        self.gateway.validate()?;
        self.queue.validate()?;
        self.object_store.validate()?;
        self.shared_artifacts.validate()?;
        self.audit.validate()?;
        self.tls.validate()?;
        self.engine
            .to_engine()
            .validate()
            .map_err(|source| ConfigError::Refused { why: source.to_string() })
    }
}

impl Settings {
    /// Whether it may only be served where callers are checked.
    pub fn needs_keys(&self) -> bool {
        let is_open = !is_local(self.open_listen().ip());
        self.auth == Auth::Required || (is_open && !self.allow_unauthenticated)
    }

    /// The address that others can reach, if there is one; else any.
    pub fn open_listen(&self) -> SocketAddr {
        let addresses = [Some(self.listen), self.tls_listen.address()];
        let open = addresses.into_iter().flatten().find(|address| !is_local(address.ip()));
        open.unwrap_or(self.listen)
    }
}

/// Why an address is refused that nobody guards.
pub fn open_address(listen: SocketAddr) -> String {
    format!(
        "{listen} can be reached by other machines and nothing checks who calls; make an access key with `hearth key create \
         --data-dir PATH`, listen on 127.0.0.1, or say --allow-unauthenticated"
    )
}

/// Whether only this machine can reach the address.
fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Where health and metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminListen {
    /// The port after the main one, or a free one.
    Next,
    /// On the main address only.
    Off,
    /// Here.
    Address(SocketAddr),
}

impl FromStr for AdminListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "next" => Ok(Self::Next),
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::Address).map_err(|_| {
                format!("`{text}` is not `next`, `off` or an address such as 127.0.0.1:9001")
            }),
        }
    }
}

impl std::fmt::Display for AdminListen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Next => f.write_str("next"),
            Self::Off => f.write_str("off"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Serialize for AdminListen {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AdminListen {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_address_needs_saying_so() {
        let mut settings =
            Settings { listen: "0.0.0.0:9000".parse().unwrap(), ..Settings::default() };
        assert!(settings.needs_keys(), "with keys it may be served");
        settings.auth = Auth::Off;
        assert!(settings.validate().unwrap_err().to_string().contains("--allow-unauthenticated"));
        settings.allow_unauthenticated = true;
        assert!(!settings.needs_keys());
        settings.validate().unwrap();
        let mapped =
            Settings { listen: "[::ffff:127.0.0.1]:0".parse().unwrap(), ..Settings::default() };
        mapped.validate().unwrap();
    }

    #[test]
    fn admin_listen_reads_what_it_prints() {
        for text in ["next", "off", "127.0.0.1:9001", "[::1]:9"] {
            assert_eq!(text.parse::<AdminListen>().unwrap().to_string(), text);
        }
        assert!("9001".parse::<AdminListen>().is_err());
    }
}
