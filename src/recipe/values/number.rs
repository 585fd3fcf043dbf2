//! Numbers in their several dresses: modes, ports, sizes, durations, times.

use super::{Invalid, Parsed, tick};
use crate::recipe::Mtime;

/// Permission bits, three or four octal digits.
pub(in crate::recipe) fn mode(text: &str) -> Parsed<u32> {
    let octal = text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal && (3..=5).contains(&text.len()) && mode <= 0o7777 => Ok(mode),
        _ => Err(Invalid::new(format!("{} is not a mode", tick(text)), "octal digits, as in \"0644\"")),
    }
}

/// `8080`, `53/udp`; as `8080/tcp`.
pub(in crate::recipe) fn port(text: &str) -> Parsed<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if let Some((_, inner)) = number.rsplit_once(':') {
        let invalid =
            Invalid::new(format!("{} names a port of the host", tick(text)), "only the port in the image stands here");
        return Err(invalid.help("which port of the host leads to it is said when the image runs").write(inner));
    }
    if number.contains('-') && number.split('-').all(|part| part.parse::<u16>().is_ok()) {
        return Err(Invalid::new(format!("{} is a range of ports", tick(text)), "each port is listed by itself"));
    }
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = number.parse::<u16>().ok().filter(|number| digits && *number > 0) else {
        return Err(Invalid::new(
            format!("{} is not a port", tick(text)),
            "a number from 1 to 65535, as 8080 or \"53/udp\"",
        ));
    };
    if !["tcp", "udp", "sctp"].contains(&protocol) {
        let invalid = Invalid::new(format!("{} is not a protocol of a port", tick(protocol)), "`tcp`, `udp` or `sctp`");
        let protocol = protocol.to_lowercase();
        let known = ["tcp", "udp", "sctp"].contains(&protocol.as_str());
        return Err(if known { invalid.write(format!("{number}/{protocol}")) } else { invalid });
    }
    Ok(format!("{number}/{protocol}"))
}

/// Bytes: `1048576`, `25MB` (10^6), `24MiB` (2^20), `1.5GB`.
pub(in crate::recipe) fn size(text: &str) -> Parsed<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let factor: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    let bytes = if factor == 0 { None } else { scaled(number, factor) };
    bytes.ok_or_else(|| {
        let invalid = Invalid::new(
            format!("{} is not a size", tick(text)),
            "a number of bytes, or with kB, MB, GB, KiB, MiB or GiB",
        );
        let whole = match unit.to_ascii_lowercase().as_str() {
            "k" | "kb" => "kB",
            "m" | "mb" => "MB",
            "g" | "gb" => "GB",
            "ki" | "kib" => "KiB",
            "mi" | "mib" => "MiB",
            "gi" | "gib" => "GiB",
            _ => return invalid,
        };
        if factor == 0 && scaled(number, 1).is_some() { invalid.write(format!("{number}{whole}")) } else { invalid }
    })
}

/// A decimal number times a factor, rounded down; `None` when it is no number or too large.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (whole, digits): (u64, u64) = (whole.parse().ok()?, fraction.parse().ok()?);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u64::try_from(u128::from(digits) * u128::from(factor) / scale).ok()?;
    whole.checked_mul(factor)?.checked_add(part)
}

/// Nanoseconds: `10s`, `1m30s`, `500ms`.
pub(in crate::recipe) fn duration(text: &str) -> Parsed<u64> {
    const UNITS: [(&str, u64); 6] = [
        ("ns", 1),
        ("us", 1000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (mut rest, mut total) = (text, Some(0_u64));
    while !rest.is_empty() && total.is_some() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
        let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        total = total.zip(factor).and_then(|(total, factor)| total.checked_add(scaled(number, factor)?));
        rest = tail;
    }
    match total {
        Some(total) if (1_000_000..=i64::MAX as u64).contains(&total) => Ok(total),
        _ => {
            let invalid = Invalid::new(
                format!("{} is not a duration", tick(text)),
                "as `10s`, `1m30s` or `500ms`, at least `1ms`",
            );
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text != "0";
            Err(if is_number { invalid.write(format!("{text}s")) } else { invalid })
        }
    }
}

/// `content`, or seconds since 1970.
pub(in crate::recipe) fn mtime(text: &str) -> Parsed<Mtime> {
    if text == "content" {
        return Ok(Mtime::Content);
    }
    // Eleven octal digits of a ustar header.
    match text.parse::<i64>() {
        Ok(seconds) if (0..=0o777_7777_7777).contains(&seconds) => Ok(Mtime::Unix(seconds)),
        _ => {
            Err(Invalid::new(format!("{} is not a modification time", tick(text)), "seconds since 1970, or `content`"))
        }
    }
}

/// A number within bounds.
pub(in crate::recipe) fn number<T: TryFrom<i64>>(number: i64, least: i64, most: i64, what: &str) -> Parsed<T> {
    let in_range = (least..=most).contains(&number).then(|| T::try_from(number).ok()).flatten();
    in_range
        .ok_or_else(|| Invalid::new(format!("`{number}` is not {what}"), format!("a number from {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(mode("0644"), Ok(0o644));
        assert!(mode("0999").is_err() && mode("").is_err() && mode("+644").is_err() && mode("64").is_err());
        assert_eq!(port("53/udp").as_deref(), Ok("53/udp"));
        assert!(["0", "65536", "8000-8010", "80:80", "+80", "80/icmp", ""].iter().all(|text| port(text).is_err()));
        assert_eq!(size("25MB"), Ok(25_000_000));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        assert!(["", "MB", "1.", "1.MB", "25M", "99999999999999999999", "-1"].iter().all(|text| size(text).is_err()));
        assert_eq!(duration("1m30s"), Ok(90_000_000_000));
        assert!(["", "10", "s", "1s1", "1d", "0s", "-1s", "1.s"].iter().all(|text| duration(text).is_err()));
    }
}
