//! A bucket behind an endpoint that speaks S3: the object services of Amazon, Alibaba (OSS) and Huawei (OBS) do, and so do others.
//!
//! Signing and retrying are the library's; its requests go out the way all requests of this process do, with the same TLS. No
//! credentials are looked for anywhere: without a key, requests are not signed.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hearth_engine::{FetchBounds, FetchError, SystemResolver, fetch};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpService,
};
use object_store::path::Path as ObjectPath;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientOptions, ObjectStoreExt, RetryConfig};

use super::name::check_bucket;
use super::{ObjectError, ObjectName};
use crate::key::Secret;

/// The most bytes of what a store said that are kept for the log.
const WHY_BYTES_MAX: usize = 512;

/// How an object is written.
const PUT: &str = "PUT";

/// The most that a store may answer to that.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Where a bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The store's address: `https://HOST` or `http://HOST`, with a port where it is not the scheme's.
    pub url: String,
    /// What the store calls the bucket.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The access key's id and secret; without one, requests are not signed.
    pub key: Option<(String, Secret)>,
    /// Whether the bucket stands before the host's name instead of in the path. OSS and OBS ask for that.
    pub bucket_in_host: bool,
}

/// A bucket that is read over the network.
#[derive(Debug)]
pub(crate) struct Remote {
    store: AmazonS3,
    timeout: Duration,
    limit_bytes: u64,
}

impl Remote {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// [`ObjectError::Misconfigured`] if address or bucket are not acceptable.
    pub(crate) fn new(
        name: &str,
        endpoint: Endpoint,
        timeout: Duration,
        limit_bytes: u64,
    ) -> Result<Self, ObjectError> {
        let wrong = |why: String| ObjectError::Misconfigured { bucket: name.to_owned(), why };
        check_bucket(&endpoint.bucket).map_err(|error| wrong(error.to_string()))?;
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
            max_retries: 2,
            retry_timeout: timeout,
        };
        let builder = AmazonS3Builder::new()
            .with_endpoint(address(&endpoint).map_err(wrong)?)
            .with_virtual_hosted_style_request(endpoint.bucket_in_host)
            .with_bucket_name(endpoint.bucket)
            .with_region(endpoint.region)
            .with_allow_http(true)
            .with_retry(retry)
            .with_http_connector(Outgoing(FetchBounds {
                time: timeout,
                response_bytes: limit_bytes,
            }));
        let builder = match endpoint.key {
            Some((id, secret)) => {
                builder.with_access_key_id(id).with_secret_access_key(secret.reveal())
            }
            None => builder.with_skip_signature(true),
        };
        let store = builder.build().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { store, timeout, limit_bytes })
    }

    /// Reads an object whole; larger ones than the limit are not read to their end.
    ///
    /// # Errors
    /// No such bucket or object, denied, too large, too slow, unreachable.
    pub(crate) async fn read(
        &self,
        object: &ObjectName,
        limit_bytes: u64,
    ) -> Result<Bytes, ObjectError> {
        let told = |error| self.told(object, limit_bytes, &error);
        let path = ObjectPath::parse(object.key())
            .map_err(|_| ObjectError::NoObject { object: object.to_string() })?;
        let found = self.store.get(&path).await.map_err(told)?;
        found.bytes().await.map_err(told)
    }

    /// Writes an object whole. The library signs where it goes, and it goes out as all requests do.
    ///
    /// # Errors
    /// No such bucket, denied, no access key to sign with, too slow, unreachable.
    pub(crate) async fn write(&self, object: &ObjectName, bytes: Bytes) -> Result<(), ObjectError> {
        let unavailable =
            |why: String| ObjectError::Unavailable { bucket: object.bucket().to_owned(), why };
        let unusable = |why: &dyn std::fmt::Display| unavailable(format!("its address: {why}"));
        let path = ObjectPath::parse(object.key())
            .map_err(|_| ObjectError::NoObject { object: object.to_string() })?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = PUT.parse().map_err(|error| unusable(&error))?;
        let signed = self.store.signed_url(request.method().clone(), &path, self.timeout).await;
        let signed = signed.map_err(|error| self.told(object, self.limit_bytes, &error))?;
        *request.uri_mut() = signed.as_str().parse().map_err(|error| unusable(&error))?;
        let bounds = FetchBounds { time: self.timeout, response_bytes: ANSWER_BYTES_MAX };
        let answer = fetch(Arc::new(SystemResolver), request.map(|_| bytes), bounds).await;
        let answer = answer.map_err(|error| unavailable(error.to_string()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let mut why = String::from_utf8_lossy(answer.body()).into_owned();
        why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
        Err(unavailable(format!("{}: {why}", answer.status())))
    }

    fn told(
        &self,
        object: &ObjectName,
        limit_bytes: u64,
        error: &object_store::Error,
    ) -> ObjectError {
        let bucket = object.bucket().to_owned();
        let mut why = error.to_string();
        why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
        match error {
            object_store::Error::NotFound { .. } if why.contains("NoSuchBucket") => {
                ObjectError::NoBucket { bucket }
            }
            object_store::Error::NotFound { .. } => {
                ObjectError::NoObject { object: object.to_string() }
            }
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => ObjectError::Denied { bucket, why },
            _ => match cause(error) {
                Some(FetchError::TooLarge { size_bytes, .. }) => ObjectError::TooLarge {
                    object: object.to_string(),
                    size_bytes: *size_bytes,
                    limit_bytes,
                },
                Some(FetchError::TooSlow) => ObjectError::TooSlow { bucket, limit: self.timeout },
                _ => ObjectError::Unavailable { bucket, why },
            },
        }
    }
}

/// The address in the form that the library expects.
fn address(endpoint: &Endpoint) -> Result<String, String> {
    let url = endpoint.url.trim_end_matches('/');
    let (scheme, host) = url.split_once("://").unwrap_or_default();
    if !matches!(scheme, "http" | "https") || host.is_empty() || host.contains(['/', '?', '#', '@'])
    {
        return Err(format!(
            "its url `{}` is not https://HOST or http://HOST, with a port if need be",
            endpoint.url.escape_debug()
        ));
    }
    Ok(match endpoint.bucket_in_host {
        true => format!("{scheme}://{}.{host}", endpoint.bucket),
        false => url.to_owned(),
    })
}

/// What stopped a request on its way, if that did.
fn cause(error: &object_store::Error) -> Option<&FetchError> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        source = error.source();
    }
    None
}

/// Sends the library's requests.
#[derive(Debug, Clone, Copy)]
struct Outgoing(FetchBounds);

impl HttpConnector for Outgoing {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(*self))
    }
}

#[async_trait]
impl HttpService for Outgoing {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // What is only read has no body.
        let request = request.map(|body| body.as_bytes().cloned().unwrap_or_default());
        let answer = fetch(Arc::new(SystemResolver), request, self.0).await;
        answer.map(|answer| answer.map(Into::into)).map_err(|error| {
            let kind = match error {
                FetchError::Unreachable { .. } => HttpErrorKind::Connect,
                // Not again: there is no time left, or it would be the same.
                FetchError::TooSlow | FetchError::TooLarge { .. } | FetchError::Address { .. } => {
                    HttpErrorKind::Unknown
                }
            };
            HttpError::new(kind, error)
        })
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
