//! Times as the OCI documents hold them.

use super::BAD_CONFIG;
use crate::recipe::civil;
use crate::report::{Diagnostic, Result};

const DAY: i64 = 24 * 60 * 60;

/// Seconds since 1970 as `2024-02-29T12:00:00Z` (RFC 3339, whose years have four digits).
///
/// # Errors
/// When the year has not.
pub(super) fn rfc3339(seconds: i64) -> Result<String> {
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    if !(0..=9999).contains(&year) {
        let title = format!("`{seconds}` is no time of creation: it lies outside of the years 0 to 9999");
        return Err(Diagnostic::error(BAD_CONFIG, title).help("set SOURCE_DATE_EPOCH to seconds since 1970").into());
    }
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Ok(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn known_times() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (crate::MTIME, "1980-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds).unwrap(), text);
        }
        for seconds in [253_402_300_800, -62_167_219_201, i64::MAX, i64::MIN] {
            assert!(rfc3339(seconds).is_err(), "{seconds}");
        }
    }
}
