//! One flight, as far as this job reads it.

use tidegate::{CsvRecord, rkyv};

/// A scheduled departure. It can be part of an unaligned checkpoint, and so can be archived.
#[derive(Clone, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = tidegate::rkyv)]
pub(crate) struct Flight {
    pub(crate) origin: String,
    pub(crate) carrier: String,
    /// The scheduled departure in milliseconds since the Unix epoch, local time taken as UTC.
    pub(crate) scheduled_ms: i64,
    /// `None` for a cancelled flight.
    pub(crate) delay_minutes: Option<i32>,
}

impl Flight {
    /// `None` for a record that lacks one of the columns or holds no date.
    pub(crate) fn of_record(record: &CsvRecord) -> Option<Self> {
        let number = |column| record.get(column)?.parse::<i64>().ok();
        let (hour, minute) = (number("hour")?, number("minute")?);
        let day = days_from_date(number("year")?, number("month")?, number("day")?);
        Some(Self {
            origin: record.get("origin")?.to_owned(),
            carrier: record.get("carrier")?.to_owned(),
            scheduled_ms: ((day * 24 + hour) * 60 + minute) * 60_000,
            delay_minutes: record.get("dep_delay")?.parse().ok(),
        })
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar. The algorithm is `days_from_civil`
/// of Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date, `2013-01-31`, of a number of days since 1970-01-01: `civil_from_days`, as above.
pub(crate) fn date_of_day(days: i64) -> String {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[test]
fn dates_and_days_agree() {
    assert_eq!(days_from_date(1970, 1, 1), 0);
    assert_eq!(days_from_date(2013, 1, 1), 15_706);
    assert_eq!(date_of_day(15_706 + 58), "2013-02-28");
    assert_eq!(date_of_day(days_from_date(2012, 2, 29)), "2012-02-29");
}
