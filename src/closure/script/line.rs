//! The first line of a script, as the kernel reads it (`load_script`).

use super::HEAD;

/// What the line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The interpreter's path. Empty where a NUL stands in its place.
    pub(super) interpreter: Vec<u8>,
    /// All that follows it, as one argument.
    pub(super) argument: Option<Vec<u8>>,
    /// Whether the line goes on behind what the kernel reads.
    pub(super) is_cut: bool,
}

/// Why the kernel finds no interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLine {
    /// The file does not begin with `#!`.
    NotThere,
    /// Nothing but blanks follows, or the path does not end within what the kernel reads.
    Unusable,
}

/// Parses the first 256 bytes of a file; of a shorter file, all of it.
pub(super) fn parse(head: &[u8]) -> Result<Line, NoLine> {
    if !head.starts_with(b"#!") {
        return Err(NoLine::NotThere);
    }
    // The kernel's buffer is zero behind the end of the file, and its last byte is never part of the line.
    let mut buffer = [0; HEAD];
    let length = head.len().min(HEAD);
    buffer[..length].copy_from_slice(&head[..length]);
    let newline = memchr::memchr(b'\n', &buffer);
    let blank = |byte: u8| byte == b' ' || byte == b'\t';
    let text = if let Some(end) = newline {
        &buffer[2..end]
    } else {
        let text = &buffer[2..HEAD - 1];
        let start = text.iter().position(|&byte| !blank(byte)).ok_or(NoLine::Unusable)?;
        // Without a later blank or NUL the path may be cut off.
        if !buffer[2 + start..].iter().any(|&byte| blank(byte) || byte == 0) {
            return Err(NoLine::Unusable);
        }
        text
    };
    let end = text.iter().rposition(|&byte| !blank(byte)).ok_or(NoLine::Unusable)?;
    let text = &text[..=end];
    let start = text.iter().position(|&byte| !blank(byte)).ok_or(NoLine::Unusable)?;
    let text = &text[start..];
    let end = text.iter().position(|&byte| blank(byte) || byte == 0).unwrap_or(text.len());
    let (interpreter, rest) = text.split_at(end);
    let argument = match rest.first() {
        Some(&first) if blank(first) => {
            let start = rest.iter().position(|&byte| !blank(byte));
            let argument = start.map_or(b"".as_slice(), |start| &rest[start..]);
            let end = memchr::memchr(0, argument).unwrap_or(argument.len());
            (!argument[..end].is_empty()).then(|| argument[..end].to_vec())
        }
        _ => None,
    };
    let is_cut = newline.is_none() && head.len() >= HEAD;
    Ok(Line { interpreter: interpreter.to_vec(), argument, is_cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> Result<(String, Option<String>), NoLine> {
        let line = parse(text)?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ok((text(line.interpreter), line.argument.map(text)))
    }

    #[test]
    fn reads_lines_as_the_kernel_does() {
        let ok = |interpreter: &str, argument: Option<&str>| Ok((interpreter.to_owned(), argument.map(str::to_owned)));
        assert_eq!(parsed(b"#! \t/bin/sh\t -a b  \n"), ok("/bin/sh", Some("-a b")));
        assert_eq!(parsed(b"#!/bin/sh"), ok("/bin/sh", None));
        assert_eq!(parsed(b"#!/bin/sh  x y "), ok("/bin/sh", Some("x y ")));
        assert_eq!(parsed(b"#!/bin/sh\r\n"), ok("/bin/sh\r", None));
        assert_eq!(parsed(b"#!/bin/sh\0junk\n"), ok("/bin/sh", None));
        assert_eq!(parsed(b"#!"), ok("", None));
        assert_eq!(parsed(b"#!   \n"), Err(NoLine::Unusable));
        assert_eq!(parsed(b"\xef\xbb\xbf#!/bin/sh\n"), Err(NoLine::NotThere));
    }

    #[test]
    fn cuts_arguments_and_refuses_cut_paths() {
        let long = [b"#!/bin/sh ".as_slice(), &[b'A'; 400]].concat();
        let line = parse(&long[..256]).unwrap();
        assert!(line.is_cut);
        assert_eq!(line.argument.unwrap().len(), 255 - 10);
        let path = [b"#!/".as_slice(), &[b'l'; 300]].concat();
        assert_eq!(parse(&path[..256]), Err(NoLine::Unusable));
    }
}
