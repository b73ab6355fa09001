//! The server's state in the hand of whoever sent a request. Handlers that change anything take this in place of [`App`], whose own
//! platform knows of no caller: made in one place for each dialect, once it is known who calls.

use std::ops::Deref;

use hearth_platform::Platform;

use super::auth::Caller;
use crate::app::App;
use crate::http::Exchange;

/// The server's state and a platform that knows on whose behalf it is used.
#[derive(Debug)]
pub(super) struct Acting<'a> {
    app: &'a App,
    /// In place of the application's own: what is changed through it is in the audit trail under the caller's name.
    pub(super) platform: Platform,
}

impl<'a> Acting<'a> {
    /// For one request.
    pub(super) fn new(app: &'a App, caller: &Caller, exchange: &Exchange) -> Self {
        let origin = caller.origin().in_request(exchange.request_id.clone());
        Self { app, platform: app.platform.by(origin) }
    }
}

impl Deref for Acting<'_> {
    type Target = App;

    fn deref(&self) -> &App {
        self.app
    }
}
