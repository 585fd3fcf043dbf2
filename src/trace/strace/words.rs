//! The arguments and the result of one call as strace writes them.

use crate::trace::{Arguments, Flag, Handle, Outcome};

/// The arguments of a call, each as its text, and what stands after `=`.
pub(super) struct Words<'a> {
    arguments: Vec<&'a [u8]>,
    result: &'a [u8],
}

impl<'a> Words<'a> {
    /// `name(argument, argument) = result`; `None` for a line of another form.
    pub(super) fn of(text: &'a [u8]) -> Option<(String, Self)> {
        let open = text.iter().position(|&byte| byte == b'(')?;
        let name = std::str::from_utf8(&text[..open]).ok()?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let (mut arguments, mut start) = (Vec::new(), open + 1);
        let mut depth = 0_usize;
        let mut at = open + 1;
        while let Some(&byte) = text.get(at) {
            match byte {
                b'"' => at = end_of_string(text, at),
                // The path or socket of a descriptor: `3</etc/passwd>`; a shift in a flag's text has a space before it.
                b'<' if at > start && text[at - 1].is_ascii_alphanumeric() => at = end_of_path(text, at),
                b'(' | b'[' | b'{' => depth += 1,
                b')' if depth == 0 => {
                    let last = text[start..at].trim_ascii();
                    arguments.extend((!last.is_empty()).then_some(last));
                    let rest = text[at + 1..].trim_ascii();
                    return Some((name.to_owned(), Self { arguments, result: rest.strip_prefix(b"=")?.trim_ascii() }));
                }
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    arguments.push(text[start..at].trim_ascii());
                    start = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        None
    }

    /// How the call ended; `None` when that was not seen.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let result = self.result;
        if result.starts_with(b"?") {
            return None;
        }
        // A process's number in its own namespace, then the one that strace knows it by: `5 /* 1234 in strace's PID NS
        // */`.
        let comment = result.windows(3).position(|part| part == b"/* ").map(|at| &result[at + 3..]);
        if let Some(comment) = comment.filter(|text| text.windows(6).any(|part| part == b"PID NS")) {
            return Some(Outcome::Done(integer(comment)?));
        }
        let value = integer(result)?;
        if value != -1 {
            return Some(Outcome::Done(value));
        }
        let error = result.strip_prefix(b"-1")?.trim_ascii_start();
        let absent = [b"ENOENT".as_slice(), b"ENOTDIR"].iter().any(|name| error.starts_with(name));
        Some(if absent { Outcome::Absent } else { Outcome::Failed })
    }

    fn get(&self, place: usize) -> Option<&'a [u8]> {
        self.arguments.get(place).copied()
    }
}

impl Arguments for Words<'_> {
    fn path(&self, place: usize) -> Option<Vec<u8>> {
        let text = self.get(place)?;
        let text = text.strip_prefix(b"\"")?;
        let end = end_of_string(self.get(place)?, 0);
        // `"abc"...` was cut off.
        if self.get(place)?.get(end + 1..).is_some_and(|rest| rest.starts_with(b"...")) {
            return None;
        }
        Some(unescaped(text.get(..end.checked_sub(1)?)?))
    }

    fn handle(&self, place: usize) -> Option<Handle> {
        let text = self.get(place)?;
        let known = text.iter().position(|&byte| byte == b'<').map(|at| &text[at + 1..]);
        let known = known.and_then(|known| known.strip_suffix(b">")).map(unescaped);
        if let Some(path) = known.filter(|path| path.starts_with(b"/")) {
            let path = path.strip_suffix(b" (deleted)").unwrap_or(&path).to_vec();
            return Some(Handle::Known(path));
        }
        if text.starts_with(b"AT_FDCWD") {
            return Some(Handle::Cwd);
        }
        match integer(text)? {
            -100 | 0xffff_ff9c => Some(Handle::Cwd),
            number => Some(Handle::Descriptor(i32::try_from(number).ok()?)),
        }
    }

    fn number(&self, place: usize) -> Option<i64> {
        match self.get(place)? {
            b"F_DUPFD" => Some(0),
            b"F_DUPFD_CLOEXEC" => Some(1030),
            text => integer(text),
        }
    }

    fn has(&self, place: usize, flag: Flag) -> bool {
        // Of clone the flags stand by their name, wherever: `clone(child_stack=NULL, flags=CLONE_VM|...)`.
        let named = flag.name.starts_with("CLONE");
        let texts = self.arguments.iter().enumerate().filter(|(at, _)| named || *at == place);
        texts.into_iter().any(|(_, text)| {
            let mut words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
            let raw = text.strip_prefix(b"flags=").unwrap_or(text);
            let raw = raw.strip_prefix(b"{flags=").unwrap_or(raw);
            let bits = integer(raw).map_or(0, i64::cast_unsigned);
            words.any(|word| word == flag.name.as_bytes()) || bits & flag.bits == flag.bits
        })
    }

    fn socket(&self, place: usize) -> Option<Vec<u8>> {
        let text = self.get(place)?;
        let at = text.windows(10).position(|part| part == b"sun_path=\"")? + 9;
        let end = end_of_string(text, at);
        Some(unescaped(text.get(at + 1..end)?)).filter(|path| !path.is_empty())
    }
}

/// The place of the quote that ends the string that begins at `at`; the last byte when none does.
fn end_of_string(text: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(&byte) = text.get(end) {
        match byte {
            b'\\' => end += 2,
            b'"' => return end,
            _ => end += 1,
        }
    }
    text.len().saturating_sub(1)
}

/// The place of the `>` that ends what begins with the `<` at `at`: strace escapes both in paths, but not in `[a->b]`.
fn end_of_path(text: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    for (place, &byte) in text.iter().enumerate().skip(at) {
        match byte {
            b'<' => depth += 1,
            b'>' if text[place - 1] == b'-' => {}
            b'>' => {
                depth -= 1;
                if depth == 0 {
                    return place;
                }
            }
            _ => {}
        }
    }
    at
}

/// A number at the beginning: decimal, `0x..` or octal with a leading `0`.
fn integer(text: &[u8]) -> Option<i64> {
    let end = text.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-').unwrap_or(text.len());
    let word = std::str::from_utf8(&text[..end]).ok()?;
    if let Some(hex) = word.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(u64::cast_signed);
    }
    if let Some(octal) = word.strip_prefix('0').filter(|octal| !octal.is_empty()) {
        return i64::from_str_radix(octal, 8).ok();
    }
    word.parse().ok()
}

/// A string without strace's escapes: `\n`, `\"`, `\12`, `\x2f`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some((&kind, after)) = rest.split_first() else { break };
        let (most, radix, digits) = match kind {
            b'x' => (2, 16, after),
            b'0'..=b'7' => (3, 8, rest),
            _ => {
                rest = after;
                bytes.push(match kind {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    other => other,
                });
                continue;
            }
        };
        let count = digits.iter().take(most).take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let number = std::str::from_utf8(&digits[..count]).ok().and_then(|text| u32::from_str_radix(text, radix).ok());
        bytes.push(number.and_then(|number| u8::try_from(number).ok()).unwrap_or(b'?'));
        rest = &digits[count..];
    }
    bytes
}
