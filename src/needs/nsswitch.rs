//! The words of the image's nsswitch.conf that name modules.

use std::collections::BTreeMap;

use super::bring::Found;
use super::follow::{Line, missing};
use super::lookup::{there, unreadable};
use super::trigger::{folder_named, library_folder};
use super::{Seen, Want};
use crate::path::ImagePath;
use crate::report::{Error, Result};

/// The file is a page of text.
const LARGEST: u64 = 1 << 20;

/// Adds the modules that nsswitch.conf names, for libc to load.
///
/// # Errors
/// Every module that is not in the root.
pub(super) fn add(seen: &Seen<'_>, mounts: &[ImagePath], found: &mut Found) -> Result<()> {
    let path = folder_named("/etc/nsswitch.conf");
    let Some(file) = there(seen.image, &path)? else { return Ok(()) };
    let Some(content) = file.node.content() else { return Ok(()) };
    let text = content.read(LARGEST).map_err(|error| unreadable(seen.image, &path, &error))?;
    let by = seen.objects.iter().find(|object| object.is(b"libc.so.6")).map(|libc| &libc.real);
    let folder = library_folder(seen)?;
    let (mut known, mut faults) = (BTreeMap::new(), Vec::new());
    for (number, word) in words(&String::from_utf8_lossy(&text)) {
        if word != "files" && word != "dns" {
            known.entry(word).or_insert(number);
        }
    }
    for (word, number) in known {
        let name = format!("libnss_{word}.so.2");
        let beside = folder.as_ref().map(|folder| folder.join(name.as_bytes()));
        if let Some(module) = beside
            && there(seen.view, &module)?.is_none()
        {
            if let Err(Error(more)) = missing(&Line { file: &path, number }, &name, seen, mounts, found) {
                faults.extend(more);
            }
            continue;
        }
        found.wants.push(Want::Load { name: name.into_bytes(), by: by.cloned() });
    }
    if faults.is_empty() { Ok(()) } else { Err(Error(faults)) }
}

/// `database: word [STATUS=action] word`, `#` begins a comment (nsswitch.conf(5)).
fn words(text: &str) -> impl Iterator<Item = (usize, String)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(line)).enumerate();
    lines.filter_map(|(index, line)| Some((index, line.split_once(':')?.1))).flat_map(|(index, services)| {
        let outside = services.split('[').enumerate().map(|(index, part)| match index {
            0 => part,
            _ => part.split_once(']').map_or("", |(_, rest)| rest),
        });
        let names = |part: &str| part.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let plain = |word: &String| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        outside.flat_map(names).filter(plain).map(|word| (index + 1, word)).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_comments_are_no_words() {
        let text = "# hosts: nis\npasswd:files sss\nhosts: files mdns4_minimal [NOTFOUND=return] dns#x\nbroken\n";
        let words: Vec<_> = words(text).map(|(line, word)| format!("{line} {word}")).collect();
        assert_eq!(words, ["2 files", "2 sss", "3 files", "3 mdns4_minimal", "3 dns"]);
    }
}
