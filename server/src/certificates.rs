//! The certificates of custom domains, as TLS is spoken with them: made ready when a client first asks for one, and anew when the
//! domain was changed.

use std::collections::HashMap;
use std::sync::Arc;

use hearth_platform::{DomainProtocol, Platform};
use parking_lot::Mutex;

use crate::http::{Certificates, Identity, MinVersion};

/// Domains whose certificates are held ready; with more, all are made anew as they are asked for.
const READY_MAX: usize = 1024;

/// The certificates of a platform's domains.
#[derive(Debug)]
pub(crate) struct DomainCertificates {
    platform: Platform,
    h2: bool,
    /// By domain.
    ready: Mutex<HashMap<String, Ready>>,
}

/// The revision of a domain, and what was made of it; none where it cannot be used.
type Ready = (u64, Option<Arc<Identity>>);

impl DomainCertificates {
    /// HTTP/2 is offered where `h2` says so.
    pub(crate) fn new(platform: Platform, h2: bool) -> Self {
        Self { platform, h2, ready: Mutex::default() }
    }

    fn make(&self, name: &str) -> Option<Ready> {
        let domain = self.platform.get_domain(name).ok()?;
        let settings = &domain.settings;
        let certificate = settings.certificate.as_ref();
        let certificate = certificate.filter(|_| settings.protocol != DomainProtocol::Http)?;
        let min = if settings.tls13_only { MinVersion::Tls13 } else { MinVersion::Tls12 };
        let identity = match self.platform.domain_identity(name, certificate) {
            Ok(None) => None,
            Ok(Some(kept)) => {
                let (chain, key) = (kept.chain.as_bytes(), kept.private_key.reveal().as_bytes());
                match Identity::from_pem(chain, key, min, self.h2) {
                    Ok(identity) => Some(Arc::new(identity)),
                    Err(error) => {
                        tracing::error!(domain = name, %error, "a certificate cannot be used");
                        None
                    }
                }
            }
            Err(error) => {
                tracing::error!(domain = name, %error, "a certificate cannot be used");
                None
            }
        };
        Some((domain.revision, identity))
    }
}

impl Certificates for DomainCertificates {
    fn find(&self, server_name: &str) -> Option<Arc<Identity>> {
        let revision = self.platform.domain_of(server_name).map(|domain| domain.revision);
        let mut ready = self.ready.lock();
        match (revision, ready.get(server_name)) {
            (None, None) => return None,
            (Some(revision), Some((of, identity))) if *of == revision => return identity.clone(),
            _ => {}
        }
        let Some((revision, identity)) = self.make(server_name) else {
            ready.remove(server_name);
            return None;
        };
        if ready.len() >= READY_MAX {
            ready.clear();
        }
        ready.insert(server_name.to_owned(), (revision, identity.clone()));
        identity
    }
}
