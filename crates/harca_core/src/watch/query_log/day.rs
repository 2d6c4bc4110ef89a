//! The days that files of the log are named after.

use std::fmt;

const MICROSECONDS_OF_DAY: i64 = 86_400_000_000;

/// A day of the Gregorian calendar in UTC, in a year from 0 to 9999; shown as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub(super) i64); // since 1970-01-01

impl Day {
    /// The day of a time in microseconds since the Unix epoch; none outside the years 0 to 9999.
    #[must_use]
    pub fn of(at: i64) -> Option<Self> {
        let day = Self(day_number(at));
        (0..=9999).contains(&day.date().0).then_some(day)
    }

    /// Reads `YYYY-MM-DD`, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        let day = Self(days_from_civil(year, month, day));
        // The 30th of February and the like come out as another day.
        (text.len() == 10 && day.to_string() == text).then_some(day)
    }

    /// When it begins, in microseconds since the Unix epoch.
    #[must_use]
    pub fn start(self) -> i64 {
        self.0 * MICROSECONDS_OF_DAY
    }

    /// Year, month from 1, day of the month from 1. After `civil_from_days` in Howard Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms", as is [`days_from_civil`].
    fn date(self) -> (i64, i64, i64) {
        // Years begin in March, so that the leap day is the last of its year; eras have 400 years.
        let days = self.0 + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        (year_of_era + 400 * era + i64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The days from 1970-01-01 to a time in microseconds since the Unix epoch.
pub(super) fn day_number(at: i64) -> i64 {
    at.div_euclid(MICROSECONDS_OF_DAY)
}

/// The days from 1970-01-01 to a date.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(date: &str) -> Option<i64> {
        Day::parse(date).map(|day| day.0)
    }

    #[test]
    fn dates_and_days_agree() {
        for (date, number) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("1972-02-29", 789),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2024-02-29", 19_782),
            ("2024-12-31", 20_088),
            ("2100-02-28", 47_540),
            ("2100-03-01", 47_541),
            ("0000-01-01", -719_528),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(at(date), Some(number), "{date}");
            assert_eq!(Day(number).to_string(), date);
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2024",
            "2023-02-29",
            "2100-02-29",
            "2024-02-30",
            "2024-04-31",
            "2024-00-10",
            "2024-13-01",
            "2024-01-00",
            "2024-1-001",
            "+024-01-01",
            "-001-01-01",
            "12024-01-1",
            "2024-01-01 ",
            "2024-01-01-",
            "2024/01/01",
            "２０２４-01-01",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let leap_day = Day::parse("2024-02-29");
        assert_eq!(Day::of(1_709_164_800_000_000), leap_day);
        assert_eq!(Day::of(1_709_251_199_999_999), leap_day);
        assert_eq!(Day::of(1_709_251_200_000_000), Day::parse("2024-03-01"));
        assert_eq!(leap_day.unwrap().start(), 1_709_164_800_000_000);
        assert_eq!(Day::of(-1), Day::parse("1969-12-31"));
        assert_eq!((Day::of(i64::MIN), Day::of(i64::MAX)), (None, None));
        let last = Day::parse("9999-12-31").unwrap().start() + MICROSECONDS_OF_DAY;
        assert!(Day::of(last - 1).is_some() && Day::of(last).is_none());
    }

    proptest! {
        #[test]
        fn dates_follow_each_other(number in -719_528..2_932_896i64) {
            let (day, next) = (Day(number), Day(number + 1));
            prop_assert_eq!(Day::parse(&day.to_string()), Some(day));
            prop_assert_eq!(Day::of(day.start()), Some(day));
            prop_assert_eq!(Day::of(next.start() - 1), Some(day));
            prop_assert!(day.to_string() < next.to_string());
        }
    }
}
