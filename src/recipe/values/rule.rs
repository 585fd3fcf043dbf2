//! The words of a policy: names of rules, licences, days.

use std::fmt;

use super::super::Date;
use super::{Invalid, Parsed, tick};

/// The rules that a recipe's policy knows, as the `policy` stage has them.
pub const RULES: [&str; 25] = [
    "shell",
    "setuid",
    "root-user",
    "world-writable",
    "secrets",
    "capabilities",
    "no-pie",
    "partial-relro",
    "exec-stack",
    "unowned",
    "host-root",
    "max-size",
    "max-files",
    "deny-files",
    "deny-packages",
    "allow-packages",
    "symbol-versions",
    "foreign-elf",
    "dlopen",
    "textrel",
    "unsafe-rpath",
    "no-canary",
    "deny-licenses",
    "allow-licenses",
    "max-download",
];

/// Rules that are looked at elsewhere, and of which nothing is waived.
const NEVER_WAIVED: [&str; 3] = ["symbol-versions", "foreign-elf", "max-download"];

/// The name of a rule.
pub(crate) fn rule(text: &str) -> Parsed<String> {
    if NEVER_WAIVED.contains(&text) {
        let invalid = Invalid::new(format!("{} is not waived", tick(text)), "another value of the rule says the same");
        return Err(invalid.help("set the rule itself under [policy]"));
    }
    if RULES.contains(&text) {
        return Ok(text.to_owned());
    }
    let invalid = Invalid::new(format!("{} is no rule of the policy", tick(text)), "expected the name of a rule");
    Err(invalid.or_similar(text, RULES.into_iter()))
}

/// A licence as SPDX names it, as `GPL-3.0-or-later`; an ending `*` stands for anything.
pub(crate) fn license(text: &str) -> Parsed<String> {
    let stem = text.strip_suffix('*').unwrap_or(text);
    let word = |c: char| c.is_ascii_alphanumeric() || "-.+".contains(c);
    if !text.is_empty() && stem.chars().all(word) {
        return Ok(text.to_owned());
    }
    let invalid = Invalid::new(format!("{} is no licence", tick(text)), "expected an identifier of SPDX");
    Err(invalid.help("as \"MIT\", \"GPL-3.0-or-later\", or \"GPL-3.0-*\" for all that begin so"))
}

/// A day, as `2027-01-31`.
pub(crate) fn date(text: &str) -> Parsed<Date> {
    Date::parse(text).ok_or_else(|| Invalid::new(format!("{} is no day", tick(text)), "expected YYYY-MM-DD"))
}

impl Date {
    /// Reads `2027-01-31`; `None` when there is no such day.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shape = bytes.len() == 10
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<u16>().ok();
        if !shape {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, u8::try_from(number(5, 7)?).ok()?, u8::try_from(number(8, 10)?).ok()?);
        let date = Self { year, month, day };
        // A day that is not there is another one when it is counted.
        (year >= 1970 && Self::of_days(date.days()) == date).then_some(date)
    }

    /// The day of a time, in seconds since 1970.
    pub fn of_seconds(seconds: i64) -> Self {
        Self::of_days(seconds.div_euclid(24 * 60 * 60))
    }

    /// Seconds since 1970 at which it begins.
    pub fn seconds(self) -> i64 {
        self.days() * 24 * 60 * 60
    }

    /// Days since 1970-01-01: counted from March on, a leap day is a year's last.
    fn days(self) -> i64 {
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
    }

    fn of_days(days: i64) -> Self {
        let (year, month, day) = civil(days);
        let narrow = |number: i64| u8::try_from(number).unwrap_or(u8::MAX);
        Self { year: u16::try_from(year).unwrap_or(u16::MAX), month: narrow(month), day: narrow(day) }
    }
}

/// Days since 1970-01-01 as year, month and day of the Gregorian calendar: counted from 0000-03-01, a leap day is a
/// year's last.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + carry, month, day)
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        for (seconds, text) in [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_795_651_200, "2026-11-26")] {
            assert_eq!(Date::of_seconds(seconds).to_string(), text);
            assert_eq!(Date::of_seconds(seconds + 86_399).to_string(), text);
            assert_eq!(Date::parse(text), Some(Date::of_seconds(seconds)));
        }
        for text in ["2027-02-29", "2027-13-01", "2027-1-1", "1969-12-31", "2027-00-10", "2027-01-00", "+027-01-01", ""]
        {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert!(Date::parse("2027-01-31") < Date::parse("2027-02-01"));
    }

    #[test]
    fn licences() {
        for text in ["MIT", "GPL-3.0-or-later", "GPL-*", "LicenseRef-x.1", "GPL-2.0+"] {
            assert!(license(text).is_ok(), "{text}");
        }
        for text in ["", "MIT OR Apache-2.0", "*-only", "a b"] {
            assert!(text == "*" || license(text).is_err(), "{text}");
        }
    }
}
