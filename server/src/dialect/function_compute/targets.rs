//! What a provision config says beside its target: actions at certain times, and policies that follow use.

use std::time::SystemTime;

use hearth_platform::{ScheduledAction, TrackingPolicy, to_ms};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::errors::WireError;

/// The field of actions, and that of policies.
pub(super) const ACTIONS: &str = "scheduledActions";
pub(super) const POLICIES: &str = "targetTrackingPolicies";

/// The one metric there is: the part of the instances kept ready that is busy.
const UTILIZATION: &str = "ProvisionedConcurrencyUtilization";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ActionBody {
    name: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    target: Option<u32>,
    schedule_expression: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PolicyBody {
    name: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    metric_type: Option<String>,
    metric_target: Option<f64>,
    min_capacity: Option<u32>,
    max_capacity: Option<u32>,
}

/// The actions; what they mean is checked by the platform.
pub(super) fn actions(list: &[Map<String, Value>]) -> Result<Vec<ScheduledAction>, WireError> {
    list.iter().enumerate().map(|(at, fields)| action(&At(ACTIONS, at), fields)).collect()
}

fn action(at: &At, fields: &Map<String, Value>) -> Result<ScheduledAction, WireError> {
    let body: ActionBody = at.read(fields)?;
    Ok(ScheduledAction {
        name: at.required("name", body.name)?,
        start_ms: at.moment("startTime", body.start_time)?,
        end_ms: at.moment("endTime", body.end_time)?,
        target: at.required("target", body.target)?,
        expression: at.required("scheduleExpression", body.schedule_expression)?,
    })
}

/// The policies by the metric there is, and whether there are others, which have no effect.
pub(super) fn policies(
    list: &[Map<String, Value>],
) -> Result<(Vec<TrackingPolicy>, bool), WireError> {
    let read = |(at, fields)| policy(&At(POLICIES, at), fields);
    let read: Vec<_> = list.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let has_others = read.iter().any(Option::is_none);
    Ok((read.into_iter().flatten().collect(), has_others))
}

fn policy(at: &At, fields: &Map<String, Value>) -> Result<Option<TrackingPolicy>, WireError> {
    let body: PolicyBody = at.read(fields)?;
    let policy = TrackingPolicy {
        name: at.required("name", body.name)?,
        start_ms: at.moment("startTime", body.start_time)?,
        end_ms: at.moment("endTime", body.end_time)?,
        utilization: at.required("metricTarget", body.metric_target)?,
        min: at.required("minCapacity", body.min_capacity)?,
        max: at.required("maxCapacity", body.max_capacity)?,
    };
    let metric = at.required("metricType", body.metric_type)?;
    if metric.chars().count() > METRIC_CHARS_MAX {
        let why = format!("no metric has a name of more than {METRIC_CHARS_MAX} characters");
        return Err(at.wrong("metricType", why));
    }
    Ok((metric == UTILIZATION).then_some(policy))
}

/// The longest name of a metric that is kept without being known.
const METRIC_CHARS_MAX: usize = 128;

/// Which element of which list is read.
struct At(&'static str, usize);

impl At {
    fn wrong(&self, field: &str, why: impl std::fmt::Display) -> WireError {
        let Self(list, at) = self;
        WireError::invalid(format!("{list}[{at}].{field} is set to an invalid value: {why}"))
    }

    fn read<T: DeserializeOwned>(&self, fields: &Map<String, Value>) -> Result<T, WireError> {
        let value = Value::Object(fields.clone());
        serde_path_to_error::deserialize(value)
            .map_err(|error| self.wrong(&error.path().to_string(), error.inner()))
    }

    fn required<T>(&self, field: &str, value: Option<T>) -> Result<T, WireError> {
        let Self(list, at) = self;
        value.ok_or_else(|| super::wire::required(&format!("{list}[{at}].{field}")))
    }

    /// A moment in UTC; an empty text is none.
    fn moment(&self, field: &str, text: Option<String>) -> Result<Option<u64>, WireError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
        let moment = humantime::parse_rfc3339_weak(&text);
        let moment = moment.ok().filter(|moment| *moment >= SystemTime::UNIX_EPOCH);
        let moment =
            moment.ok_or_else(|| self.wrong(field, "it is no moment such as 2026-11-21T04:00:00Z"));
        Ok(Some(to_ms(moment?)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(value: Value) -> Vec<Map<String, Value>> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn actions_are_read_and_what_is_wrong_is_named() {
        let good = json!({"name": "a", "startTime": "1970-01-01T00:00:01Z", "endTime": null, "target": 3,
            "scheduleExpression": "cron(0 0 4 * * *)", "more": 1});
        let read = actions(&list(json!([good]))).unwrap();
        assert_eq!((read[0].start_ms, read[0].end_ms, read[0].target), (Some(1000), None, 3));
        for (field, value, says) in [
            ("name", json!(null), "scheduledActions[0].name is required"),
            ("target", json!(null), "scheduledActions[0].target is required"),
            ("target", json!(-1), "scheduledActions[0].target is set"),
            (
                "scheduleExpression",
                json!(null),
                "scheduledActions[0].scheduleExpression is required",
            ),
            ("startTime", json!("soon"), "scheduledActions[0].startTime is set"),
            ("startTime", json!("1960-01-01T00:00:00Z"), "scheduledActions[0].startTime is set"),
            ("endTime", json!(7), "scheduledActions[0].endTime is set"),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            let told = actions(&list(json!([bad]))).unwrap_err().message;
            assert!(told.starts_with(says), "{told}");
        }
    }

    #[test]
    fn policies_by_another_metric_are_told_apart() {
        let of = |metric: &str| json!({"name": "p", "metricType": metric, "metricTarget": 0.6, "minCapacity": 1, "maxCapacity": 9});
        let (read, has_others) = policies(&list(json!([of(UTILIZATION)]))).unwrap();
        assert_eq!((read[0].utilization, read[0].min, read[0].max, has_others), (0.6, 1, 9, false));
        let (read, has_others) = policies(&list(json!([of("CPUUtilization")]))).unwrap();
        assert!(read.is_empty() && has_others);
        for field in ["name", "metricType", "metricTarget", "minCapacity", "maxCapacity"] {
            let mut bad = of(UTILIZATION);
            bad[field] = Value::Null;
            let told = policies(&list(json!([bad]))).unwrap_err().message;
            assert_eq!(
                told,
                format!("targetTrackingPolicies[0].{field} is required but not provided")
            );
        }
    }
}
