//! An address for people who start: a deployment that asks for one gets an HTTP trigger, unless there is one.

use hearth_platform::{
    Function, ListRequest, NewTrigger, Target, TriggerKind, TriggerName, TriggerSettings,
};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::super::function_compute::PREFIX;
use super::super::function_compute::errors::WireError;
use crate::dialect::acting::Acting;

/// The name of the trigger that a deployment makes.
const NAME: &str = "http";

/// Who may call, as a deployment says it.
///
/// # Errors
/// There is no such.
pub(super) fn auth_type(text: &str) -> Result<&'static str, WireError> {
    let known = ["anonymous", "function"].into_iter().find(|known| *known == text);
    known.ok_or_else(|| WireError::invalid("http is neither `anonymous` nor `function`"))
}

/// The function's address, with a trigger made for it if there was none.
pub(super) async fn ensure(
    app: &Acting<'_>,
    function: &Function,
    auth: &str,
    headers: &HeaderMap,
) -> Result<String, WireError> {
    let (service, name) = (function.service.as_str(), function.name.as_str());
    if app.platform.http_trigger(Target::latest(service, name)).is_err() {
        let methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];
        let config = Map::from_iter([
            ("authType".to_owned(), Value::from(auth)),
            ("methods".to_owned(), json!(methods)),
        ]);
        let settings = TriggerSettings { config, ..TriggerSettings::default() };
        let new = NewTrigger { name: TriggerName::parse(NAME)?, kind: TriggerKind::Http, settings };
        app.platform.create_trigger(service, name, new).await?;
    }
    Ok(format!("{}{PREFIX}/proxy/{service}/{name}/", app.url(headers)))
}

/// Takes away the trigger that a deployment made, if the function has no other; with others in the way it stays as well.
pub(super) async fn remove(app: &Acting<'_>, service: &str, name: &str) -> Result<(), WireError> {
    let request = ListRequest { limit: 2, ..ListRequest::default() };
    let Ok(page) = app.platform.list_triggers(service, name, &request) else { return Ok(()) };
    if let [only] = page.items.as_slice()
        && only.kind == TriggerKind::Http
        && only.name.as_str() == NAME
    {
        app.platform.delete_trigger(service, name, NAME, None).await?;
    }
    Ok(())
}
