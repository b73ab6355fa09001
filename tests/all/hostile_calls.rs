//! Every call of the Function Compute API and of our own with everything that it takes, filled in as it may be: what `hostile` fills in otherwise.

use std::sync::LazyLock;

use base64::Engine as _;
use hearth_tests::{Certificate, guest};
use serde_json::{Value, json};

/// One call with all its fields.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    /// After the prefix of the dialect, or all of it where it is our own; names are in braces.
    pub(super) path: &'static str,
    /// Name, a value that is fine, and whether any text is.
    pub(super) query: Vec<(&'static str, &'static str, Text)>,
    pub(super) headers: Vec<(&'static str, &'static str, Text)>,
    pub(super) body: Value,
    /// Fields that must be there.
    pub(super) required: &'static [&'static str],
    /// Fields whose insides are the caller's own: any JSON, within bounds.
    pub(super) opaque: &'static [&'static str],
    /// The field of an answer that names what was made, which is removed under this path and that name.
    pub(super) undo: Option<(&'static str, &'static str)>,
}

/// Whether a text of a query or a header means something to the server only in some forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Any,
    Strict,
}

use Text::{Any, Strict};

const KEPT_OF_SERVICE: &[&str] = &[
    "/logConfig",
    "/vpcConfig",
    "/nasConfig",
    "/tracingConfig",
    "/ossMountConfig",
    "/vendorConfig",
];
const KEPT_OF_FUNCTION: &[&str] = &[
    "/customContainerConfig",
    "/customRuntimeConfig",
    "/customHealthCheckConfig",
    "/customDNS",
    "/instanceLifecycleConfig",
];
const PAGE: [(&str, &str, Text); 4] =
    [("limit", "5", Strict), ("prefix", "a", Any), ("startKey", "a", Any), ("nextToken", "a", Any)];

fn call(method: &'static str, path: &'static str, body: Value) -> Call {
    let headers = match method {
        "GET" => vec![("if-none-match", "\"x\"", Any)],
        "PUT" | "DELETE" => vec![("if-match", "", Strict)],
        _ => Vec::new(),
    };
    let (query, required, opaque, undo) = (Vec::new(), &[][..], &[][..], None);
    Call { method, path, query, headers, body, required, opaque, undo }
}

fn get(path: &'static str) -> Call {
    call("GET", path, Value::Null)
}

fn list(path: &'static str) -> Call {
    get(path).query(&PAGE)
}

impl Call {
    fn query(mut self, more: &[(&'static str, &'static str, Text)]) -> Self {
        self.query.extend(more);
        self
    }

    fn headers(mut self, more: &[(&'static str, &'static str, Text)]) -> Self {
        self.headers.extend(more);
        self
    }

    /// What is said of a function in a header of our own.
    pub(super) fn of_settings(settings: Value) -> Self {
        call("PUT", "/hearth/v1/functions/{s}/{f}", settings)
    }

    /// It has no entity tag that could be matched.
    fn untagged(mut self) -> Self {
        self.headers.retain(|(name, ..)| *name != "if-match");
        self.headers(&[("if-match", "", Any)])
    }

    fn needs(self, required: &'static [&'static str]) -> Self {
        Self { required, ..self }
    }

    fn keeps(self, opaque: &'static [&'static str]) -> Self {
        Self { opaque, ..self }
    }

    fn undone(self, path: &'static str, field: &'static str) -> Self {
        Self { undo: Some((path, field)), ..self }
    }

    /// The fields of the body, as JSON pointers: every one at every depth, but not inside what is opaque.
    pub(super) fn fields(&self) -> Vec<String> {
        fn walk(at: &str, value: &Value, opaque: &[&str], found: &mut Vec<String>) {
            if opaque.contains(&at) {
                return;
            }
            let children: Vec<(String, &Value)> = match value {
                Value::Object(fields) => {
                    let name = |name: &String| name.replace('~', "~0").replace('/', "~1");
                    fields.iter().map(|(key, value)| (name(key), value)).collect()
                }
                Value::Array(items) => {
                    items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
                }
                _ => Vec::new(),
            };
            for (name, child) in children {
                let at = format!("{at}/{name}");
                found.push(at.clone());
                walk(&at, child, opaque, found);
            }
        }
        let mut found = Vec::new();
        walk("", &self.body, self.opaque, &mut found);
        found
    }
}

fn zip_of(name: &str, bytes: &[u8]) -> String {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    base64::prelude::BASE64_STANDARD.encode(zip.finish().unwrap().into_inner())
}

fn with(mut body: Value, more: Value) -> Value {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

fn service_fields() -> Value {
    json!({
        "description": "d", "role": "acs:ram::1:role/r", "internetAccess": true,
        "logConfig": {"project": "p", "logstore": "l", "enableRequestMetrics": true, "enableInstanceMetrics": true},
        "vpcConfig": {"vpcId": "v", "vSwitchIds": ["a"], "securityGroupId": "g", "role": "r"},
        "nasConfig": {"userId": 1, "groupId": 1, "mountPoints": [{"serverAddr": "a:/", "mountDir": "/mnt"}]},
        "tracingConfig": {"type": "Jaeger", "params": {"endpoint": "e"}},
        "ossMountConfig": {"mountPoints": []}, "vendorConfig": {"a": "b"}, "useSLRAuthentication": true,
    })
}

fn function_fields() -> Value {
    let code = json!({"zipFile": zip_of("main.wasm", &guest("wat-echo"))});
    json!({
        "runtime": "wasm", "handler": "handle", "description": "d", "timeout": 3, "memorySize": 128, "code": code,
        "initializer": "i", "initializationTimeout": 3, "environmentVariables": {"A": "b"}, "instanceConcurrency": 1,
        "instanceType": "e1", "caPort": 9000, "layers": ["acs:fc:local:0:layers/l/versions/1"], "cpu": 0.5, "diskSize": 512,
        "gpuMemorySize": 0, "instanceSoftConcurrency": 1, "customContainerConfig": {"args": "a"},
        "customRuntimeConfig": {"command": ["a"]}, "customHealthCheckConfig": {"failureThreshold": 3},
        "customDNS": {"nameServers": ["1.1.1.1"]}, "instanceLifecycleConfig": {"preStop": {"handler": "h", "timeout": 3}},
    })
}

fn services() -> Vec<Call> {
    let made = with(service_fields(), json!({"serviceName": "new"}));
    vec![
        call("POST", "/services", made)
            .needs(&["/serviceName"])
            .keeps(KEPT_OF_SERVICE)
            .undone("/services", "serviceName"),
        list("/services").query(&[("tag_a", "b", Any)]),
        get("/services/{s}"),
        call("PUT", "/services/{s}", service_fields()).keeps(KEPT_OF_SERVICE),
        call("POST", "/services/{s}/versions", json!({"description": "d"})),
        list("/services/{s}/versions").query(&[("direction", "FORWARD", Strict)]),
        list("/services/{s}/aliases"),
        call("POST", "/services/{s}/aliases", with(alias_fields(), json!({"aliasName": "new"})))
            .needs(&["/aliasName", "/versionId"])
            .keeps(&["/routePolicy"])
            .undone("/services/s/aliases", "aliasName"),
        get("/services/{s}/aliases/{prod}"),
        call("PUT", "/services/{s}/aliases/{prod}", alias_fields()).keeps(&["/routePolicy"]),
        get("/services/{s}/bindings"),
        call("POST", "/services/{s}/bindings", json!({"vpcId": "new"})).needs(&["/vpcId"]),
        get("/services/{s}/binding"),
        call("POST", "/services/{s}/binding", json!({"vpcId": "new"})).needs(&["/vpcId"]),
        call("DELETE", "/services/{s}/bindings/{none}", Value::Null),
        call("DELETE", "/services/{s}/binding/{none}", Value::Null),
        call("DELETE", "/services/{none}", Value::Null),
        call("DELETE", "/services/{s}/versions/{99}", Value::Null),
        call("DELETE", "/services/{s}/aliases/{none}", Value::Null),
    ]
}

fn alias_fields() -> Value {
    json!({
        "versionId": "1", "description": "d", "additionalVersionWeight": {"1": 0.5}, "resolvePolicy": "Random",
        "routePolicy": {"condition": "AND", "rules": []},
    })
}

fn functions() -> Vec<Call> {
    let checksum = [("x-fc-code-checksum", "", Strict)];
    let made = with(function_fields(), json!({"functionName": "new"}));
    let trigger = json!({
        "triggerConfig": {"cronExpression": "@every 1h", "enable": true, "payload": "p"}, "invocationRole": "r",
        "qualifier": "LATEST", "description": "d",
    });
    let new_trigger = with(
        trigger.clone(),
        json!({"triggerName": "new", "triggerType": "timer", "sourceArn": "a"}),
    );
    let web = json!({
        "authType": "anonymous", "methods": ["GET"], "disableURLInternet": false,
        "hearth": {"rate": 5, "burst": 5, "maxInFlight": 2, "queue": 1, "queueWaitMs": 5},
    });
    let web = json!({"triggerName": "new", "triggerType": "http", "triggerConfig": web, "qualifier": "1"});
    vec![
        call("POST", "/services/{s}/functions", made)
            .needs(&["/functionName", "/runtime", "/handler", "/code", "/code/zipFile"])
            .keeps(KEPT_OF_FUNCTION)
            .headers(&checksum)
            .undone("/services/s/functions", "functionName"),
        list("/services/{s}/functions"),
        get("/services/{s}/functions/{f}"),
        call("PUT", "/services/{s}/functions/{f}", function_fields())
            .keeps(KEPT_OF_FUNCTION)
            .headers(&checksum),
        get("/services/{s}/functions/{f}/code"),
        call("DELETE", "/services/{s}/functions/{none}", Value::Null),
        call("POST", "/services/{s}/functions/{f}/invocations", Value::Null).headers(&[
            ("x-fc-invocation-type", "Sync", Strict),
            ("x-fc-log-type", "Tail", Strict),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Any),
        ]),
        list("/services/{s}/functions/{f}/triggers"),
        call("POST", "/services/{s}/functions/{f}/triggers", new_trigger)
            .needs(&[
                "/triggerName",
                "/triggerType",
                "/triggerConfig",
                "/triggerConfig/cronExpression",
            ])
            .undone("/services/s/functions/f/triggers", "triggerName"),
        call("POST", "/services/{s}/functions/{f}/triggers", web)
            .needs(&["/triggerName", "/triggerType", "/triggerConfig", "/triggerConfig/methods"])
            .undone("/services/s/functions/f/triggers", "triggerName"),
        get("/services/{s}/functions/{f}/triggers/{t}"),
        call("PUT", "/services/{s}/functions/{f}/triggers/{t}", trigger)
            .needs(&["/triggerConfig/cronExpression"]),
        call("DELETE", "/services/{s}/functions/{f}/triggers/{none}", Value::Null),
    ]
}

fn how_they_run() -> Vec<Call> {
    let told = json!({"destination": "acs:fc:local:0:services/s/functions/other"});
    let config = json!({
        "destinationConfig": {"onSuccess": told, "onFailure": told}, "maxAsyncEventAgeInSeconds": 60,
        "maxAsyncRetryAttempts": 1, "statefulInvocation": true,
    });
    let (from, until) = ("2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z");
    let provision = json!({
        "target": 0, "alwaysAllocateCPU": true,
        "scheduledActions": [{
            "name": "a", "startTime": from, "endTime": until, "target": 1, "scheduleExpression": "cron(0 0 4 * * *)",
        }],
        "targetTrackingPolicies": [{
            "name": "b", "startTime": from, "endTime": until, "metricType": "ProvisionedConcurrencyUtilization",
            "metricTarget": 0.6, "minCapacity": 1, "maxCapacity": 5,
        }],
    });
    let stateful: &[(&str, &str, Text)] = &[
        ("limit", "5", Strict),
        ("status", "Running", Strict),
        ("includePayload", "true", Strict),
        ("startedTimeBegin", "1", Strict),
        ("startedTimeEnd", "2", Strict),
        ("sortOrderByTime", "asc", Strict),
        ("invocationIdPrefix", "a", Any),
        ("nextToken", "a", Any),
    ];
    let async_headers = [
        ("x-fc-invocation-type", "Async", Strict),
        ("x-fc-stateful-async-invocation-id", "", Any),
        ("x-fc-stateful-async-invocation-enable", "false", Strict),
    ];
    vec![
        call("POST", "/services/{s}/functions/{f}/invocations", Value::Null)
            .headers(&async_headers),
        get("/services/{s.prod}/functions/{f}/on-demand-config"),
        call(
            "PUT",
            "/services/{s.prod}/functions/{f}/on-demand-config",
            json!({"maximumInstanceCount": 5}),
        )
        .needs(&["/maximumInstanceCount"]),
        call("DELETE", "/services/{s.none}/functions/{f}/on-demand-config", Value::Null),
        get("/services/{s.prod}/functions/{f}/provision-config"),
        call("PUT", "/services/{s.prod}/functions/{f}/provision-config", provision)
            .needs(&["/target"]),
        get("/services/{s.prod}/functions/{f}/async-invoke-config"),
        call("PUT", "/services/{s.prod}/functions/{f}/async-invoke-config", config).untagged(),
        call("DELETE", "/services/{s.none}/functions/{f}/async-invoke-config", Value::Null),
        list("/services/{s}/functions/{f}/async-invoke-configs"),
        get("/services/{s}/functions/{f}/stateful-async-invocations").query(stateful),
        get("/services/{s}/functions/{f}/stateful-async-invocations/{none}"),
        call("PUT", "/services/{s}/functions/{f}/stateful-async-invocations/{none}", Value::Null),
        get("/services/{s}/functions/{f}/instances")
            .query(&[("limit", "5", Strict), ("instanceIds", "a", Any)]),
        get("/stateful-async-invocation-functions")
            .query(&[("limit", "5", Strict), ("nextToken", "a", Any)]),
        list("/on-demand-configs"),
        list("/provision-configs").query(&[("serviceName", "s", Any), ("qualifier", "prod", Any)]),
        get("/reservedCapacities"),
        get("/account-settings"),
    ]
}

fn what_belongs_to_no_service() -> Vec<Call> {
    let route = json!({
        "path": "/a/*", "serviceName": "s", "functionName": "f", "qualifier": "prod", "methods": ["GET"], "rewriteConfig": {"a": []},
        "hearth": {"rate": 5, "burst": 9, "maxInFlight": 2, "queue": 1, "queueWaitMs": 10},
    });
    static CERTIFICATE: LazyLock<Certificate> =
        LazyLock::new(|| Certificate::of(&["a.example", "new.example"]));
    let certificate = &*CERTIFICATE;
    let domain = json!({
        "protocol": "HTTP", "routeConfig": {"routes": [route]},
        "certConfig": {"certName": "c", "certificate": certificate.pem, "privateKey": certificate.key},
        "tlsConfig": {"minVersion": "TLSv1.2"}, "wafConfig": {"enableWAF": true},
    });
    let kept = &[
        "/tlsConfig",
        "/wafConfig",
        "/routeConfig/routes/0/rewriteConfig",
        "/routeConfig/routes/0/hearth",
    ];
    let new_domain = with(domain.clone(), json!({"domainName": "new.example"}));
    let layer = json!({"description": "d", "compatibleRuntime": ["wasm"], "code": {"zipFile": zip_of("a", b"a")}});
    let arn = "/layerarn/{acs%3Afc%3Alocal%3A0%3Alayers%2Fl%2Fversions%2F1}";
    vec![
        list("/custom-domains"),
        call("POST", "/custom-domains", new_domain)
            .needs(&["/domainName"])
            .keeps(kept)
            .undone("/custom-domains", "domainName"),
        get("/custom-domains/{a.example}"),
        call("PUT", "/custom-domains/{a.example}", domain).keeps(kept),
        call("DELETE", "/custom-domains/{none.example}", Value::Null),
        get("/tag").query(&[("resourceArn", "services/s", Strict)]),
        call("POST", "/tag", json!({"resourceArn": "services/s", "tags": {"a": "b"}}))
            .needs(&["/resourceArn", "/tags"]),
        call(
            "DELETE",
            "/tag",
            json!({"resourceArn": "services/s", "tagKeys": ["none"], "all": false}),
        )
        .untagged()
        .needs(&["/resourceArn", "/tagKeys"]),
        list("/layers").query(&[("official", "false", Strict), ("public", "true", Strict)]),
        get("/layers/{l}/versions").query(&[("limit", "5", Strict), ("startVersion", "5", Strict)]),
        call("POST", "/layers/{new}/versions", layer)
            .needs(&["/code", "/code/zipFile"])
            .headers(&[("x-fc-code-checksum", "", Strict)]),
        get("/layers/{l}/versions/{1}"),
        call("DELETE", "/layers/{l}/versions/{99}", Value::Null),
        call("PUT", "/layers/{l}/acl", Value::Null).untagged().query(&[("public", "true", Strict)]),
        get(arn),
    ]
}

fn our_own() -> Vec<Call> {
    let settings = [("x-hearth-settings", "{\"memory\":\"128MiB\"}", Strict)];
    let of_function = [("function", "s/f", Any), ("limit", "5", Strict)];
    let key = json!({"role": "invoke", "accountId": "1", "services": "a", "lifeS": 60});
    let audit = [
        ("since", "2030-01-31T12:00:00Z", Strict),
        ("until", "2030-01-31T12:00:00Z", Strict),
        ("who", "local", Any),
        ("what", "service", Any),
        ("order", "oldest", Strict),
        ("from", "1", Strict),
        ("limit", "5", Strict),
    ];
    vec![
        get("/hearth/v1/functions"),
        get("/hearth/v1/functions/{s}/{f}"),
        call("PUT", "/hearth/v1/functions/{s}/{f}", Value::Null).untagged().headers(&settings),
        call("DELETE", "/hearth/v1/functions/{s}/{none}", Value::Null).untagged(),
        get("/hearth/v1/code/{none}/{none}").query(&[
            ("digest", "a", Strict),
            ("expires", "1", Strict),
            ("signature", "a", Strict),
        ]),
        get("/hearth/v1/layers/{none}/{1}").query(&[
            ("digest", "a", Strict),
            ("expires", "1", Strict),
            ("signature", "a", Strict),
        ]),
        get("/hearth/v1/logs").query(&[
            ("function", "s/f", Strict),
            ("limit", "5", Any),
            ("request_id", "a", Any),
            ("since_ms", "1", Any),
        ]),
        get("/hearth/v1/invocations").query(&of_function),
        get("/hearth/v1/invocations/{none}"),
        get("/hearth/v1/dead").query(&of_function).query(&[("after", "a", Any)]),
        get("/hearth/v1/dead/{none}"),
        call("POST", "/hearth/v1/dead/{none}", Value::Null),
        get("/hearth/v1/stats").query(&[("function", "s/f", Any)]),
        get("/hearth/v1/keys"),
        call("POST", "/hearth/v1/keys", key)
            .needs(&["/role"])
            .undone("/hearth/v1/keys", "accessKeyId"),
        call("POST", "/hearth/v1/keys/{none}/rotate", json!({"overlapS": 1})).needs(&["/overlapS"]),
        call("DELETE", "/hearth/v1/keys/{none}", Value::Null).untagged(),
        get("/hearth/v1/audit").query(&audit),
        get("/hearth/v1/audit/verify").query(&[("head", "1:0123456789abcdef", Any)]),
    ]
}

/// All of them.
pub(super) fn calls() -> Vec<Call> {
    [services(), functions(), how_they_run(), what_belongs_to_no_service(), our_own()].concat()
}
