//! Dynamic string tokens, `$ORIGIN`, `$LIB` and `$PLATFORM`, and the lists of directories in which they stand.

use std::sync::Arc;

use super::Bytes;

/// What the tokens stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    /// The directory of the object; None where it is not known.
    pub(super) origin: Option<&'a [u8]>,
    /// The loader's library directory, as `lib/x86_64-linux-gnu`.
    pub(super) lib: &'a [u8],
    /// The processor's name.
    pub(super) platform: Option<&'a [u8]>,
    /// For a program with `AT_SECURE`: the directories below which `$ORIGIN` may lead.
    pub(super) trusted: Option<Trusted<'a>>,
}

/// What a loader trusts under `AT_SECURE`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trusted<'a> {
    /// Its system directories, each with a slash at the end.
    pub(super) directories: &'a [Bytes],
    /// Whether the object is the program itself, whose expanded paths are checked against them.
    pub(super) is_program: bool,
}

/// Whether a known token stands in a text.
pub(super) fn has_token(text: &[u8]) -> bool {
    memchr::memchr_iter(b'$', text).any(|dollar| token(&text[dollar + 1..]).is_some())
}

/// Whether `$PLATFORM` stands in a text.
pub(super) fn has_platform(text: &[u8]) -> bool {
    memchr::memchr_iter(b'$', text).any(|dollar| matches!(token(&text[dollar + 1..]), Some((Token::Platform, _))))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Origin,
    Platform,
    Lib,
}

/// The token that follows a `$`, and its length. A bare one ends before a character that is no part of a name.
fn token(text: &[u8]) -> Option<(Token, usize)> {
    let known = [(Token::Origin, b"ORIGIN".as_slice()), (Token::Platform, b"PLATFORM"), (Token::Lib, b"LIB")];
    known.into_iter().find_map(|(token, name)| {
        if let Some(braced) = text.strip_prefix(b"{") {
            let rest = braced.strip_prefix(name)?;
            return rest.starts_with(b"}").then_some((token, name.len() + 2));
        }
        let rest = text.strip_prefix(name)?;
        let ends = !rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        ends.then_some((token, name.len()))
    })
}

/// A text with its tokens replaced. None where a token has no value, and the text must be dropped.
pub(super) fn expand(text: &[u8], tokens: &Tokens<'_>) -> Option<Vec<u8>> {
    let mut result = Vec::with_capacity(text.len());
    let mut check = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte != b'$' {
            result.push(byte);
            continue;
        }
        let Some((token, length)) = token(&text[at..]) else {
            result.push(b'$');
            continue;
        };
        let value = match token {
            Token::Origin => {
                if let Some(trusted) = tokens.trusted {
                    let whole = matches!(text.get(at + length), None | Some(b'/'));
                    if at != 1 || !whole {
                        return None;
                    }
                    check = trusted.is_program;
                }
                tokens.origin
            }
            Token::Platform => tokens.platform,
            Token::Lib => Some(tokens.lib),
        };
        result.extend(value?);
        at += length;
    }
    match tokens.trusted {
        Some(trusted) if check && !is_trusted(&result, trusted.directories) => None,
        _ => Some(result),
    }
}

/// Whether a path, after `.` and `..` are taken out of its text, lies below one of the directories.
fn is_trusted(path: &[u8], directories: &[Bytes]) -> bool {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let mut normal = b"/".to_vec();
    for part in parts {
        normal.extend(part);
        normal.push(b'/');
    }
    directories.iter().any(|directory| normal.starts_with(directory))
}

/// An element of a list of directories: with a slash at the end, or empty for the working directory.
#[derive(Debug, Clone, Default)]
pub(super) struct PathList {
    pub(super) directories: Vec<Bytes>,
    /// Elements that were dropped, because a token in them has no value here.
    pub(super) dropped: Vec<Bytes>,
}

/// Splits a list of directories, expands the tokens, and leaves each directory once.
pub(super) fn split(list: &[u8], separators: &[u8], tokens: &Tokens<'_>) -> PathList {
    let mut found = PathList::default();
    if list.is_empty() {
        return found;
    }
    for element in list.split(|byte| separators.contains(byte)) {
        let directory = match expand(element, tokens) {
            None => {
                found.dropped.push(Arc::from(element));
                continue;
            }
            Some(directory) if directory.is_empty() && !element.is_empty() => continue,
            Some(directory) => with_slash(directory),
        };
        if !found.directories.iter().any(|known| **known == directory) {
            found.directories.push(Arc::from(directory));
        }
    }
    found
}

/// Exactly one slash at the end; an empty one stays empty.
fn with_slash(mut directory: Vec<u8>) -> Vec<u8> {
    if directory.is_empty() {
        return directory;
    }
    while directory.len() > 1 && directory.ends_with(b"/") {
        directory.pop();
    }
    if !directory.ends_with(b"/") {
        directory.push(b'/');
    }
    directory
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &[u8]) -> Option<Vec<u8>> {
        let tokens = Tokens { origin: Some(b"/o"), lib: b"lib64", platform: None, trusted: None };
        expand(text, &tokens)
    }

    #[test]
    fn knows_its_tokens() {
        assert_eq!(expanded(b"$ORIGIN/../$LIB").as_deref(), Some(b"/o/../lib64".as_slice()));
        assert_eq!(expanded(b"${ORIGIN}x").as_deref(), Some(b"/ox".as_slice()));
        assert_eq!(expanded(b"/$ORIGINAL:$NOPE$").as_deref(), Some(b"/$ORIGINAL:$NOPE$".as_slice()));
        assert_eq!(expanded(b"/a/$PLATFORM"), None);
        assert_eq!(expanded(b"${ORIGIN"), Some(b"${ORIGIN".to_vec()));
    }
}
