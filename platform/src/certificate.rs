//! The certificate of a custom domain: checked when it is given, its private key sealed from then on.
//!
//! What is checked is what every client would: that it can be read, is of that key, names the domain, and is valid at the time. Whether
//! anybody trusts whoever signed it is between its owner and their clients.

use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use serde::{Deserialize, Serialize};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};

use crate::error::{PlatformError, RequestError};
use crate::key::{KeyError, Keys, Secret};
use crate::platform::Platform;

/// Most bytes of a certificate with its chain and of a private key, as PEM, and of its name.
const CHAIN_BYTES_MAX: usize = 64 << 10;
const KEY_BYTES_MAX: usize = 16 << 10;
const NAME_BYTES_MAX: usize = 256;

/// The field that errors are told of.
const FIELD: &str = "certificate";

/// A certificate as its owner gives it.
#[derive(Debug, Clone)]
pub struct NewCertificate {
    /// What its owner calls it.
    pub name: String,
    /// It and its chain as PEM, its own first. Empty for the name alone.
    pub chain: String,
    /// Its private key as PEM; none to keep the one that this certificate has.
    pub private_key: Option<Secret>,
}

/// A certificate as it is kept.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainCertificate {
    /// What its owner calls it.
    pub name: String,
    /// It and its chain as PEM; empty if there is the name alone.
    pub chain: String,
    /// Its private key as PEM, sealed for the domain.
    sealed_key: Option<String>,
}

impl std::fmt::Debug for DomainCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DomainCertificate").field("name", &self.name).finish_non_exhaustive()
    }
}

impl DomainCertificate {
    /// Whether a private key is kept with it.
    pub(crate) fn has_key(&self) -> bool {
        self.sealed_key.is_some()
    }

    /// Whether its private key, if it has one, opens with the sealing key and is this certificate's. Its name and time are not looked at.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(crate) fn verify(&self, domain: &str, keys: &Keys) -> Result<(), String> {
        let Some(sealed) = &self.sealed_key else { return Ok(()) };
        let told = |why: String| {
            format!(
                "the certificate of domain '{domain}' cannot be used: {why}; give the domain a certificate with its key again"
            )
        };
        let key =
            keys.unseal_for(&owner(domain), sealed).map_err(|error| told(error.to_string()))?;
        fitting(&self.chain, key.reveal()).map(drop).map_err(|error| told(error.to_string()))
    }
}

/// What TLS is spoken with for a domain.
#[derive(Debug, Clone)]
pub struct DomainIdentity {
    /// The certificate and its chain as PEM.
    pub chain: String,
    /// The private key as PEM.
    pub private_key: Secret,
}

/// Whose secret it is, for the seal.
fn owner(domain: &str) -> String {
    format!("domain {domain}")
}

impl Platform {
    /// Checks a certificate for a domain and seals its private key. Without one the domain must have that certificate already.
    ///
    /// # Errors
    /// One of both cannot be read, they do not belong together, it is not for that domain or not valid now; the key cannot be sealed.
    pub fn seal_certificate(
        &self,
        domain: &str,
        new: NewCertificate,
    ) -> Result<DomainCertificate, PlatformError> {
        let domain = domain.to_ascii_lowercase();
        let before = self.get_domain(&domain).ok().and_then(|found| found.settings.certificate);
        let NewCertificate { name, chain, private_key } = new;
        if name.len() > NAME_BYTES_MAX {
            return Err(invalid("its name is too long; the limit is 256 bytes").into());
        }
        let sealed_key = match (private_key, before) {
            (Some(key), _) => {
                check(&domain, &chain, key.reveal(), self.inner().clock.now_ms())?;
                let sealed = self.inner().keys.seal_for(&owner(&domain), key.reveal());
                Some(sealed.map_err(|error| failed(&error))?)
            }
            (None, _) if chain.is_empty() => None,
            (None, Some(before)) if before.chain == chain => before.sealed_key,
            (None, _) => return Err(invalid("its private key is missing").into()),
        };
        Ok(DomainCertificate { name, chain, sealed_key })
    }

    /// What TLS is spoken with for a certificate of a domain; none if it has no private key.
    ///
    /// # Errors
    /// The private key does not open with the sealing key.
    pub fn domain_identity(
        &self,
        domain: &str,
        certificate: &DomainCertificate,
    ) -> Result<Option<DomainIdentity>, PlatformError> {
        let Some(sealed) = &certificate.sealed_key else { return Ok(None) };
        let private_key =
            self.inner().keys.unseal_for(&owner(domain), sealed).map_err(|error| failed(&error))?;
        Ok(Some(DomainIdentity { chain: certificate.chain.clone(), private_key }))
    }
}

fn failed(error: &KeyError) -> PlatformError {
    PlatformError::Failure { what: "sealing the private key of a domain", why: error.to_string() }
}

fn invalid(why: impl Into<String>) -> RequestError {
    RequestError::invalid(FIELD, why.into())
}

/// Checks that both fit together and the domain.
fn check(domain: &str, chain: &str, key: &str, now_ms: u64) -> Result<(), RequestError> {
    for (what, text, limit) in
        [("it", chain, CHAIN_BYTES_MAX), ("its private key", key, KEY_BYTES_MAX)]
    {
        if text.len() > limit {
            return Err(invalid(format!("{what} is over the limit of {limit} bytes")));
        }
    }
    let certificates = fitting(chain, key)?;
    let own = certificates.first().ok_or_else(|| invalid("it is no certificate as PEM"))?;
    let own = EndEntityCert::try_from(own).map_err(|why| unreadable(&why))?;
    let name = ServerName::try_from(domain).map_err(|_| invalid("the domain has no such name"))?;
    own.verify_is_valid_for_subject_name(&name)
        .map_err(|_| invalid(format!("it is not for `{domain}`")))?;
    let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms));
    let usage = KeyUsage::server_auth();
    match own.verify_for_usage(ALL_VERIFICATION_ALGS, &[], &[], now, usage, None, None) {
        Err(webpki::Error::CertExpired { .. }) => Err(invalid("it has expired")),
        Err(webpki::Error::CertNotValidYet { .. }) => Err(invalid("it is not valid yet")),
        Err(webpki::Error::RequiredEkuNotFoundContext(_)) => Err(invalid("it is not for servers")),
        // Nobody is trusted here, so every good one ends in an unknown issuer.
        _ => Ok(()),
    }
}

/// A certificate and its chain, which can be read and belong together with the key.
fn fitting(chain: &str, key: &str) -> Result<Vec<CertificateDer<'static>>, RequestError> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let certificates = certificates.unwrap_or_default();
    let own = certificates.first().ok_or_else(|| invalid("it is no certificate as PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| invalid("its private key is none as PEM"))?;
    EndEntityCert::try_from(own).map_err(|why| unreadable(&why))?;
    CertifiedKey::from_der(certificates.clone(), key, &default_provider()).map_err(|why| {
        match why {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                invalid("its private key is that of another certificate")
            }
            // The text of an error here speaks of kinds of keys, never of their bytes.
            other => invalid(format!("its private key cannot be used: {other}")),
        }
    })?;
    Ok(certificates)
}

fn unreadable(why: &webpki::Error) -> RequestError {
    invalid(format!("it cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

    use super::*;

    /// 2026, in milliseconds.
    const NOW: u64 = 1_780_000_000_000;

    fn made(names: &[&str], years: (i32, i32), usage: &[ExtendedKeyUsagePurpose]) -> [String; 2] {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        params.extended_key_usages = usage.to_vec();
        let key = KeyPair::generate().unwrap();
        [params.self_signed(&key).unwrap().pem(), key.serialize_pem()]
    }

    #[test]
    fn a_certificate_is_for_its_domain_its_key_and_its_time() {
        let [good, key] = made(&["a.example", "*.b.example"], (2025, 2030), &[]);
        for domain in ["a.example", "x.b.example"] {
            check(domain, &good, &key, NOW).unwrap();
        }
        let told = |domain: &str, chain: &str, key: &str| {
            check(domain, chain, key, NOW).unwrap_err().to_string()
        };
        let [other, other_key] = made(&["a.example"], (2025, 2030), &[]);
        assert!(told("a.example", &good, &other_key).contains("another certificate"));
        check("a.example", &(other + &good), &other_key, NOW).unwrap();
        for domain in ["c.example", "b.example", "x.y.b.example"] {
            assert!(told(domain, &good, &key).contains("is not for"), "{domain}");
        }
        let [old, old_key] = made(&["a.example"], (2020, 2021), &[]);
        assert!(told("a.example", &old, &old_key).contains("expired"));
        let [early, early_key] = made(&["a.example"], (2030, 2031), &[]);
        assert!(told("a.example", &early, &early_key).contains("not valid yet"));
        let client = [ExtendedKeyUsagePurpose::ClientAuth];
        let [client, client_key] = made(&["a.example"], (2025, 2030), &client);
        assert!(told("a.example", &client, &client_key).contains("not for servers"));
    }

    #[tokio::test]
    async fn a_key_that_is_kept_opens_and_belongs_to_its_certificate() {
        let home = tempfile::tempdir().unwrap();
        let platform = crate::tests::open(home.path()).await;
        let [chain, key] = made(&["a.example"], (2025, 2090), &[]);
        let new =
            NewCertificate { name: String::new(), chain, private_key: Some(Secret::new(key)) };
        let kept = platform.seal_certificate("a.example", new).unwrap();
        let keys = &platform.inner().keys;
        kept.verify("a.example", keys).unwrap();
        let elsewhere = kept.verify("b.example", keys).unwrap_err();
        assert!(elsewhere.contains("b.example"), "it was sealed for another domain: {elsewhere}");
        let [other, _] = made(&["a.example"], (2025, 2090), &[]);
        let mixed = DomainCertificate { chain: other, ..kept };
        let why = mixed.verify("a.example", keys).unwrap_err();
        assert!(why.contains("another certificate") && why.contains("a.example"), "{why}");
    }

    #[test]
    fn what_is_none_is_told_without_its_text() {
        let [good, key] = made(&["a.example"], (2025, 2030), &[]);
        let broken = good.replacen("M", "N", 2);
        let large = good.repeat(200);
        for (chain, key) in [
            ("", key.as_str()),
            ("secret", &key),
            (&key, &key),
            (&broken, &key),
            (&large, &key),
            (&good, ""),
            (&good, "secret"),
            (&good, &good),
        ] {
            let told = check("a.example", chain, key, NOW).unwrap_err().to_string();
            assert!(!told.contains("secret") && !told.contains("BEGIN"), "{told}");
        }
    }
}
