//! The directories that are built into a loader, read from its file.

use std::sync::Arc;

use super::super::Bytes;
use super::super::machine::Port;
use super::super::tree::Tree;

/// The most directories that a loader has.
const MOST: usize = 8;

/// The directories that are compiled into a loader, each with a slash at the end; by the machine's custom where they
/// can't be told.
pub(super) fn system_directories(tree: &Tree<'_>, runs: &[Vec<Bytes>], port: &Port) -> Vec<Bytes> {
    if let Some(list) = runs.iter().find(|run| run.len() > 1) {
        return list.clone();
    }
    // A loader with one directory has no list by which to tell it from other strings.
    // Of one that can't be looked at, the first search in it tells.
    let there = |directory: &[u8]| !matches!(tree.directory(directory), Ok(None));
    let single = runs.iter().flatten().find(|directory| is_library_directory(directory) && there(directory));
    if let Some(single) = single {
        return vec![Arc::clone(single)];
    }
    let multiarch = ["/lib/", "/usr/lib/"].map(|prefix| format!("{prefix}{}/", port.triplet));
    let usual: Vec<&str> = if multiarch.iter().any(|directory| there(directory.as_bytes())) {
        multiarch.iter().map(String::as_str).chain(["/lib/", "/usr/lib/"]).collect()
    } else if port.plain_dirs.iter().any(|directory| there(directory.as_bytes())) {
        port.plain_dirs.to_vec()
    } else {
        vec!["/lib/", "/usr/lib/"]
    };
    usual.into_iter().map(|directory| Arc::from(directory.as_bytes())).collect()
}

/// NUL-terminated paths that end in a slash, one after the other, as `SYSTEM_DIRS` stands in the file.
pub(super) fn runs(loader: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut runs: Vec<Vec<&[u8]>> = Vec::new();
    let mut is_open = false;
    for text in loader.split(|&byte| byte == 0) {
        match runs.last_mut() {
            Some(run) if is_open && is_directory(text) && run.len() < MOST => run.push(text),
            _ => {
                // The first of them may follow code directly, without a NUL before it.
                let first = directory_at_end(text).filter(|directory| is_directory(directory));
                is_open = first.is_some();
                runs.extend(first.map(|first| vec![first]));
            }
        }
    }
    runs
}

fn is_directory(text: &[u8]) -> bool {
    let all = text.iter().all(|&byte| is_directory_character(byte));
    (4..=255).contains(&text.len()) && text.starts_with(b"/") && text.ends_with(b"/") && all
}

fn is_directory_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_./+-".contains(&byte)
}

/// What at the end of some bytes may be a directory, from its first slash.
fn directory_at_end(text: &[u8]) -> Option<&[u8]> {
    let start = text.iter().rposition(|&byte| !is_directory_character(byte)).map_or(0, |last| last + 1);
    let text = &text[start..];
    Some(&text[memchr::memchr(b'/', text)?..])
}

fn is_library_directory(text: &[u8]) -> bool {
    text.split(|&byte| byte == b'/').any(|part| part.starts_with(b"lib"))
}

/// `$LIB`, from the first system directory: without `/usr`, or from the first component that begins with `lib`.
pub(super) fn lib_token(directories: &[Bytes]) -> Vec<u8> {
    let Some(first) = directories.first() else { return b"lib".to_vec() };
    let parts: Vec<&[u8]> = first.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
    let start = parts.iter().position(|part| part.starts_with(b"lib")).unwrap_or(0);
    parts[start..].join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_lists_also_behind_code() {
        let text = b"\0/one/\0\xe5\xff/lib/arm-linux-gnueabihf/\0/lib/\0\x19\0/other/\0/list/\0";
        let runs = runs(text);
        let expected: [&[&[u8]]; 3] =
            [&[b"/one/"], &[b"/lib/arm-linux-gnueabihf/", b"/lib/"], &[b"/other/", b"/list/"]];
        assert_eq!(runs, expected);
    }

    #[test]
    fn derives_lib() {
        let lib = |directory: &[u8]| String::from_utf8(lib_token(&[Arc::from(directory)])).unwrap();
        assert_eq!(lib(b"/lib/x86_64-linux-gnu/"), "lib/x86_64-linux-gnu");
        assert_eq!(lib(b"/usr/lib64/"), "lib64");
        assert_eq!(lib(b"/nix/store/abc-glibc-2.40/lib/"), "lib");
    }
}
