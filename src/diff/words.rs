//! How what differs reads: sizes, files, needs.

use std::fmt::Write as _;

use super::json::{kind, target};
use super::{FileChange, Led};
use crate::oci::Kind;
use crate::output::Fact;
use crate::report::megabytes;

/// A change of bytes with its sign: `+1.2 MB`, `-12 B`, `0 B`.
pub fn signed(change: i64) -> String {
    let sign = match change {
        ..=-1 => "-",
        0 => "",
        1.. => "+",
    };
    format!("{sign}{}", megabytes(change.unsigned_abs()))
}

/// A change in percent of what was there, as `+4.8 %`; nothing where nothing was there.
pub fn percent([from, to]: [u64; 2]) -> String {
    if from == 0 || from == to {
        return String::new();
    }
    let tenths = (i128::from(to) - i128::from(from)) * 1000 / i128::from(from);
    let sign = if to > from { "+" } else { "-" };
    let tenths = tenths.unsigned_abs();
    format!("{sign}{}.{} %", tenths / 10, tenths % 10)
}

/// A digest as people read it: its first twelve digits.
pub(super) fn short(digest: crate::oci::Digest) -> String {
    format!("sha256:{}", &digest.hex()[..12])
}

/// A text on one line: control characters, which a terminal would act on, are written out.
pub(super) fn plain(text: &str) -> String {
    let show = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
    text.chars().map(show).collect()
}

/// What became of a file, in words: `bytes, 668.5 kB -> 669.0 kB; mode 0755 -> 4755`.
pub fn became(file: &FileChange) -> String {
    let [Some(from), Some(to)] = &file.sides else {
        return file.sides.iter().flatten().map(described).collect();
    };
    let part = |what: &&str| match *what {
        "kind" => format!("{} -> {}", described(from), described(to)),
        "bytes" if from.size == to.size => format!("other bytes, {}", megabytes(to.size)),
        "bytes" => format!("{} -> {}", megabytes(from.size), megabytes(to.size)),
        "target" => {
            let [from, to] = [from, to].map(|fact| plain(&target(fact).unwrap_or_default()));
            format!("link to {from} -> {to}")
        }
        "mode" => format!("mode {:04o} -> {:04o}", from.mode, to.mode),
        "owner" => format!("owner {}:{} -> {}:{}", from.uid, from.gid, to.uid, to.gid),
        "mtime" => format!("mtime {} -> {}", from.mtime, to.mtime),
        _ => {
            let names = |fact: &Fact| -> String {
                let names: Vec<&str> = fact.xattrs.iter().map(|(name, _)| name.as_str()).collect();
                if names.is_empty() { "none".to_owned() } else { plain(&names.join(", ")) }
            };
            format!("xattrs {} -> {}", names(from), names(to))
        }
    };
    file.what.iter().map(part).collect::<Vec<_>>().join("; ")
}

/// `file, 1.2 kB`, `link to x`; the mode where it is none of the usual ones.
fn described(fact: &Fact) -> String {
    let mut text = match target(fact) {
        Some(target) => format!("{} to {}", kind(fact), plain(&target)),
        None if fact.size > 0 => format!("{}, {}", kind(fact), megabytes(fact.size)),
        None => kind(fact).to_owned(),
    };
    let is_usual = match fact.kind {
        Kind::Symlink(_) => true,
        Kind::Directory => fact.mode == 0o755,
        _ => matches!(fact.mode, 0o644 | 0o755),
    };
    if !is_usual {
        let _ = write!(text, ", {:04o}", fact.mode);
    }
    if (fact.uid, fact.gid) != (0, 0) {
        let _ = write!(text, ", {}:{}", fact.uid, fact.gid);
    }
    text
}

/// What became of a need: `libssl.so.3 (/usr/lib/libssl.so.3)`.
pub fn led(to: Option<&Led>) -> String {
    match to {
        None => "not needed".to_owned(),
        Some(Led::Nowhere) => "not found".to_owned(),
        Some(Led::To(path)) => path.to_string(),
    }
}

/// The sign of a change: `+` for what is new, `-` for what is gone, `~` for the rest.
pub(super) fn sign<T>(sides: &[Option<T>; 2]) -> &'static str {
    match sides {
        [None, _] => "+",
        [_, None] => "-",
        _ => "~",
    }
}
