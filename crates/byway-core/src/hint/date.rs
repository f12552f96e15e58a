//! `HTTP-date` in its three forms (RFC 9110 §5.6.7), of which two are obsolete and still sent.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reads a date; the name of its day is not compared with it.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let parts: Vec<&str> =
        text.split([' ', ',', '-']).filter(|part| !part.is_empty()).take(7).collect();
    let at = match *parts.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT, and Sunday, 06-Nov-94 08:49:37 GMT
        [day_name, day, month, year, time, "GMT" | "UTC"] if is_day(day_name) => {
            let at = instant(full_year(year, now)?, month, day, time)?;
            // Two digits that seem to be more than 50 years ahead are of the century before.
            let is_short = year.len() == 2;
            let far = now.checked_add(SignedDuration::from_hours(24 * 36_525 / 2)).ok()?;
            if is_short && at > far {
                instant(full_year(year, now)?.checked_sub(100)?, month, day, time)?
            } else {
                at
            }
        }
        // Sun Nov  6 08:49:37 1994
        [day_name, month, day, time, year] if is_day(day_name) && year.len() == 4 => {
            instant(full_year(year, now)?, month, day, time)?
        }
        // With an offset instead of GMT (RFC 5322), which is nobody's HTTP.
        _ => jiff::fmt::rfc2822::parse(text).ok()?.timestamp(),
    };
    Some(at)
}

fn is_day(name: &str) -> bool {
    name.len() >= 3 && name.bytes().all(|b| b.is_ascii_alphabetic())
}

/// Four digits, or two of the present century.
fn full_year(text: &str, now: Timestamp) -> Option<i16> {
    let year: i16 = text.parse().ok().filter(|year| *year >= 0)?;
    match text.len() {
        4 => Some(year),
        2 => Some(now.to_zoned(TimeZone::UTC).year() / 100 * 100 + year),
        _ => None,
    }
}

fn instant(year: i16, month: &str, day: &str, time: &str) -> Option<Timestamp> {
    let month = MONTHS.iter().position(|name| month.eq_ignore_ascii_case(name))?;
    let month = i8::try_from(month + 1).ok()?;
    let mut time = time.split(':').map(|part| part.parse::<i8>().ok().filter(|_| part.len() == 2));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if time.next().is_some() {
        return None;
    }
    // A leap second is the end of its minute.
    let second = if second == 60 { 59 } else { second };
    let at = DateTime::new(year, month, day.parse().ok()?, hour, minute, second, 0).ok()?;
    // The last day of the year 9999 is not quite within reach.
    Some(at.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |at| at.timestamp()))
}
