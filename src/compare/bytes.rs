//! Two contents: which bytes differ.

/// Differing bytes with fewer equal ones between them are one range.
const GAP: usize = 8;
/// The most ranges that are told.
const MOST_RANGES: usize = 4;

/// What to say of two contents that differ; `None` when they do not.
pub(super) fn differing(one: &[u8], other: &[u8]) -> Option<String> {
    let first = one.iter().zip(other).position(|(a, b)| a != b);
    if one.len() != other.len() {
        let at = first.unwrap_or(one.len().min(other.len()));
        return Some(format!("{} bytes, rebuilt {}; they differ from byte {at} on", one.len(), other.len()));
    }
    let first = first?;
    let ranges = ranges(one, other, first);
    let told = |&(start, end): &(usize, usize)| match end - start {
        1 => format!("byte {start} is {}, rebuilt {}", hex(&one[start..end]), hex(&other[start..end])),
        2..=8 => {
            format!("bytes {start}-{} are {}, rebuilt {}", end - 1, hex(&one[start..end]), hex(&other[start..end]))
        }
        _ => format!("bytes {start}-{} differ", end - 1),
    };
    let mut parts: Vec<String> = ranges.iter().take(MOST_RANGES).map(told).collect();
    if let Some(more) = ranges.len().checked_sub(MOST_RANGES).filter(|more| *more > 0) {
        parts.push(format!("and {more} more ranges"));
    }
    Some(format!("{} (of {})", parts.join(", "), one.len()))
}

/// The ranges that differ, each a start and an end.
fn ranges(one: &[u8], other: &[u8], first: usize) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let differing = one.iter().zip(other).enumerate().skip(first).filter(|(_, (a, b))| a != b);
    for (at, _) in differing {
        match ranges.last_mut() {
            Some((_, end)) if at - *end < GAP => *end = at + 1,
            _ => ranges.push((at, at + 1)),
        }
    }
    ranges
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::differing;

    #[test]
    fn ranges_are_named() {
        assert_eq!(differing(b"abc", b"abc"), None);
        assert_eq!(differing(b"abc", b"aXc").unwrap(), "byte 1 is 0x62, rebuilt 0x58 (of 3)");
        assert_eq!(differing(b"abc", b"ab").unwrap(), "3 bytes, rebuilt 2; they differ from byte 2 on");
        let (mut one, other) = (vec![0; 100], vec![0; 100]);
        one[3..20].fill(1);
        one[22] = 1;
        one[90] = 1;
        assert_eq!(differing(&one, &other).unwrap(), "bytes 3-22 differ, byte 90 is 0x01, rebuilt 0x00 (of 100)");
    }
}
