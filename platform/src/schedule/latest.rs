//! When a calendar fired last, in UTC. Pure functions; the search goes back day by day, over months that are not meant at once.

use chrono::{DateTime, Datelike, Days, NaiveDate, Timelike, Weekday};

use super::Calendar;

impl Calendar {
    /// The last moment after `after_ms` and not after `until_ms`, both in milliseconds since the Unix epoch, at which it fires.
    pub(crate) fn latest(self, after_ms: u64, until_ms: u64) -> Option<u64> {
        let until = DateTime::from_timestamp_millis(i64::try_from(until_ms).ok()?)?.naive_utc();
        let first = DateTime::from_timestamp_millis(i64::try_from(after_ms).ok()?)?.date_naive();
        let (mut day, mut limit) = (until.date(), until.time().num_seconds_from_midnight());
        while day >= first {
            if !has(self.months, day.month()) {
                day = day.with_day(1)?.pred_opt()?;
            } else {
                if self.fires_on(day)
                    && let Some(second) = self.latest_second(limit)
                {
                    let at = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
                    let at = u64::try_from(at).ok()?.checked_add(u64::from(second))? * 1000;
                    return (at > after_ms).then_some(at);
                }
                day = day.checked_sub_days(Days::new(1))?;
            }
            limit = 24 * 3600 - 1;
        }
        None
    }

    /// Where days and days of the week are both named, either is enough.
    fn fires_on(self, day: NaiveDate) -> bool {
        let is_day = has(self.days, day.day());
        let is_weekday = has(self.weekdays, weekday(day.weekday()));
        match (self.any_day, self.any_weekday) {
            (false, false) => is_day || is_weekday,
            _ => is_day && is_weekday,
        }
    }

    /// The last second of a day, not after `limit`, at which it fires.
    fn latest_second(self, limit: u32) -> Option<u32> {
        let (hour, minute, second) = (limit / 3600, limit / 60 % 60, limit % 60);
        let at = |hour: u32, minute: u32, second: u32| hour * 3600 + minute * 60 + second;
        // Within the very minute, then the hour, then the day of the limit: the earlier the step that finds one, the later it is.
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = highest(self.seconds, second)
            {
                return Some(at(hour, minute, second));
            }
            if let Some(minute) = minute.checked_sub(1).and_then(|to| highest(self.minutes, to)) {
                return Some(at(hour, minute, highest(self.seconds, 59)?));
            }
        }
        let hour = highest(self.hours, hour.checked_sub(1)?)?;
        Some(at(hour, highest(self.minutes, 59)?, highest(self.seconds, 59)?))
    }
}

fn weekday(day: Weekday) -> u32 {
    day.num_days_from_sunday()
}

fn has(values: u64, value: u32) -> bool {
    values & (1 << value) != 0
}

/// The greatest of the values that is not over `limit`.
fn highest(values: u64, limit: u32) -> Option<u32> {
    let within = values & (u64::MAX >> (63 - limit.min(63)));
    within.checked_ilog2()
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;
    use proptest::prelude::*;

    use super::super::Schedule;
    use super::*;

    fn ms(text: &str) -> u64 {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        u64::try_from(time.and_utc().timestamp_millis()).unwrap()
    }

    fn calendar(text: &str) -> Calendar {
        match Schedule::parse(text) {
            Ok(Schedule::Calendar(_, calendar)) => calendar,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn it_finds_the_last_moment_before() {
        for (text, until, last) in [
            ("0 0 4 * * *", "2026-11-21 04:00:00", "2026-11-21 04:00:00"),
            ("0 0 4 * * *", "2026-11-21 03:59:59", "2026-11-20 04:00:00"),
            ("30 5,10 6-8 * * *", "2026-11-21 09:00:00", "2026-11-21 08:10:30"),
            ("30 5,10 6-8 * * *", "2026-11-21 07:10:29", "2026-11-21 07:05:30"),
            ("30 5,10 6-8 * * *", "2026-11-21 07:04:00", "2026-11-21 06:10:30"),
            ("0 0 0 1 * ?", "2026-03-01 00:00:00", "2026-03-01 00:00:00"),
            ("0 0 0 31 * *", "2026-03-30 12:00:00", "2026-01-31 00:00:00"),
            ("0 0 0 29 2 *", "2027-12-31 00:00:00", "2024-02-29 00:00:00"),
            // The 21st is a Saturday.
            ("0 0 8 ? * MON-FRI", "2026-11-22 12:00:00", "2026-11-20 08:00:00"),
            ("0 0 8 10 * SUN", "2026-11-14 12:00:00", "2026-11-10 08:00:00"),
            ("0 0 8 10 * SUN", "2026-11-09 12:00:00", "2026-11-08 08:00:00"),
        ] {
            assert_eq!(calendar(text).latest(0, ms(until)), Some(ms(last)), "{text}");
        }
    }

    #[test]
    fn what_is_not_after_the_beginning_does_not_count() {
        let (four, daily) = (ms("2026-11-21 04:00:00"), calendar("0 0 4 * * *"));
        assert_eq!(daily.latest(four, four + 1000), None);
        assert_eq!(daily.latest(four - 1, four), Some(four));
        assert_eq!(daily.latest(four - 1, four - 1), None);
        assert_eq!(daily.latest(four, 0), None);
        assert_eq!(daily.latest(0, u64::MAX), None, "no such moment");
    }

    proptest! {
        #[test]
        fn it_is_what_looking_at_every_second_finds(
            seconds in "[0-5]?[0-9](,[0-5][0-9])?", minutes in "(\\*|[0-5]?[0-9])(/[1-9])?",
            hours in "(\\*|1?[0-9])(/[1-9])?", day in "(\\*|\\?|[12][0-9])", week in "(\\*|\\?|[0-7])",
            until in 1_700_000_000_u64..1_900_000_000, back in 0_u64..200_000,
        ) {
            let calendar = calendar(&format!("{seconds} {minutes} {hours} {day} * {week}"));
            let fires = |at: u64| {
                let time = DateTime::from_timestamp(i64::try_from(at).unwrap(), 0).unwrap();
                has(calendar.seconds, time.second()) && has(calendar.minutes, time.minute())
                    && has(calendar.hours, time.hour()) && calendar.fires_on(time.date_naive())
            };
            let expected = (until - back + 1..=until).rev().find(|at| fires(*at)).map(|at| at * 1000);
            prop_assert_eq!(calendar.latest((until - back) * 1000, until * 1000 + 999), expected);
        }
    }
}
