//! JSON keys in any case, as the official service takes them: clients of several languages disagree on the case of what they
//! send, and all read camel case.
//!
//! Only names this dialect knows are touched, and never the keys of a map that belongs to the caller.

use serde_json::{Map, Value};

/// Every name in a request body.
const NAMES: &[&str] = &[
    "accelerationType",
    "additionalVersionWeight",
    "aliasName",
    "all",
    "alwaysAllocateCPU",
    "args",
    "authType",
    "caPort",
    "certConfig",
    "certificate",
    "certName",
    "cipherSuites",
    "code",
    "command",
    "compatibleRuntime",
    "condition",
    "cpu",
    "customContainerConfig",
    "customDNS",
    "customHealthCheckConfig",
    "customRuntimeConfig",
    "description",
    "destination",
    "destinationConfig",
    "diskSize",
    "dnsOptions",
    "domainName",
    "enableInstanceMetrics",
    "enableRequestMetrics",
    "enableTLS",
    "endpoint",
    "endTime",
    "environmentVariables",
    "equalRules",
    "failureThreshold",
    "functionName",
    "gpuMemorySize",
    "groupId",
    "handler",
    "httpGetUrl",
    "image",
    "initialDelaySeconds",
    "initializationTimeout",
    "initializer",
    "instanceConcurrency",
    "instanceID",
    "instanceLifecycleConfig",
    "instanceSoftConcurrency",
    "instanceType",
    "internetAccess",
    "invocationRole",
    "layers",
    "logBeginRule",
    "logConfig",
    "logstore",
    "match",
    "maxAsyncEventAgeInSeconds",
    "maxAsyncRetryAttempts",
    "maxCapacity",
    "maximumInstanceCount",
    "maxVersion",
    "memorySize",
    "methods",
    "metricTarget",
    "metricType",
    "minCapacity",
    "minVersion",
    "mountDir",
    "mountPoints",
    "name",
    "nameServers",
    "nasConfig",
    "onFailure",
    "onSuccess",
    "ossBucketName",
    "ossMountConfig",
    "ossObjectName",
    "params",
    "path",
    "periodSeconds",
    "policyItems",
    "preFreeze",
    "preStop",
    "privateKey",
    "project",
    "protocol",
    "qualifier",
    "regexRules",
    "replacement",
    "resolvePolicy",
    "resourceArn",
    "rewriteConfig",
    "role",
    "routeConfig",
    "routePolicy",
    "routes",
    "runtime",
    "scheduledActions",
    "scheduleExpression",
    "searches",
    "securityGroupId",
    "serverAddr",
    "serviceName",
    "sourceArn",
    "startTime",
    "statefulInvocation",
    "successThreshold",
    "tagKeys",
    "tags",
    "target",
    "targetTrackingPolicies",
    "timeout",
    "timeoutSeconds",
    "tlsConfig",
    "tracingConfig",
    "triggerConfig",
    "triggerName",
    "triggerType",
    "type",
    "userId",
    "useSLRAuthentication",
    "value",
    "vendorConfig",
    "versionId",
    "vpcConfig",
    "vpcId",
    "vSwitchIds",
    "wafConfig",
    "webServerMode",
    "wildcardRules",
    "zipFile",
];

/// Maps whose keys are the caller's own.
const CALLERS_OWN: &[&str] = &["environmentVariables", "params", "tags", "triggerConfig"];

/// Deepest nesting that is renamed; what lies deeper belongs to no field this dialect knows.
const DEPTH: usize = 8;

/// The body with known names in their own case.
pub(super) fn canonical(value: Value) -> Value {
    rename(value, DEPTH)
}

fn rename(value: Value, depth: usize) -> Value {
    let Some(deeper) = depth.checked_sub(1) else { return value };
    match value {
        Value::Object(object) => {
            Value::Object(object.into_iter().fold(Map::new(), |mut renamed, (key, value)| {
                let known = NAMES.iter().find(|name| name.eq_ignore_ascii_case(&key)).copied();
                let key = known.map_or(key, str::to_owned);
                let own = CALLERS_OWN.contains(&key.as_str());
                renamed.insert(key, if own { value } else { rename(value, deeper) });
                renamed
            }))
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| rename(item, deeper)).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_names_only() {
        let sent = json!({
            "FunctionName": "f", "MEMORYSIZE": 128, "unknownKey": {"Handler": 1},
            "EnvironmentVariables": {"Handler": "x", "code": "y"},
            "LogConfig": {"Project": "p"}, "nasconfig": {"mountpoints": [{"MountDir": "/a"}]}
        });
        let expected = json!({
            "functionName": "f", "memorySize": 128, "unknownKey": {"handler": 1},
            "environmentVariables": {"Handler": "x", "code": "y"},
            "logConfig": {"project": "p"}, "nasConfig": {"mountPoints": [{"mountDir": "/a"}]}
        });
        assert_eq!(canonical(sent), expected);
    }

    #[test]
    fn the_list_is_sorted_and_unambiguous() {
        let lower: std::collections::BTreeSet<String> =
            NAMES.iter().map(|name| name.to_ascii_lowercase()).collect();
        assert_eq!(lower.len(), NAMES.len());
    }
}
