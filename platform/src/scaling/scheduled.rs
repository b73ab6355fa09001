//! Targets by the clock: each time an action's expression fires between its start and its end, its target becomes the one that holds,
//! until another fires or one is set. Nothing is written when that happens: what holds follows from the actions and the time, so a
//! process that was down when one fired finds the same. Everything is in UTC.

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::PROVISION_TARGET_MAX;
use crate::error::RequestError;
use crate::schedule::{Calendar, Schedule};

/// Most actions of one config.
pub const SCHEDULED_ACTIONS_MAX: usize = 100;
/// The longest name of an action, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A target that is taken at certain times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledAction {
    /// Its name, of which there is one in a config.
    pub name: String,
    /// Fires from this moment on, in milliseconds since the Unix epoch; none is from ever.
    pub start_ms: Option<u64>,
    /// Fires up to this moment; none is for ever.
    pub end_ms: Option<u64>,
    /// Instances to keep ready from when it fires, 0 to [`PROVISION_TARGET_MAX`].
    pub target: u32,
    /// `cron(...)` with six fields, seconds first, or `at(YYYY-MM-DDThh:mm:ss)`.
    pub expression: String,
}

/// When an action fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Once(u64),
    Calendar(Calendar),
}

/// An action whose expression was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timed {
    when: When,
    start_ms: u64,
    end_ms: u64,
    target: u32,
}

impl When {
    fn parse(text: &str) -> Result<Self, String> {
        let inner = |word: &str| text.trim().strip_prefix(word)?.strip_suffix(')').map(str::trim);
        if let Some(fields) = inner("cron(") {
            return match Schedule::parse(fields)? {
                Schedule::Calendar(Tz::UTC, calendar) => Ok(Self::Calendar(calendar)),
                Schedule::Calendar(..) => Err("its times are in UTC; it cannot name a zone".into()),
                Schedule::Every(_) => Err("`@every` says no time of a day".into()),
            };
        }
        let moment = inner("at(").ok_or("it is neither `cron(...)` nor `at(...)`")?;
        let time = moment.strip_suffix('Z').unwrap_or(moment);
        let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S").ok();
        let ms = time.and_then(|time| u64::try_from(time.and_utc().timestamp_millis()).ok());
        ms.map(Self::Once).ok_or_else(|| "at(...) holds no time such as 2026-11-21T04:00:00".into())
    }
}

impl Timed {
    fn of(action: &ScheduledAction) -> Result<Self, String> {
        Ok(Self {
            when: When::parse(&action.expression)?,
            start_ms: action.start_ms.unwrap_or(0),
            end_ms: action.end_ms.unwrap_or(u64::MAX),
            target: action.target,
        })
    }

    /// When it fired last in `(after, until]`.
    fn fired(self, after_ms: u64, until_ms: u64) -> Option<u64> {
        let after_ms = after_ms.max(self.start_ms.saturating_sub(1));
        let until_ms = until_ms.min(self.end_ms);
        if after_ms >= until_ms {
            return None;
        }
        match self.when {
            When::Once(at) => (after_ms < at && at <= until_ms).then_some(at),
            When::Calendar(calendar) => calendar.latest(after_ms, until_ms),
        }
    }
}

/// The actions with their expressions read. One that cannot be read does not fire; none is accepted that cannot.
pub(super) fn timed(actions: &[ScheduledAction]) -> Vec<Timed> {
    actions.iter().filter_map(|action| Timed::of(action).ok()).collect()
}

/// Whether any of the actions fires after this moment, as far as their ends tell.
pub(super) fn any_is_ahead(actions: &[ScheduledAction], now_ms: u64) -> bool {
    timed(actions).iter().any(|action| match action.when {
        When::Once(at) => now_ms < at && (action.start_ms..=action.end_ms).contains(&at),
        When::Calendar(_) => now_ms < action.end_ms,
    })
}

/// The target of the action that fired last in `(after, until]`; of several at one moment, the one that stands last.
pub(super) fn target_of(actions: &[Timed], after_ms: u64, until_ms: u64) -> Option<u32> {
    let fired = actions
        .iter()
        .filter_map(|action| action.fired(after_ms, until_ms).map(|at| (at, action.target)));
    fired.max_by_key(|(at, _)| *at).map(|(_, target)| target)
}

/// Refuses a list of actions that cannot be held to.
pub(super) fn check_actions(actions: &[ScheduledAction]) -> Result<(), RequestError> {
    let refuse = |why: String| Err(RequestError::invalid("scheduled_actions", why));
    if actions.len() > SCHEDULED_ACTIONS_MAX {
        let limit = SCHEDULED_ACTIONS_MAX as u64;
        return Err(RequestError::Quota { what: "scheduled actions of a config", limit });
    }
    let names = actions.iter().map(|action| action.name.as_str());
    check_names("scheduled_actions", names)?;
    for action in actions {
        let name = action.name.escape_debug();
        if action.target > PROVISION_TARGET_MAX {
            let target = action.target;
            return refuse(format!(
                "target {target} of `{name}` is not 0 to {PROVISION_TARGET_MAX}"
            ));
        }
        check_period("scheduled_actions", &action.name, action.start_ms, action.end_ms)?;
        if let Err(why) = Timed::of(action) {
            return refuse(format!("the expression of `{name}`: {why}"));
        }
    }
    Ok(())
}

/// That all names are there, short, and different.
pub(super) fn check_names<'a>(
    field: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), RequestError> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let why = format!("a name of {} bytes is not 1 to {NAME_BYTES_MAX}", name.len());
            return Err(RequestError::invalid(field, why));
        }
        if !seen.insert(name) {
            let why = format!("the name `{}` is there twice", name.escape_debug());
            return Err(RequestError::invalid(field, why));
        }
    }
    Ok(())
}

/// That what has a start and an end has them in this order.
pub(super) fn check_period(
    field: &'static str,
    name: &str,
    start_ms: Option<u64>,
    end_ms: Option<u64>,
) -> Result<(), RequestError> {
    match (start_ms, end_ms) {
        (Some(start), Some(end)) if start >= end => {
            let why = format!("`{}` ends before it starts", name.escape_debug());
            Err(RequestError::invalid(field, why))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    /// 2026-11-21T04:00:00Z.
    const FOUR: u64 = 1_795_233_600_000;

    fn action(expression: &str, target: u32) -> ScheduledAction {
        ScheduledAction {
            name: format!("to {target}"),
            start_ms: None,
            end_ms: None,
            target,
            expression: expression.to_owned(),
        }
    }

    fn at(actions: &[ScheduledAction], after_ms: u64, now_ms: u64) -> Option<u32> {
        target_of(&timed(actions), after_ms, now_ms)
    }

    #[test]
    fn the_last_to_fire_holds() {
        let day = [
            action("cron(0 0 4 * * *)", 9),
            action("cron(0 30 4 * * *)", 2),
            action("at(2026-11-21T04:10:00Z)", 5),
        ];
        let set = FOUR - MINUTE;
        for (minutes, target) in [
            (0, Some(9)),
            (9, Some(9)),
            (10, Some(5)),
            (29, Some(5)),
            (30, Some(2)),
            (900, Some(2)),
        ] {
            assert_eq!(at(&day, set, FOUR + minutes * MINUTE), target, "{minutes}");
        }
        assert_eq!(at(&day, set, FOUR - 1), None, "none has fired yet");
        assert_eq!(at(&day, set, FOUR + 24 * 60 * MINUTE), Some(9), "the next day");
        assert_eq!(at(&day, FOUR, FOUR + 1), None, "what was set when it fired is newer");
        let both = [action("cron(0 0 4 * * *)", 1), action("at(2026-11-21T04:00:00)", 2)];
        assert_eq!(at(&both, set, FOUR), Some(2));
    }

    #[test]
    fn it_fires_between_its_start_and_its_end() {
        let every = ScheduledAction {
            start_ms: Some(FOUR),
            end_ms: Some(FOUR + 10 * MINUTE),
            ..action("cron(0 */5 * * * *)", 7)
        };
        let fired = |after, until| Timed::of(&every).unwrap().fired(after, until);
        assert_eq!(fired(0, FOUR - 1), None);
        assert_eq!(fired(0, FOUR), Some(FOUR), "both ends count");
        assert_eq!(fired(0, FOUR + 60 * MINUTE), Some(FOUR + 10 * MINUTE));
        assert_eq!(fired(FOUR + 10 * MINUTE, FOUR + 60 * MINUTE), None, "it is over");
        assert_eq!(at(&[every], 0, FOUR + 60 * MINUTE), Some(7), "and what it set holds on");
    }

    #[test]
    fn what_is_over_is_not_ahead() {
        let once = || action("at(2026-11-21T04:00:00Z)", 1);
        assert!(any_is_ahead(&[once()], FOUR - 1) && !any_is_ahead(&[once()], FOUR));
        let never = ScheduledAction { end_ms: Some(FOUR - 1), ..once() };
        assert!(!any_is_ahead(&[never], 0));
        let daily = || action("cron(0 0 4 * * *)", 1);
        assert!(any_is_ahead(&[once(), daily()], FOUR));
        let ended = ScheduledAction { end_ms: Some(FOUR), ..daily() };
        assert!(!any_is_ahead(&[ended], FOUR));
    }

    #[test]
    fn what_cannot_be_held_to_is_refused() {
        let told = |change: &dyn Fn(&mut ScheduledAction)| {
            let mut one = action("cron(0 0 4 * * *)", 1);
            change(&mut one);
            check_actions(&[one]).map_err(|error| error.to_string())
        };
        told(&|_| {}).unwrap();
        told(&|one| one.expression = " at( 2026-11-21T04:00:00Z ) ".to_owned()).unwrap();
        for expression in [
            "",
            "0 0 4 * * *",
            "cron()",
            "cron(0 0 4 * *)",
            "cron(0 0 4 * * *",
            "cron(@every 5m)",
            "cron(0 0 0 30 2 *)",
            "cron(CRON_TZ=Asia/Shanghai 0 0 4 * * *)",
            "at()",
            "at(now)",
            "at(2026-11-21)",
            "at(2026-13-21T04:00:00)",
            "at(1969-11-21T04:00:00)",
            "every(5m)",
        ] {
            let error = told(&|one| one.expression = expression.to_owned()).unwrap_err();
            assert!(error.contains("expression of `to 1`"), "{expression}: {error}");
        }
        assert!(told(&|one| one.name.clear()).is_err());
        assert!(told(&|one| one.name = "x".repeat(129)).is_err());
        assert!(told(&|one| one.target = PROVISION_TARGET_MAX + 1).is_err());
        assert!(told(&|one| (one.start_ms, one.end_ms) = (Some(1), Some(1))).is_err());
        let twice = [action("cron(0 0 4 * * *)", 1), action("cron(0 0 5 * * *)", 1)];
        assert!(check_actions(&twice).unwrap_err().to_string().contains("twice"));
        let many: Vec<_> = (0..101).map(|n| action("cron(0 0 4 * * *)", n)).collect();
        assert!(matches!(check_actions(&many), Err(RequestError::Quota { limit: 100, .. })));
    }
}
