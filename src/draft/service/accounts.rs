//! The accounts of a root: whose names stand in configuration and on command lines.

use std::collections::BTreeMap;

use memchr::memmem;

use super::Finding;
use crate::source::{Source, resolve};

/// A table of accounts is no longer than this.
const LIMIT: u64 = 1 << 18;

/// The accounts of a root.
pub(super) struct Accounts {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

impl Accounts {
    pub(super) fn read(root: &dyn Source) -> Self {
        Self { users: table(root, "/etc/passwd"), groups: table(root, "/etc/group") }
    }

    /// Whether a word is `user`, `user:group` or `user.group` of the root.
    pub(super) fn knows(&self, word: &str) -> bool {
        let known = |name: &str| self.users.contains_key(name) || self.groups.contains_key(name);
        known(word) || word.split_once([':', '.']).is_some_and(|(user, group)| known(user) && known(group))
    }
}

/// Names and numbers of a table whose third field is the number.
fn table(root: &dyn Source, path: &str) -> BTreeMap<String, u32> {
    let content = resolve(root, path.as_bytes()).ok().and_then(|found| found.node.content().cloned());
    let text = content.and_then(|content| content.read(LIMIT).ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

impl Finding<'_> {
    /// The accounts of services in the root's passwd that are this one's: not root, not people, not those that every
    /// image has.
    pub(super) fn own_accounts(&self) -> BTreeMap<String, u32> {
        let names = self.names();
        let own = |name: &str, uid: u32| {
            // The oldest accounts have the names of common words: `daemon`, `mail`, `backup`.
            let called =
                name == "www-data" || names.iter().any(|known| known == name || name.ends_with(known.as_str()));
            uid > 0 && uid < 1000 && called
        };
        let all = self.accounts.users.iter();
        all.filter(|(name, uid)| own(name, **uid)).map(|(name, uid)| (name.clone(), *uid)).collect()
    }

    /// The accounts that a service's program has compiled in.
    pub(super) fn compiled_in(&mut self) {
        let accounts = self.own_accounts();
        let has = |name: &String| {
            let whole = format!("\0{name}\0");
            self.strings.first().is_some_and(|bytes| memmem::find(bytes, whole.as_bytes()).is_some())
        };
        self.out.users.extend(accounts.into_iter().filter(|(name, _)| self.is_service && has(name)));
    }

    /// A line of configuration that says to whom something is to belong: `$FileGroup adm`, `user = served`.
    pub(super) fn owner(&mut self, line: &str) {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.$".contains(c));
        let directive = words.next().unwrap_or_default().to_lowercase();
        if !["user", "group", "owner"].iter().any(|end| directive.trim_end_matches('s').ends_with(end)) {
            return;
        }
        // Every image has these.
        for word in words.filter(|word| !matches!(*word, "root" | "nobody" | "nonroot")) {
            if let Some(uid) = self.accounts.users.get(word) {
                self.out.users.insert(word.to_owned(), *uid);
            } else if let Some(gid) = self.accounts.groups.get(word) {
                self.out.groups.insert(word.to_owned(), *gid);
            }
        }
    }

    pub(super) fn account(&mut self, name: &str) {
        if let Some(uid) = self.own_accounts().get(name) {
            self.out.users.insert(name.to_owned(), *uid);
        }
    }
}
