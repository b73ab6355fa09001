//! Fields that are kept and given back and have no effect on WebAssembly: what each must look like, and telling who sets one.

use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::arn;
use super::errors::WireError;
use crate::http::Response;

/// Names the fields of a request that are kept without effect; our own.
const NO_EFFECT: HeaderName = HeaderName::from_static("x-hearth-no-effect");

/// What a field must be.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Object,
    Text,
    Flag,
    Number,
    Port,
    Layers,
}

impl Shape {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Object => value.is_object(),
            Self::Text => value.is_string(),
            Self::Flag => value.is_boolean(),
            Self::Number => value.as_f64().is_some_and(|number| number >= 0.0),
            Self::Port => value.as_u64().is_some_and(|port| (1..=65_535).contains(&port)),
            Self::Layers => value.as_array().is_some_and(|layers| {
                layers.iter().all(|layer| layer.as_str().and_then(arn::parse_layer).is_some())
            }),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Text => "a text",
            Self::Flag => "true or false",
            Self::Number => "a number from 0",
            Self::Port => "a port",
            Self::Layers => "a list of layer ARNs",
        }
    }
}

/// Fields of one kind of thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeptFields(&'static [(&'static str, Shape)]);

/// Those of a service.
pub(super) const OF_SERVICE: KeptFields = KeptFields(&[
    ("logConfig", Shape::Object),
    ("internetAccess", Shape::Flag),
    ("vpcConfig", Shape::Object),
    ("nasConfig", Shape::Object),
    ("tracingConfig", Shape::Object),
    ("ossMountConfig", Shape::Object),
    ("useSLRAuthentication", Shape::Flag),
    ("vendorConfig", Shape::Object),
]);

/// Those of an alias.
pub(super) const OF_ALIAS: KeptFields =
    KeptFields(&[("resolvePolicy", Shape::Text), ("routePolicy", Shape::Object)]);

/// Those of a domain.
pub(super) const OF_DOMAIN: KeptFields =
    KeptFields(&[("tlsConfig", Shape::Object), ("wafConfig", Shape::Object)]);

/// Those of a function.
pub(super) const OF_FUNCTION: KeptFields = KeptFields(&[
    ("caPort", Shape::Port),
    ("customContainerConfig", Shape::Object),
    ("layers", Shape::Layers),
    ("cpu", Shape::Number),
    ("diskSize", Shape::Number),
    ("gpuMemorySize", Shape::Number),
    ("instanceSoftConcurrency", Shape::Number),
    ("customRuntimeConfig", Shape::Object),
    ("customHealthCheckConfig", Shape::Object),
    ("customDNS", Shape::Object),
    ("instanceLifecycleConfig", Shape::Object),
]);

/// Fields that say nothing new at these values, that the guest's own exports decide about, or that have an effect elsewhere.
const SILENT: [&str; 4] = ["caPort", "instanceLifecycleConfig", "layers", "useSLRAuthentication"];

impl KeptFields {
    /// Those of the fields that a request sets; a null sets nothing.
    pub(super) fn of(self, mut rest: Map<String, Value>) -> Result<Map<String, Value>, WireError> {
        rest.retain(|name, value| !value.is_null() && self.shape(name).is_some());
        for (name, value) in &rest {
            match self.shape(name) {
                Some(shape) if !shape.fits(value) => {
                    let shape = shape.as_str();
                    return Err(WireError::invalid(format!(
                        "{name} is set to an invalid value: it is not {shape}"
                    )));
                }
                _ => {}
            }
        }
        Ok(rest)
    }

    /// Those of the fields that are here, as they are.
    pub(super) fn known(self, rest: &Map<String, Value>) -> Map<String, Value> {
        let known = rest.iter().filter(|(name, _)| self.shape(name).is_some());
        known.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn shape(self, name: &str) -> Option<Shape> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, shape)| *shape)
    }
}

/// The names of the fields that ask for something.
pub(super) fn without_effect(fields: &Map<String, Value>) -> Vec<String> {
    let asks = |(name, value): &(&String, &Value)| match name.as_str() {
        "internetAccess" => **value == Value::Bool(false),
        name => !SILENT.contains(&name) && !is_empty(value),
    };
    fields.iter().filter(asks).map(|(name, _)| name.clone()).collect()
}

/// Whether a value asks for nothing, as clients write it that send every field.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64().is_some_and(|number| number <= 0.0),
        Value::String(text) => text.is_empty() || text == "None",
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// Tells the caller and the operator which fields were kept without effect, once: when they are set.
pub(super) fn tell(mut response: Response, what: &str, fields: &[String]) -> Response {
    if fields.is_empty() {
        return response;
    }
    let fields = fields.join(", ");
    tracing::warn!(what, fields, "kept as asked, but without effect on WebAssembly");
    if let Ok(value) = HeaderValue::try_from(fields) {
        response.headers_mut().insert(NO_EFFECT, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn shapes_are_held_and_strangers_left_out() {
        let sent = object(json!({"vpcConfig": {"vpcId": "v"}, "nasConfig": null, "unknown": 7}));
        assert_eq!(OF_SERVICE.of(sent).unwrap(), object(json!({"vpcConfig": {"vpcId": "v"}})));
        for bad in [
            json!({"logConfig": 7}),
            json!({"vpcConfig": []}),
            json!({"internetAccess": "yes"}),
            json!({"tracingConfig": "x"}),
        ] {
            assert!(OF_SERVICE.of(object(bad.clone())).is_err(), "{bad}");
        }
        for bad in [
            json!({"caPort": 0}),
            json!({"caPort": 65_536}),
            json!({"cpu": -1}),
            json!({"diskSize": "512"}),
            json!({"layers": "x"}),
            json!({"layers": [7]}),
            json!({"layers": ["no-arn"]}),
        ] {
            assert!(OF_FUNCTION.of(object(bad.clone())).is_err(), "{bad}");
        }
        let layers = json!({"layers": ["acs:fc:r:1:layers/a/versions/2", "hash#a#2"], "cpu": 0.05});
        assert!(OF_FUNCTION.of(object(layers)).is_ok());
    }

    #[test]
    fn only_what_asks_for_something_is_told() {
        let told = |value| without_effect(&object(value));
        assert_eq!(
            told(json!({"vpcConfig": {"vpcId": "", "vSwitchIds": []}})),
            Vec::<String>::new()
        );
        assert_eq!(
            told(json!({"nasConfig": {"userId": -1, "groupId": -1, "mountPoints": []}})),
            Vec::<String>::new()
        );
        assert_eq!(told(json!({"internetAccess": true, "caPort": 9000})), Vec::<String>::new());
        assert_eq!(
            told(json!({"internetAccess": false, "vpcConfig": {"vpcId": "v"}})),
            ["internetAccess", "vpcConfig"]
        );
    }
}
