//! A custom domain: a host name whose requests go to functions by path. Kept here as a record; whoever serves requests looks them up.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Record, Table};
use crate::certificate::DomainCertificate;
use crate::derived::Derived;
use crate::domain_route::{RULES_MAX, Rewrite, RouteTable};
use crate::error::{Kind, PlatformError, RequestError};
use crate::gate::GateLimits;
use crate::name::{FunctionName, Qualifier, ServiceName};
use crate::platform::Platform;
use crate::service::{ListRequest, Page, check_extra, check_text, merge, set};
use crate::storage::Collection;

/// Most routes of a domain.
pub const DOMAIN_ROUTES_MAX: usize = 100;

/// Which protocols a domain is meant for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainProtocol {
    /// Plain.
    #[default]
    Http,
    /// Encrypted.
    Https,
    /// Either.
    Both,
}

/// Requests with such a path go to such a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainRoute {
    /// A path, or the beginning of one with `*` at its end.
    pub path: String,
    /// The service.
    pub service: ServiceName,
    /// The function.
    pub function: FunctionName,
    /// A version or alias; none is `LATEST`.
    pub qualifier: Option<String>,
    /// The methods that it takes; none means all.
    pub methods: Vec<String>,
    /// How the path is rewritten, as the dialect has it.
    pub rewrite: Option<Value>,
    /// How often and how many at once, beside what the function's trigger says; the fields of [`GateLimits`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Value>,
}

/// What the owner of a domain sets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DomainSettings {
    /// Which protocols it is meant for.
    pub protocol: DomainProtocol,
    /// Where requests go.
    pub routes: Vec<DomainRoute>,
    /// The certificate that is shown over TLS.
    pub certificate: Option<DomainCertificate>,
    /// Whether TLS 1.2 is too old; what is older is spoken with nobody.
    pub tls13_only: bool,
    /// Fields of a dialect that it must echo and that have no effect.
    pub extra: Map<String, Value>,
}

/// A change of a domain: fields that are none stay as they are.
#[derive(Debug, Clone, Default)]
pub struct DomainChange {
    /// Replaces the protocol.
    pub protocol: Option<DomainProtocol>,
    /// Replaces all routes.
    pub routes: Option<Vec<DomainRoute>>,
    /// Replaces the certificate.
    pub certificate: Option<DomainCertificate>,
    /// Replaces whether TLS 1.2 is too old.
    pub tls13_only: Option<bool>,
    /// Replaces these fields of `extra`; a null removes the field.
    pub extra: Map<String, Value>,
    /// The revision that the caller has seen.
    pub expect: Option<u64>,
}

/// A custom domain as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name, in lower case.
    pub name: String,
    /// What the owner sets.
    #[serde(flatten)]
    pub settings: DomainSettings,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was last changed.
    pub modified_ms: u64,
    /// Grows with every change over the whole platform; what entity tags are made of.
    #[serde(skip)]
    pub revision: u64,
    /// Its routes, compiled.
    #[serde(skip)]
    pub(crate) table: Derived<RouteTable>,
}

/// A name of a host: labels of letters, digits and inner hyphens, at most 63 bytes each and 253 together.
fn host_name(text: &str) -> Result<String, RequestError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // Requests for addresses and for this machine are for the server itself.
    let is_address = text.rsplit('.').next().is_some_and(|last| {
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.eq_ignore_ascii_case("localhost")
    });
    if text.len() <= 253 && text.split('.').all(is_label) && !is_address {
        return Ok(text.to_ascii_lowercase());
    }
    let shown: String = text.chars().take(253).collect();
    let why = format!("`{}` is not the name of a host", shown.escape_debug());
    Err(RequestError::invalid("domain_name", why))
}

impl DomainSettings {
    /// Whether a private key is sealed in them.
    pub(crate) fn has_sealed_key(&self) -> bool {
        self.certificate.as_ref().is_some_and(DomainCertificate::has_key)
    }

    fn check(&self) -> Result<(), RequestError> {
        check_extra(&self.extra)?;
        let invalid = |why: String| Err(RequestError::invalid("routes", why));
        if self.routes.len() > DOMAIN_ROUTES_MAX {
            let count = self.routes.len();
            return invalid(format!("there are {count}; the limit is {DOMAIN_ROUTES_MAX}"));
        }
        let mut rules = 0;
        for (number, route) in self.routes.iter().enumerate() {
            let exact = route.path.strip_suffix('*').unwrap_or(&route.path);
            if !exact.starts_with('/') || exact.contains('*') {
                return invalid(format!("the path of route {number} is not `/a/b` or `/a/*`"));
            }
            check_text("routes", &route.path, 1024)?;
            Qualifier::parse(route.qualifier.as_deref())?;
            let is_method = |method: &String| {
                method.len() <= 16 && method.bytes().all(|b| b.is_ascii_uppercase())
            };
            if route.methods.len() > 16 || !route.methods.iter().all(is_method) {
                return invalid(format!("the methods of route {number} are no methods"));
            }
            let rewrite = Map::from_iter(route.rewrite.clone().map(|value| (String::new(), value)));
            check_extra(&rewrite)?;
            rules += match Rewrite::read(route.rewrite.as_ref()) {
                Ok(rewrite) => rewrite.len(),
                Err(why) => return invalid(format!("route {number}: {why}")),
            };
            if let Err(why) = GateLimits::read(route.limits.as_ref(), &[]) {
                return invalid(format!("route {number}: {why}"));
            }
            if rules > RULES_MAX {
                return invalid(format!("they have more than {RULES_MAX} rules for rewriting"));
            }
            if self.routes.iter().skip(number + 1).any(|other| other.path == route.path) {
                return invalid(format!("two routes have the path of route {number}"));
            }
        }
        Ok(())
    }
}

impl Domain {
    /// One of that name, in lower case, that nothing is known of but what its owner sets.
    pub(crate) fn of_settings(name: &str, settings: DomainSettings) -> Self {
        Self {
            name: name.to_owned(),
            settings,
            created_ms: 0,
            modified_ms: 0,
            revision: 0,
            table: Derived::default(),
        }
    }
}

impl Record for Domain {
    const COLLECTION: Collection = Collection("domain");
    const KIND: Kind = Kind::Domain;
    const PLURAL: &'static str = "custom domains";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn stamp(&mut self, revision: u64) {
        self.revision = revision;
    }

    fn table(catalog: &Catalog, _: &str) -> Result<Arc<Table<Self>>, RequestError> {
        Ok(catalog.domains.clone())
    }
}

impl Platform {
    /// Creates a custom domain. Durable on return.
    ///
    /// # Errors
    /// No name of a host, taken name, bad routes, quota; storage.
    pub async fn create_domain(
        &self,
        name: &str,
        settings: DomainSettings,
    ) -> Result<Domain, PlatformError> {
        let (name, now) = (host_name(name)?, self.inner().clock.now_ms());
        settings.check()?;
        let domain =
            Domain { created_ms: now, modified_ms: now, ..Domain::of_settings(&name, settings) };
        let catalog = &self.inner().catalog;
        self.writer().add_record(domain, catalog.quotas().domains, |_, _| Ok(())).await
    }

    /// A custom domain.
    ///
    /// # Errors
    /// No such domain.
    pub fn get_domain(&self, name: &str) -> Result<Domain, RequestError> {
        let name = name.to_ascii_lowercase();
        Ok(self.inner().catalog.record::<Domain>("", &name)?.as_ref().clone())
    }

    /// Whether there are custom domains at all.
    pub fn has_domains(&self) -> bool {
        !self.inner().catalog.domains.is_empty()
    }

    /// The custom domain that requests for a host are for: its name without a port, in any case, with or without the root's dot.
    pub fn domain_of(&self, host: &str) -> Option<Arc<Domain>> {
        let domains = &self.inner().catalog.domains;
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return domains.get(&host.to_ascii_lowercase());
        }
        domains.get(host)
    }

    /// Changes a custom domain. Durable on return.
    ///
    /// # Errors
    /// No such domain, bad routes, another revision than expected; storage.
    pub async fn update_domain(
        &self,
        name: &str,
        change: DomainChange,
    ) -> Result<Domain, PlatformError> {
        let (now, expect) = (self.inner().clock.now_ms(), change.expect);
        let apply = move |_: &Catalog, before: &Domain| {
            let mut domain = before.clone();
            set(&mut domain.settings.protocol, change.protocol.as_ref());
            set(&mut domain.settings.routes, change.routes.as_ref());
            set(&mut domain.settings.tls13_only, change.tls13_only.as_ref());
            if let Some(certificate) = change.certificate {
                domain.settings.certificate = Some(certificate);
            }
            merge(&mut domain.settings.extra, &change.extra);
            domain.modified_ms = now;
            domain.settings.check()?;
            Ok(domain)
        };
        let name = name.to_ascii_lowercase();
        self.writer().change_record("", &name, expect, apply).await
    }

    /// Deletes a custom domain. Durable on return.
    ///
    /// # Errors
    /// No such domain, another revision than expected; storage.
    pub async fn delete_domain(
        &self,
        name: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let name = name.to_ascii_lowercase();
        self.writer().remove_record::<Domain>("", &name, expect).await
    }

    /// Lists custom domains in order of name.
    ///
    /// # Errors
    /// A limit out of bounds.
    pub fn list_domains(&self, request: &ListRequest) -> Result<Page<Domain>, RequestError> {
        self.inner().catalog.domains.page(request, Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts() {
        assert_eq!(host_name("Shop.Example").unwrap(), "shop.example");
        let long = "a".repeat(64);
        for name in [
            "127.0.0.1",
            "localhost",
            "a.localhost",
            "7",
            "",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b",
            "a b",
            "a/b",
            "é.com",
            long.as_str(),
        ] {
            assert!(host_name(name).is_err(), "{name}");
        }
        assert!(host_name(&["abc"; 64].join(".")).is_err());
    }

    #[test]
    fn routes_are_checked() {
        let settings = |paths: &[&str]| DomainSettings {
            routes: paths
                .iter()
                .map(|path| DomainRoute {
                    path: (*path).to_owned(),
                    service: ServiceName::parse("s").unwrap(),
                    function: FunctionName::parse("f").unwrap(),
                    qualifier: None,
                    methods: vec!["GET".to_owned()],
                    rewrite: None,
                    limits: None,
                })
                .collect(),
            ..DomainSettings::default()
        };
        assert!(settings(&["/", "/a/*", "/a/b", "/*"]).check().is_ok());
        for paths in [&["a"][..], &[""], &["*"], &["/a*b"], &["/a/**"], &["/x", "/x"]] {
            assert!(settings(paths).check().is_err(), "{paths:?}");
        }
        let mut odd = settings(&["/"]);
        odd.routes[0].methods = vec!["get".to_owned()];
        assert!(odd.check().is_err());
        odd.routes[0].methods.clear();
        odd.routes[0].qualifier = Some("a/b".to_owned());
        assert!(odd.check().is_err());
    }
}
