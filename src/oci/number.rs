//! The numbers of tar headers: octal digits, or GNU's binary form.

/// A number that can't be negative.
pub(super) fn unsigned(field: &[u8]) -> Option<u64> {
    u64::try_from(signed(field)?).ok()
}

/// A number: octal digits between spaces and NULs, an empty field for 0; with the first bit set, big-endian in two's
/// complement.
pub(super) fn signed(field: &[u8]) -> Option<i64> {
    if field.first()? & 0x80 != 0 {
        return binary(field);
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|&byte| byte == 0 || byte == b' ').unwrap_or(digits.len());
    let (digits, padding) = digits.split_at(end);
    if !padding.iter().all(|&byte| byte == 0 || byte == b' ') {
        return None;
    }
    digits.iter().try_fold(0i64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn binary(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    // The marking bit is no part of the number; the one after it is its sign.
    let start = if first & 0x40 == 0 { i64::from(first & 0x3f) } else { i64::from(first) - 0x100 };
    rest.iter().try_fold(start, |value, &byte| value.checked_mul(256)?.checked_add(i64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        for (field, value) in [
            (b"0000644\0".as_slice(), Some(0o644)),
            (b"     17 ", Some(15)),
            (b"\0\0\0\0", Some(0)),
            (b"7777777", Some(0o7_777_777)),
            (b"12 34\0", None),
            (b"0009\0", None),
            (b"-1\0", None),
            (b"\x80\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\x80\0\0\0\0\0\0\0", None),
            (b"\x90\0\0\0\0\0\0\0\0\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(signed(field), value, "{field:?}");
        }
        assert_eq!(unsigned(b"\xff\xff"), None);
    }
}
