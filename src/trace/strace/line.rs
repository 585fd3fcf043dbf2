//! One line of a log: whose it is, and what it is, after pids and times.

use crate::trace::Pid;

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A call with its result.
    Whole(&'a [u8]),
    /// The first part of a call.
    Unfinished(&'a [u8]),
    /// What continues the first part.
    Resumed(&'a [u8]),
    /// The end of a process.
    Ended,
    /// A signal, or what strace says of itself.
    Other,
    /// Anything else.
    Unknown,
}

/// Splits off the pid, `[pid 12]`, `[pid 12<nginx>]` or `12`, and times.
pub(super) fn line(text: &[u8]) -> (Option<Pid>, Line<'_>) {
    let text = text.trim_ascii();
    if text.starts_with(b"strace: ") || text.starts_with(b"> ") {
        return (None, Line::Other);
    }
    let (pid, mut rest) = pid(text);
    while let Some(after) = time(rest) {
        rest = after;
    }
    (pid, kind(rest))
}

fn kind(rest: &[u8]) -> Line<'_> {
    const UNFINISHED: &[u8] = b"<unfinished ...>";
    if rest.starts_with(b"+++ exited") || rest.starts_with(b"+++ killed") {
        return Line::Ended;
    }
    if rest.starts_with(b"+++") || rest.starts_with(b"---") || rest.starts_with(b"strace: ") {
        return Line::Other;
    }
    if rest.starts_with(b"<... ") {
        let after = rest.windows(8).position(|part| part == b"resumed>").map(|at| &rest[at + 8..]);
        return after.map_or(Line::Unknown, Line::Resumed);
    }
    if let Some(start) = rest.strip_suffix(UNFINISHED) {
        return Line::Unfinished(start.trim_ascii_end());
    }
    if rest.contains(&b'(') { Line::Whole(rest) } else { Line::Unknown }
}

fn pid(text: &[u8]) -> (Option<Pid>, &[u8]) {
    let (inside, after) = if let Some(rest) = text.strip_prefix(b"[pid") {
        let Some(end) = rest.iter().position(|&byte| byte == b']') else { return (None, text) };
        (rest[..end].trim_ascii(), &rest[end + 1..])
    } else {
        text.split_at(text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len()))
    };
    let digits = inside.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_pid = digits > 0 && (digits == inside.len() || inside[digits] == b'<');
    let number = std::str::from_utf8(&inside[..digits]).ok().and_then(|digits| digits.parse().ok());
    match number.filter(|_| is_pid && !after.is_empty()) {
        // With -t alone and no pid a line begins with a time, which has a colon or a dot.
        Some(number) => (Some(number), after.trim_ascii_start()),
        None => (None, text),
    }
}

/// What follows a time: `12:00:00`, `12:00:00.123456`, `1700000000.123456`, `0.000123`, `(+ 0.000123)`.
fn time(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"(+") {
        let end = rest.iter().position(|&byte| byte == b')')?;
        return Some(rest[end + 1..].trim_ascii_start());
    }
    let end = text.iter().position(u8::is_ascii_whitespace)?;
    let word = text[..end].strip_prefix(b"+").unwrap_or(&text[..end]);
    let is_time = word.first().is_some_and(u8::is_ascii_digit)
        && word.iter().all(|&byte| byte.is_ascii_digit() || byte == b':' || byte == b'.');
    is_time.then(|| text[end..].trim_ascii_start())
}
