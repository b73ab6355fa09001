//! The JSON of services and functions in this dialect, both ways.
//!
//! Fields without effect here are kept as they came and given back; `kept_fields` lists them. Fields nobody knows are ignored, as the
//! official service does.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hearth_platform::{
    CodeUpload, Function, FunctionChange, FunctionSettings, LayerName, LayerRef, Page, Service,
    ServiceChange, ServiceSettings,
};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::arn;
use super::code::CodeBody;
use super::errors::WireError;
use super::json_names::canonical;
use super::kept_fields::{self, OF_FUNCTION, OF_SERVICE};

/// The runtimes that may be named. All run the WebAssembly in the package; the name is kept for clients that read it.
const RUNTIMES: [&str; 27] = [
    "wasm",
    "custom",
    "custom.debian10",
    "custom.debian11",
    "custom-container",
    "nodejs4.4",
    "nodejs6",
    "nodejs8",
    "nodejs10",
    "nodejs12",
    "nodejs14",
    "nodejs16",
    "nodejs18",
    "nodejs20",
    "python2.7",
    "python3",
    "python3.9",
    "python3.10",
    "java8",
    "java11",
    "go1",
    "php7.2",
    "dotnetcore2.1",
    "dotnetcore3.1",
    "wasi",
    "rust",
    "c",
];

/// What creates or changes a service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceBody {
    pub(super) service_name: Option<String>,
    description: Option<String>,
    role: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What creates or changes a function.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FunctionBody {
    pub(super) function_name: Option<String>,
    description: Option<String>,
    runtime: Option<String>,
    handler: Option<String>,
    code: Option<Object<CodeBody>>,
    memory_size: Option<u32>,
    timeout: Option<u32>,
    initializer: Option<String>,
    initialization_timeout: Option<u32>,
    environment_variables: Option<BTreeMap<String, String>>,
    instance_concurrency: Option<u32>,
    instance_type: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What must be an object: a struct is read from a list as well otherwise.
#[derive(Debug, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        serde_json::from_value(Value::Object(fields)).map(Self).map_err(D::Error::custom)
    }
}

/// Reads a request's JSON, whatever the case of its keys.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        WireError::invalid(format!("the request body is not valid JSON: {error}"))
    })?;
    if !value.is_object() {
        return Err(WireError::invalid("the request body is not a JSON object"));
    }
    serde_path_to_error::deserialize(canonical(value)).map_err(|error| {
        let (field, why) = (error.path().to_string(), error.inner());
        WireError::invalid(format!("{field} is set to an invalid value: {why}"))
    })
}

/// That a field is missing.
pub(super) fn required(field: &str) -> WireError {
    WireError::invalid(format!("{field} is required but not provided"))
}

/// The id of an instance as the dialect writes it.
pub(crate) fn instance_id(id: u64) -> String {
    instance_text(id).map(char::from).iter().collect()
}

/// The same without memory of its own: it is on every response.
pub(crate) fn instance_text(id: u64) -> [u8; 18] {
    let mut text = *b"c-0000000000000000";
    let (mut rest, mut places) = (id, text.iter_mut().rev());
    while rest > 0 {
        let digit = u32::try_from(rest & 15).ok().and_then(|digit| char::from_digit(digit, 16));
        if let (Some(place), Some(digit)) = (places.next(), digit) {
            *place = u8::try_from(digit).unwrap_or(b'0');
        }
        rest >>= 4;
    }
    text
}

/// The same for operations that need no body.
pub(super) fn parse_or_default<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, WireError> {
    if body.is_empty() { Ok(T::default()) } else { parse(body) }
}

impl ServiceBody {
    /// What it asks for that has no effect.
    pub(super) fn without_effect(&self) -> Vec<String> {
        kept_fields::without_effect(&OF_SERVICE.known(&self.rest))
    }

    /// The settings of a new service.
    pub(super) fn into_settings(self) -> Result<ServiceSettings, WireError> {
        Ok(ServiceSettings {
            description: self.description.unwrap_or_default(),
            role: self.role.unwrap_or_default(),
            extra: OF_SERVICE.of(self.rest)?,
        })
    }

    /// The change of one that exists: what is absent or null stays, except that an empty tracing configuration resets it.
    pub(super) fn into_change(self, expect: Option<u64>) -> Result<ServiceChange, WireError> {
        let mut extra = OF_SERVICE.of(self.rest)?;
        if let Some(tracing) = extra.get_mut("tracingConfig")
            && tracing.as_object().is_some_and(Map::is_empty)
        {
            *tracing = Value::Null;
        }
        Ok(ServiceChange { description: self.description, role: self.role, extra, expect })
    }
}

/// What a caller asks for that has no effect.
pub(super) struct WithoutEffect {
    fields: Vec<String>,
    /// More than one invocation at once in an instance: a matter of the code.
    asks_for_several: bool,
}

impl WithoutEffect {
    /// The fields, given what came of it.
    pub(super) fn on(mut self, function: &Function) -> Vec<String> {
        if self.asks_for_several && !function.serves_several() {
            self.fields.push("instanceConcurrency".to_owned());
            self.fields.sort_unstable();
        }
        self.fields
    }
}

impl FunctionBody {
    /// What it asks for that has no effect, whatever the code is.
    pub(super) fn without_effect(&self) -> WithoutEffect {
        let mut fields = kept_fields::without_effect(&OF_FUNCTION.known(&self.rest));
        if self.instance_type.as_deref().is_some_and(|class| !matches!(class, "" | "e1")) {
            fields.push("instanceType".to_owned());
        }
        let asks_for_several = self.instance_concurrency.is_some_and(|many| many > 1);
        WithoutEffect { fields, asks_for_several }
    }

    fn check_runtime(&self) -> Result<(), WireError> {
        match &self.runtime {
            Some(runtime) if !RUNTIMES.contains(&runtime.as_str()) => {
                let shown: String = runtime.chars().take(64).collect();
                Err(WireError::invalid(format!(
                    "Runtime is set to an invalid value (actual: '{}')",
                    shown.escape_debug()
                )))
            }
            _ => Ok(()),
        }
    }

    /// An image is no code that can run here; to take it and run something else would be a lie.
    fn refuse_image(&self) -> Result<(), WireError> {
        let config = self.rest.get("customContainerConfig");
        let image = config.and_then(|config| config.get("image")).and_then(Value::as_str);
        if image.is_some_and(|image| !image.is_empty()) {
            return Err(WireError::invalid(
                "customContainerConfig.image is set to an invalid value: container images do not run here; \
                 send WebAssembly in code.zipFile, or name an object",
            ));
        }
        Ok(())
    }

    fn take_code(&mut self) -> Result<Option<CodeUpload>, WireError> {
        let Some(Object(code)) = self.code.take() else { return Ok(None) };
        Ok(code.place()?.map(CodeUpload::from))
    }

    /// The layers it names, if it names any list of them. Their form was checked with that of the other fields.
    fn layers(extra: &Map<String, Value>) -> Result<Option<Vec<LayerRef>>, WireError> {
        let Some(names) = extra.get("layers").and_then(Value::as_array) else { return Ok(None) };
        let named = names.iter().filter_map(Value::as_str).filter_map(arn::parse_layer);
        let layers = named.map(|(name, version)| {
            let layer = LayerName::parse(name)?;
            Ok(LayerRef { layer, version, digest: String::new() })
        });
        layers.collect::<Result<_, WireError>>().map(Some)
    }

    fn take_extra(&mut self) -> Result<Map<String, Value>, WireError> {
        OF_FUNCTION.of(std::mem::take(&mut self.rest))
    }

    /// The settings and the code of a new function.
    pub(super) fn into_new(
        mut self,
        isolation: hearth_engine::Isolation,
    ) -> Result<(FunctionSettings, CodeUpload), WireError> {
        self.check_runtime()?;
        self.refuse_image()?;
        let code = self.take_code()?.ok_or_else(|| required("code"))?;
        let extra = self.take_extra()?;
        let layers = Self::layers(&extra)?.unwrap_or_default();
        let mut settings = FunctionSettings {
            runtime: self.runtime.ok_or_else(|| required("runtime"))?,
            handler: self.handler.ok_or_else(|| required("handler"))?,
            description: self.description.unwrap_or_default(),
            initializer: self.initializer.filter(|name| !name.is_empty()),
            environment: self.environment_variables.unwrap_or_default(),
            isolation,
            layers,
            extra,
            ..FunctionSettings::default()
        };
        settings.memory_mb = self.memory_size.unwrap_or(settings.memory_mb);
        settings.timeout_s = self.timeout.unwrap_or(settings.timeout_s);
        settings.initialization_timeout_s =
            self.initialization_timeout.unwrap_or(settings.initialization_timeout_s);
        settings.instance_concurrency =
            self.instance_concurrency.unwrap_or(settings.instance_concurrency);
        settings.instance_type = self.instance_type.unwrap_or(settings.instance_type);
        Ok((settings, code))
    }

    /// The change of one that exists: what is absent or null stays.
    pub(super) fn into_change(
        mut self,
        checksum: Option<u64>,
        expect: Option<u64>,
    ) -> Result<FunctionChange, WireError> {
        self.check_runtime()?;
        self.refuse_image()?;
        let code = self.take_code()?;
        let extra = self.take_extra()?;
        Ok(FunctionChange {
            layers: Self::layers(&extra)?,
            description: self.description,
            runtime: self.runtime,
            handler: self.handler,
            memory_mb: self.memory_size,
            timeout_s: self.timeout,
            initializer: self.initializer.map(|name| Some(name).filter(|name| !name.is_empty())),
            initialization_timeout_s: self.initialization_timeout,
            environment: self.environment_variables,
            instance_concurrency: self.instance_concurrency,
            instance_type: self.instance_type,
            extra,
            checksum: checksum.filter(|_| code.is_some()),
            code,
            expect,
            ..FunctionChange::default()
        })
    }
}

/// A moment as the dialect writes it: UTC, whole seconds.
pub(crate) fn time(ms: u64) -> String {
    humantime::format_rfc3339_seconds(moment(ms)).to_string()
}

/// The same to the millisecond.
pub(crate) fn time_ms(ms: u64) -> String {
    humantime::format_rfc3339_millis(moment(ms)).to_string()
}

/// Beyond the year 9999 there is no such text; a record that says so is shown at the end of time.
fn moment(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_000))
}

/// A service as JSON.
pub(super) fn service(service: &Service) -> Value {
    let settings = &service.settings;
    let mut log = json!({
        "project": "", "logstore": "", "enableRequestMetrics": false, "enableInstanceMetrics": false,
        "logBeginRule": "None",
    });
    lay_over(&mut log, settings.extra.get("logConfig"));
    let mut shown = json!({
        "serviceName": service.name.as_str(),
        "serviceId": service.id,
        "description": settings.description,
        "role": settings.role,
        "internetAccess": true,
        "vpcConfig": {"vpcId": "", "vSwitchIds": [], "securityGroupId": ""},
        "nasConfig": {"userId": -1, "groupId": -1, "mountPoints": []},
        "tracingConfig": {"type": null, "params": null},
        "createdTime": time(service.created_ms),
        "lastModifiedTime": time(service.modified_ms),
    });
    extend(&mut shown, &settings.extra);
    extend(&mut shown, &Map::from_iter([("logConfig".to_owned(), log)]));
    shown
}

/// A function as JSON.
pub(super) fn function(function: &Function) -> Value {
    let settings = &function.settings;
    let mut shown = json!({
        "functionName": function.name.as_str(),
        "functionId": function.id,
        "description": settings.description,
        "runtime": settings.runtime,
        "handler": settings.handler,
        "memorySize": settings.memory_mb,
        "timeout": settings.timeout_s,
        "initializer": settings.initializer.as_deref().unwrap_or_default(),
        "initializationTimeout": settings.initialization_timeout_s,
        "environmentVariables": settings.environment,
        "instanceConcurrency": settings.instance_concurrency,
        "instanceType": settings.instance_type,
        "codeSize": function.code.package_bytes,
        "codeChecksum": function.code.checksum.to_string(),
        "layers": [],
        "layersArnV2": [],
        "caPort": 9000,
        "createdTime": time(function.created_ms),
        "lastModifiedTime": time(function.modified_ms),
    });
    extend(&mut shown, &settings.extra);
    if let Some(names) = settings.extra.get("layers").and_then(Value::as_array) {
        let is_newer = |name: &&Value| name.as_str().is_some_and(|name| name.starts_with("acs:"));
        let newer: Value = names.iter().filter(is_newer).cloned().collect();
        extend(&mut shown, &Map::from_iter([("layersArnV2".to_owned(), newer)]));
    }
    shown
}

/// Lays fields over an object.
pub(super) fn extend(object: &mut Value, with: &Map<String, Value>) {
    if let Some(object) = object.as_object_mut() {
        object.extend(with.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}

/// Lays the fields of an object, if it is one, over another.
pub(super) fn lay_over(object: &mut Value, with: Option<&Value>) {
    if let Some(with) = with.and_then(Value::as_object) {
        extend(object, with);
    }
}

/// A page of a list: the items under their plural, and the token of the next page if one follows.
pub(super) fn page<T>(plural: &str, page: &Page<T>, item: impl Fn(&T) -> Value) -> Value {
    let mut shown = Map::new();
    shown.insert(plural.to_owned(), page.items.iter().map(item).collect());
    if let Some(next) = &page.next {
        shown.insert("nextToken".to_owned(), next.as_str().into());
    }
    Value::Object(shown)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
