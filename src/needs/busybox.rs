//! busybox with a link for each of its applets, whose names are in its own bytes.

use std::collections::BTreeSet;

use memchr::memmem;

use super::bring::Found;
use super::lookup::{place, there, unreadable};
use super::rules::Rule;
use super::template::Folders;
use super::trigger::folder_named;
use super::{Seen, Want, lookup};
use crate::path::ImagePath;
use crate::report::Result;
use crate::tree::{Entry, EntryKind, Rank, Reason};

/// A busybox with every applet and debug information is 30 MB.
const LARGEST: u64 = 256 << 20;

/// Adds the first busybox of the rule's paths that the root has, and links in /bin. A name that the image has already
/// keeps its own program.
pub(super) fn add(rule: &Rule, seen: &Seen<'_>, reason: &Reason, found: &mut Found) -> Result<()> {
    let templates = rule.add.iter().flat_map(|add| &add.copy);
    for pattern in templates.flat_map(|template| template.patterns(&Folders::new())) {
        found.looked.extend(lookup::literal(&pattern).map(|path| crate::path::show(&path)));
        let Some(path) = lookup::find(seen.view, &pattern)?.into_iter().next() else { continue };
        let Some(program) = there(seen.view, &path)? else { continue };
        let Some(content) = program.node.content() else { continue };
        let bytes = content.read(LARGEST).map_err(|error| unreadable(seen.view, &path, &error))?;
        found.wants.push(Want::Copy(path));
        for applet in applets(&bytes) {
            let (link, _) = place(seen.view, &folder_named("/bin").join(applet))?;
            if link != program.real && seen.image.get(&link).is_none() {
                let kind = EntryKind::Symlink(target(&link, &program.real));
                found.wants.push(Want::Make(link, Entry::new(kind, 0o777, Rank::Need, reason.clone())));
            }
        }
        return Ok(());
    }
    Ok(())
}

/// What a link says: the bare name of a program beside it, else its path.
fn target(link: &ImagePath, program: &ImagePath) -> Vec<u8> {
    if link.parent() == program.parent() { program.name().to_vec() } else { program.as_bytes().to_vec() }
}

/// The names of the applets: busybox's `applet_names`, NUL-terminated strings in the order of their bytes up to an
/// empty one. Of all places where `sh` could be one of them, the longest run counts.
fn applets(bytes: &[u8]) -> Vec<&[u8]> {
    let is_name = |name: &[u8]| {
        (1..=32).contains(&name.len())
            && name.first().is_some_and(|first| first.is_ascii_lowercase() || *first == b'[')
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"[-_.+".contains(byte))
    };
    let mut best: Vec<&[u8]> = Vec::new();
    for hit in memmem::find_iter(bytes, b"\0sh\0") {
        let mut names: Vec<&[u8]> = vec![&bytes[hit + 1..hit + 3]];
        let mut end = hit;
        while let Some(start) = memchr::memrchr(0, &bytes[..end]).map(|nul| nul + 1) {
            let name = &bytes[start..end];
            if !is_name(name) || names.last().is_some_and(|next| name >= *next) {
                break;
            }
            names.push(name);
            end = start - 1;
        }
        names.reverse();
        for name in bytes[hit + 4..].split(|&byte| byte == 0) {
            if !is_name(name) || names.last().is_some_and(|last| name <= *last) {
                break;
            }
            names.push(name);
        }
        if names.len() > best.len() {
            best = names;
        }
    }
    let unique: BTreeSet<&[u8]> = best.into_iter().collect();
    unique.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applets_are_the_longest_sorted_run() {
        let bytes = b"x\0sh\0-c\0junk!\0[\0[[\0ash\0cat\0ls\0sh\0wc\0\0zz\0";
        let names: Vec<_> = applets(bytes).into_iter().map(|name| str::from_utf8(name).unwrap()).collect();
        assert_eq!(names, ["[", "[[", "ash", "cat", "ls", "sh", "wc"]);
        assert!(applets(b"no table").is_empty());
    }
}
