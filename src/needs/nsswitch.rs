//! The words of the image's nsswitch.conf that name modules.

use std::collections::BTreeSet;

use super::bring::Found;
use super::lookup::{there, unreadable};
use super::trigger::folder_named;
use super::{Seen, Want};
use crate::report::Result;

/// The file is a page of text.
const LARGEST: u64 = 1 << 20;

/// Adds the modules that nsswitch.conf names, for libc to load.
pub(super) fn add(seen: &Seen<'_>, found: &mut Found) -> Result<()> {
    let by = seen.objects.iter().find(|object| object.is(b"libc.so.6")).map(|libc| &libc.real);
    let load = |word| Want::Load { name: format!("libnss_{word}.so.2").into_bytes(), by: by.cloned() };
    found.wants.extend(modules(seen)?.into_iter().map(load));
    Ok(())
}

/// The modules that the image's own nsswitch.conf names, but `files` and `dns`, which the table knows.
fn modules(seen: &Seen<'_>) -> Result<BTreeSet<String>> {
    let path = folder_named("/etc/nsswitch.conf");
    let Some(found) = there(seen.image, &path)? else { return Ok(BTreeSet::new()) };
    let Some(content) = found.node.content() else { return Ok(BTreeSet::new()) };
    let text = content.read(LARGEST).map_err(|error| unreadable(seen.image, &path, &error))?;
    Ok(words(&String::from_utf8_lossy(&text)).filter(|word| word != "files" && word != "dns").collect())
}

/// `database: word [STATUS=action] word`, `#` begins a comment (nsswitch.conf(5)).
fn words(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(line));
    lines.filter_map(|line| line.split_once(':')).flat_map(|(_, services)| {
        let outside = services.split('[').enumerate().map(|(index, part)| match index {
            0 => part,
            _ => part.split_once(']').map_or("", |(_, rest)| rest),
        });
        let names = |part: &str| part.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let plain = |word: &String| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        outside.flat_map(names).filter(plain).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_comments_are_no_words() {
        let text = "# hosts: nis\npasswd:files sss\nhosts: files mdns4_minimal [NOTFOUND=return] dns#x\nbroken\n";
        assert_eq!(words(text).collect::<Vec<_>>(), ["files", "sss", "files", "mdns4_minimal", "dns"]);
    }
}
