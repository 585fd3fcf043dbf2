//! The user of an image: numbers, or names that the image's own `/etc/passwd` and `/etc/group` have.

use std::path::Path;

use super::NO_USER;
use crate::report::{Diagnostic, Error, Result};
use crate::source::{Folder, resolve};

/// Larger account files are not read.
const MOST_BYTES: u64 = 8 << 20;

/// Who a program runs as.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

impl Account {
    /// Finds `USER[:GROUP]`, names or numbers; empty is root, a group that is not said is the user's own.
    ///
    /// # Errors
    /// When a name is not in the image's files.
    pub fn find(rootfs: &Path, text: &str) -> Result<Self> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let user = if user.is_empty() { "0" } else { user };
        let (passwd, groups) = (lines(rootfs, "/etc/passwd"), lines(rootfs, "/etc/group"));
        let by_number = user.parse::<u32>().ok();
        let known = passwd.iter().find(|fields| match by_number {
            Some(number) => fields.get(2).is_some_and(|uid| *uid == number.to_string()),
            None => fields[0] == user,
        });
        let number = |fields: &[String], at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
        let uid = by_number.or_else(|| number(known?, 2)).ok_or_else(|| missing("user", user, "/etc/passwd"))?;
        let gid = match group {
            None => known.and_then(|fields| number(fields, 3)).unwrap_or(0),
            Some(group) => group.parse().ok().map_or_else(
                || {
                    let known = groups.iter().find(|fields| fields[0] == group);
                    known.and_then(|fields| number(fields, 2)).ok_or_else(|| missing("group", group, "/etc/group"))
                },
                Ok,
            )?,
        };
        // As engines do: a group that is named stands alone.
        let name = known.map(|fields| fields[0].as_str()).filter(|_| group.is_none());
        let has = |fields: &&Vec<String>| {
            fields.get(3).is_some_and(|members| members.split(',').any(|member| Some(member) == name))
        };
        let groups = groups.iter().filter(has).filter_map(|fields| number(fields, 2)).filter(|other| *other != gid);
        Ok(Self { uid, gid, groups: groups.collect() })
    }
}

fn missing(what: &str, name: &str, file: &str) -> Error {
    Diagnostic::error(NO_USER, format!("{what} `{}` is not in the image", name.escape_debug()))
        .note(format!("its `{file}` has none of this name"))
        .help("a number needs no entry")
        .into()
}

/// The lines of an account file, divided at `:`; none when it is not there.
fn lines(rootfs: &Path, path: &str) -> Vec<Vec<String>> {
    let read = || -> Option<Vec<u8>> {
        let found = resolve(&Folder::open(rootfs).ok()?, path.as_bytes()).ok()?;
        found.node.content()?.read(MOST_BYTES).ok()
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
}
