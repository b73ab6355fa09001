//! Links to a function's code that work with a plain GET for a while: path, time and digest under a keyed signature.
//!
//! The key is random and lives as long as the process; a restart ends all links.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::super::query::Query;

/// How long a link works.
const LIFETIME: Duration = Duration::from_secs(600);

/// Signs links and checks them.
pub struct CodeLinks {
    key: [u8; 32],
}

impl std::fmt::Debug for CodeLinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of logs.
        f.write_str("CodeLinks")
    }
}

/// What a link was signed for is not what is asked for, or its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadLink;

impl CodeLinks {
    /// With a fresh key.
    pub fn new() -> Self {
        let mut key = [0; 32];
        for half in key.chunks_mut(16) {
            half.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        }
        Self { key }
    }

    fn signature(
        &self,
        service: &str,
        function: &str,
        digest: &str,
        expires: u64,
    ) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        // Names have no line feeds, so no two links have the same text.
        mac.update(format!("{service}\n{function}\n{digest}\n{expires}").as_bytes());
        Some(mac)
    }

    /// Path and query of a link to the code with this digest.
    pub fn sign(&self, service: &str, function: &str, digest: &str) -> String {
        let expires = now() + LIFETIME.as_secs();
        let signature: String = self
            .signature(service, function, digest, expires)
            .map(|mac| {
                mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
            })
            .unwrap_or_default();
        format!(
            "/hearth/v1/code/{service}/{function}?digest={digest}&expires={expires}&signature={signature}"
        )
    }

    /// Path and query of a link to a version of a layer.
    pub fn sign_layer(&self, layer: &str, version: u64, digest: &str) -> String {
        let link = self.sign(&layer_of(layer), &version.to_string(), digest);
        // Signed for another place, so no link to a layer works for code, or the other way round.
        link.replacen("/hearth/v1/code/layer:", "/hearth/v1/layers/", 1)
    }

    /// The same as [`check`](Self::check) for a link to a version of a layer.
    pub(super) fn check_layer(
        &self,
        layer: &str,
        version: u64,
        query: Query<'_>,
    ) -> Result<String, BadLink> {
        self.check(&layer_of(layer), &version.to_string(), query)
    }

    /// Returns the digest that the link is for.
    pub(super) fn check(
        &self,
        service: &str,
        function: &str,
        query: Query<'_>,
    ) -> Result<String, BadLink> {
        let digest = query.get("digest").ok_or(BadLink)?;
        let expires: u64 = query.parse("expires").ok().flatten().ok_or(BadLink)?;
        let signature = query.get("signature").and_then(|text| bytes(&text)).ok_or(BadLink)?;
        let mac = self.signature(service, function, &digest, expires).ok_or(BadLink)?;
        // Compares in constant time.
        mac.verify_slice(&signature).map_err(|_| BadLink)?;
        if expires < now() { Err(BadLink) } else { Ok(digest.into_owned()) }
    }
}

impl Default for CodeLinks {
    fn default() -> Self {
        Self::new()
    }
}

/// A layer where a service is expected; no service has such a name.
fn layer_of(layer: &str) -> String {
    format!("layer:{layer}")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(links: &CodeLinks, link: &str) -> Result<String, BadLink> {
        let uri: http::Uri = link.parse().unwrap();
        links.check("s", "f", Query::of(&uri))
    }

    #[test]
    fn a_link_works_as_it_is_only() {
        let links = CodeLinks::new();
        let link = links.sign("s", "f", "abc");
        assert_eq!(check(&links, &link), Ok("abc".to_owned()));
        assert_eq!(check(&CodeLinks::new(), &link), Err(BadLink));
        assert_eq!(check(&links, &link.replace("abc", "abd")), Err(BadLink));
        assert_eq!(check(&links, &link.replace("expires=1", "expires=2")), Err(BadLink));
        assert_eq!(check(&links, &links.sign("s", "g", "abc")), Err(BadLink));
        assert_eq!(check(&links, &links.sign_layer("s", 1, "abc")), Err(BadLink));
        assert_eq!(check(&links, "/x?signature=+0&expires=9&digest=a"), Err(BadLink));
    }
}
