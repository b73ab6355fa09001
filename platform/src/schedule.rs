//! When a timer fires: `@every` and a time of at least a minute in h, m and s, or a CRON of six fields, seconds first, with the zone it is meant in before it.
//!
//! Only the form is held here, and that there is a day on which it fires at all. Pure functions over text.

mod latest;

use std::time::Duration;

use chrono_tz::Tz;

/// The longest schedule, in bytes.
const SCHEDULE_BYTES_MAX: usize = 512;
/// The shortest time between two events.
const EVERY_MIN: Duration = Duration::from_secs(60);
/// Days of each month, where a February has its longest.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// When a timer fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Again and again after this time.
    Every(Duration),
    /// By the calendar of a zone.
    Calendar(Tz, Calendar),
}

/// Times of a calendar: the values each field allows, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calendar {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is 0.
    weekdays: u64,
    /// Whether days, or days of the week, are left to the other of the two.
    any_day: bool,
    any_weekday: bool,
}

/// One field: its name, its least and greatest value, and words for values from the least on.
struct Field {
    name: &'static str,
    range: (u32, u32),
    words: &'static [&'static str],
    /// Whether `?` may stand for any.
    may_be_open: bool,
}

const fn field(name: &'static str, least: u32, most: u32) -> Field {
    Field { name, range: (least, most), words: &[], may_be_open: false }
}

const SECONDS: Field = field("seconds", 0, 59);
const MINUTES: Field = field("minutes", 0, 59);
const HOURS: Field = field("hours", 0, 23);
const DAYS: Field = Field { may_be_open: true, ..field("day of month", 1, 31) };
const MONTH: Field = Field { words: &MONTHS, ..field("month", 1, 12) };
const WEEKDAY: Field = Field { words: &WEEKDAYS, may_be_open: true, ..field("day of week", 0, 7) };

impl Schedule {
    /// Reads a schedule; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > SCHEDULE_BYTES_MAX {
            let size = text.len();
            return Err(format!("it has {size} bytes; the limit is {SCHEDULE_BYTES_MAX}"));
        }
        let text = text.trim();
        if let Some(every) = text.strip_prefix("@every ") {
            return every_of(every.trim()).map(Self::Every);
        }
        let (zone, fields) =
            match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
                None => (Tz::UTC, text),
                Some(rest) => {
                    let (zone, fields) = rest.split_once(' ').unwrap_or((rest, ""));
                    let unknown = || format!("`{}` is no time zone", shown(zone));
                    (zone.parse().map_err(|_| unknown())?, fields)
                }
            };
        Ok(Self::Calendar(zone, Calendar::parse(fields)?))
    }
}

/// Whole numbers with their units, such as `90s` or `1h30m`, added up.
fn every_of(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`@every {}` is not `@every N` with N in s, m or h", shown(text));
    let mut seconds: u64 = 0;
    for part in text.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let (number, unit_s) = [('s', 1), ('m', 60), ('h', 3600)]
            .into_iter()
            .find_map(|(unit, unit_s)| Some((part.strip_suffix(unit)?, unit_s)))
            .ok_or_else(wrong)?;
        let number = whole(number).ok_or_else(wrong)?;
        // Neither factor is near the bound of the sum.
        seconds = seconds.saturating_add(u64::from(number) * unit_s);
    }
    let every = Duration::from_secs(seconds);
    if every < EVERY_MIN {
        return Err(format!("`@every {}` is less than a minute", shown(text)));
    }
    Ok(every)
}

impl Calendar {
    fn parse(text: &str) -> Result<Self, String> {
        let mut fields = [""; 6];
        let mut count = 0;
        for field in text.split_ascii_whitespace() {
            if let Some(slot) = fields.get_mut(count) {
                *slot = field;
            }
            count += 1;
        }
        if count != fields.len() {
            return Err(format!(
                "it has {count} fields and is neither `@every N(s|m|h)` nor a CRON of six: \
                 seconds, minutes, hours, day of month, month, day of week"
            ));
        }
        let [seconds, minutes, hours, days, months, weekdays] = fields;
        let is_any = |text: &str| matches!(text, "*" | "?");
        let week = WEEKDAY.values(weekdays)?;
        let calendar = Self {
            seconds: SECONDS.values(seconds)?,
            minutes: MINUTES.values(minutes)?,
            hours: HOURS.values(hours)?,
            days: DAYS.values(days)?,
            months: MONTH.values(months)?,
            // Sunday may be written 7 as well.
            weekdays: (week | week >> 7) & 0x7f,
            any_day: is_any(days),
            any_weekday: is_any(weekdays),
        };
        if calendar.has_a_day() { Ok(calendar) } else { Err("it has no day to fire on".to_owned()) }
    }

    /// Whether any of its months has any of its days. Where days of the week are named as well, either of them is enough.
    fn has_a_day(self) -> bool {
        if self.any_day || !self.any_weekday {
            return true;
        }
        (1..).zip(MONTH_DAYS).any(|(month, last)| {
            let in_month = self.days & ((1_u64 << (last + 1)) - 1);
            self.months & (1 << month) != 0 && in_month != 0
        })
    }
}

impl Field {
    /// The values that a list of values, ranges and steps allows.
    fn values(&self, text: &str) -> Result<u64, String> {
        text.split(',')
            .try_fold(0, |all, part| Ok(all | self.part(part).ok_or_else(|| self.wrong(part))?))
    }

    fn wrong(&self, part: &str) -> String {
        let (least, most) = self.range;
        format!("`{}` is no {}: {least} to {most}", shown(part), self.name)
    }

    fn part(&self, text: &str) -> Option<u64> {
        let (least, most) = self.range;
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((range, step)) => (range, Some(whole(step).filter(|step| *step > 0)?)),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || (range == "?" && self.may_be_open) => (least, most),
            Some((from, to)) => (self.value(from)?, self.value(to)?),
            // `5/10` goes on from 5 to the end.
            None => {
                let from = self.value(range)?;
                (from, if step.is_some() { most } else { from })
            }
        };
        if from > to {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        Some((from..=to).step_by(step).fold(0, |all, value| all | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let (least, most) = self.range;
        let word = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let value = match word {
            Some(at) => u32::try_from(at).ok()?.checked_add(least)?,
            None => whole(text)?,
        };
        (least..=most).contains(&value).then_some(value)
    }
}

/// Digits and nothing else.
fn whole(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A stranger's text, fit to be shown.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calendar(text: &str) -> Calendar {
        match Schedule::parse(text) {
            Ok(Schedule::Calendar(_, calendar)) => calendar,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn bits(values: impl IntoIterator<Item = u32>) -> u64 {
        values.into_iter().fold(0, |all, value| all | 1 << value)
    }

    #[test]
    fn intervals_are_at_least_a_minute() {
        for (text, seconds) in [
            ("@every 1m", 60),
            ("@every 60s", 60),
            ("@every 2h", 7200),
            ("@every 1h30m", 5400),
            ("@every 30s30s", 60),
            (" @every  5m ", 300),
        ] {
            assert_eq!(Schedule::parse(text), Ok(Schedule::Every(Duration::from_secs(seconds))));
        }
        for text in [
            "@every 0m",
            "@every 59s",
            "@every",
            "@every ",
            "@every m",
            "@every 1",
            "@every 1d",
            "@every -5m",
            "@every +5m",
            "@every 1hm",
            "@every 1h30",
            "@every h1",
            "@every 1 h",
            "@every 1.5h",
            "@every 5é",
            "@every 99999999999h",
            "@EVERY 5m",
            "@daily",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fields_take_values_lists_ranges_and_steps() {
        let all = calendar("0 5,10-12 */6 ? JAN,mar MON-FRI");
        assert_eq!((all.seconds, all.minutes), (bits([0]), bits([5, 10, 11, 12])));
        assert_eq!((all.hours, all.months), (bits([0, 6, 12, 18]), bits([1, 3])));
        assert_eq!((all.days, all.weekdays), (bits(1..=31), bits(1..=5)));
        assert_eq!(calendar("0 50/4 * * * 7").minutes, bits([50, 54, 58]));
        assert_eq!(calendar("0 0 0 * * 7").weekdays, calendar("0 0 0 * * SUN").weekdays);
        for text in [
            "",
            "x",
            "* * * * *",
            "* * * * * * *",
            "60 * * * * *",
            "* 60 * * * *",
            "* * 24 * * *",
            "* * * 0 * *",
            "* * * 32 * *",
            "* * * * 0 *",
            "* * * * 13 *",
            "* * * * * 8",
            "? * * * * *",
            "* * * * ? *",
            "*/0 * * * * *",
            "5-1 * * * * *",
            "1- * * * * *",
            "-1 * * * * *",
            ", * * * * *",
            "1,,2 * * * * *",
            "a * * * * *",
            "* * * * FOO *",
            "1.5 * * * * *",
            "99999999999 * * * * *",
            "* * * * * *\0",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
        assert!(Schedule::parse(&format!("{}* * * * * *", "0,".repeat(300))).is_err());
    }

    #[test]
    fn zones_are_known_ones() {
        let zone = |text: &str| match Schedule::parse(text) {
            Ok(Schedule::Calendar(zone, _)) => Some(zone.name()),
            _ => None,
        };
        assert_eq!(zone("0 0 4 * * *"), Some("UTC"));
        assert_eq!(zone("CRON_TZ=Asia/Shanghai 0 0 4 * * *"), Some("Asia/Shanghai"));
        assert_eq!(zone("TZ=Europe/Berlin 0 0 4 * * *"), Some("Europe/Berlin"));
        for text in [
            "CRON_TZ=Mars/Base 0 0 4 * * *",
            "CRON_TZ= 0 0 4 * * *",
            "CRON_TZ=UTC",
            "CRON_TZ=../UTC 0 0 4 * * *",
        ] {
            assert_eq!(zone(text), None, "{text}");
        }
    }

    #[test]
    fn there_must_be_a_day() {
        for text in ["0 0 0 30 2 *", "0 0 0 31 2,4,6,9,11 ?", "0 0 0 30-31 FEB *"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
        for text in ["0 0 0 29 2 *", "0 0 0 31 2,3 *", "0 0 0 30 2 MON", "0 0 0 ? 2 *"] {
            assert!(Schedule::parse(text).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(@every )?(CRON_TZ=)?[A-Za-z/]{0,6}[ 0-9*?,/@é-]{0,40}") {
            let _ = Schedule::parse(&text);
        }

        #[test]
        fn a_range_with_a_step_is_what_it_says(from in 0_u32..60, to in 0_u32..60, step in 1_u32..70) {
            let parsed = Schedule::parse(&format!("{from}-{to}/{step} 0 0 * * *"));
            if from > to {
                prop_assert!(parsed.is_err());
            } else {
                let expected = bits((from..=to).filter(|value| (value - from) % step == 0));
                prop_assert!(matches!(parsed, Ok(Schedule::Calendar(_, found)) if found.seconds == expected));
            }
        }

        #[test]
        fn one_day_of_one_month_fires_if_the_calendar_has_it(day in 1_u32..=31, month in 1_u32..=12) {
            // 2024 is a leap year.
            let exists = chrono::NaiveDate::from_ymd_opt(2024, month, day).is_some();
            prop_assert_eq!(Schedule::parse(&format!("0 0 0 {day} {month} *")).is_ok(), exists);
        }
    }
}
