//! Access keys over the API: for the command line, and for whoever runs a server from another machine.

use std::time::Duration;

use hearth_platform::{AccessKey, KeyError, NewKey, OpenKey, Role, Secret};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::function_compute::errors::WireError;
use super::super::function_compute::json;
use super::wire::read_object;
use crate::app::App;
use crate::dialect::acting::Acting;
use crate::http::{Request, Response, read_body};

/// Longest body of a request about keys, in bytes.
const BODY_BYTES_MAX: u64 = 16 << 10;

/// What a new key shall be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateKey {
    /// What it may do.
    pub role: Role,
    /// The account that it acts for; that of the server unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The beginning that the names of its services have.
    #[serde(default)]
    pub services: String,
    /// Seconds that it lives; for good unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_s: Option<u64>,
}

/// How a secret is replaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateKey {
    /// Seconds that the secret before it still works.
    pub overlap_s: u64,
}

/// A key that was made or rotated, with what is told this once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeKey {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub access_key_secret: String,
    /// The account that it acts for.
    pub account_id: String,
    /// What requests with a temporary key carry as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_token: Option<String>,
    /// What it may do.
    pub role: Role,
    /// The beginning that the names of its services have.
    pub services: String,
}

impl MadeKey {
    /// Tells everything about a key.
    pub fn of(open: &OpenKey) -> Self {
        let secret = open.newest_secret();
        Self {
            access_key_id: open.key.id.to_string(),
            access_key_secret: secret.reveal().to_owned(),
            account_id: open.key.account.to_string(),
            security_token: open.token.as_ref().map(Secret::reveal).map(str::to_owned),
            role: open.key.role,
            services: open.key.services.clone(),
        }
    }
}

/// All keys, without secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeysReply {
    /// In the order of their ids.
    pub keys: Vec<AccessKey>,
}

pub(super) fn list(app: &App) -> Response {
    json(&serde_json::json!(KeysReply { keys: app.platform.keys().list() }))
}

pub(super) async fn create(app: &Acting<'_>, request: Request) -> Result<Response, WireError> {
    let wanted: CreateKey = read(app, request).await?;
    let account = wanted.account_id.unwrap_or_else(|| app.settings.account.clone());
    let mut new = NewKey::new(wanted.role, account);
    new.services = wanted.services;
    new.life = wanted.life_s.map(Duration::from_secs);
    let made = app.platform.keys().create(new, app.platform.origin()).await?;
    tracing::info!(key = %made.key.id, role = made.key.role.as_str(), "access key made");
    Ok(json(&serde_json::json!(MadeKey::of(&made))))
}

pub(super) async fn rotate(
    app: &Acting<'_>,
    id: &str,
    request: Request,
) -> Result<Response, WireError> {
    let RotateKey { overlap_s } = read(app, request).await?;
    let made = app
        .platform
        .keys()
        .rotate(id, Duration::from_secs(overlap_s), app.platform.origin())
        .await?;
    tracing::info!(key = %made.key.id, "access key rotated");
    Ok(json(&serde_json::json!(MadeKey::of(&made))))
}

pub(super) async fn revoke(app: &Acting<'_>, id: &str) -> Result<Response, WireError> {
    let key = app.platform.keys().revoke(id, app.platform.origin()).await?;
    tracing::info!(key = %key.id, "access key revoked");
    Ok(json(&serde_json::json!(key)))
}

async fn read<T: DeserializeOwned>(app: &App, request: Request) -> Result<T, WireError> {
    let timeout = app.settings.http.body_timeout.0;
    let (body, _held) =
        read_body(request.into_body(), BODY_BYTES_MAX, timeout, &app.bodies).await?;
    read_object(&body).map_err(|error| {
        WireError::invalid(format!("the request's JSON is not as expected: {error}"))
    })
}

impl From<KeyError> for WireError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "AccessKeyNotFound", error.to_string())
            }
            KeyError::Revoked { .. } => {
                Self::new(StatusCode::CONFLICT, "AccessKeyRevoked", error.to_string())
            }
            KeyError::Invalid { .. } => Self::invalid(error.to_string()),
            KeyError::TooMany => {
                Self::new(StatusCode::BAD_REQUEST, "LimitExceededError", error.to_string())
            }
            other => hearth_platform::PlatformError::from(other).into(),
        }
    }
}
