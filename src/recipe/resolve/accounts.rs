//! Who is who in the image: its user, further accounts and groups, and the owners of entries.

use super::super::keys::{RecipeKeys, UserKeys};
use super::super::kinds::Text;
use super::super::tables::Numbered;
use super::super::values::{self, id_pair};
use super::super::{ACCOUNT, Account, Group, Id, MISSING, Owner, User, words};
use super::Resolver;
use crate::report::{Diagnostic, Span, Spanned};

/// The accounts that every image has.
const ALWAYS: [&str; 3] = ["root", "nobody", "nonroot"];

/// The largest number of a user or group; the next is the kernel's "no such one".
const MOST: i64 = u32::MAX as i64 - 1;

/// The names that a recipe may use for users and groups.
pub(super) struct Names<'a> {
    keys: &'a RecipeKeys,
}

impl<'a> Names<'a> {
    pub(super) fn new(keys: &'a RecipeKeys) -> Self {
        Self { keys }
    }

    /// The names and where they are written. Each account has a group of its own name.
    fn all(&self, groups: bool) -> Vec<&'a Spanned<String>> {
        let users = self.keys.users.0.iter().map(|(name, _)| name);
        users.chain(self.keys.groups.0.iter().map(|(name, _)| name).filter(|_| groups)).collect()
    }
}

impl Resolver<'_> {
    pub(super) fn owner(&mut self, text: Option<&Text>) -> Option<Spanned<Owner>> {
        let text = &text?.0;
        let pair = self.parse(text, id_pair)?;
        let (user, group) = pair.value;
        self.known(&user, text.span, false);
        if let Some(group) = &group {
            self.known(group, text.span, true);
        }
        Some(Spanned::new(Owner { user, group }, text.span))
    }

    pub(super) fn user(&mut self) -> User {
        let default = User { user: Id::Name(String::from("nonroot")), group: None, span: None };
        let Some(text) = self.merged.keys.user.as_ref().map(|scalar| &scalar.0) else { return default };
        let Some(pair) = self.parse(text, id_pair) else { return default };
        let (user, group) = pair.value;
        self.known(&user, text.span, false);
        if let Some(group) = &group {
            self.known(group, text.span, true);
        }
        User { user, group, span: Some(text.span) }
    }

    /// Tells of a name that the image has no account or group for.
    fn known(&mut self, id: &Id, span: Span, group: bool) {
        let Id::Name(name) = id else { return };
        let names = self.accounts.all(group);
        if ALWAYS.contains(&name.as_str()) || names.iter().any(|known| known.value == *name) {
            return;
        }
        let (what, table) = if group { ("group", "[groups]") } else { ("user", "[users]") };
        let mistake = Diagnostic::error(ACCOUNT, format!("{what} `{name}` is not in the image"));
        let mistake = mistake.at(span, format!("not in {table}"));
        let similar = words::similar(name, names.iter().map(|known| known.value.as_str()).chain(ALWAYS));
        let place = similar.and_then(|similar| names.iter().find(|known| known.value == similar));
        // A table with a mistake may have lost the name, but a similar one tells of a slip.
        if similar.is_none() && self.merged.broken {
            return;
        }
        let mistake = match (similar, place) {
            (_, Some(known)) => mistake.and_at(known.span, "a similar name"),
            (Some(similar), None) => {
                mistake.fix(format!("a {what} with a similar name exists: `{similar}`"), Vec::new())
            }
            (None, None) => mistake.fix(format!("add it under {table}: {name} = 1000"), Vec::new()),
        };
        self.mistake(mistake);
    }

    pub(super) fn users(&mut self) -> Vec<Account> {
        let mut accounts = Vec::new();
        for (name, value) in &self.merged.keys.users.0 {
            let name = self.account_name(name);
            let account = match value {
                Numbered::Short(uid) => self.id(uid).map(|uid| (uid, None)),
                Numbered::Long(keys) => self.uid(keys).map(|uid| (uid, Some(&keys.value))),
            };
            let (Some(name), Some((uid, keys))) = (name, account) else { continue };
            if (name.value == "root") != (uid == 0) {
                let title = if uid == 0 { "only `root` has the uid 0" } else { "`root` has the uid 0" };
                self.mistake(Diagnostic::error(ACCOUNT, title).at(name.span, "another one is given here"));
                continue;
            }
            accounts.push(self.account(name, uid, keys));
        }
        accounts
    }

    fn uid(&mut self, keys: &Spanned<UserKeys>) -> Option<u32> {
        if keys.uid.is_none() {
            self.missing(Diagnostic::error(MISSING, "an account needs `uid`").at(keys.span, "missing here"));
        }
        keys.uid.as_ref().and_then(|uid| self.id(&uid.0))
    }

    fn account(&mut self, name: Spanned<String>, uid: u32, keys: Option<&UserKeys>) -> Account {
        let gid = keys.and_then(|keys| keys.gid.as_ref()).and_then(|gid| self.id(&gid.0));
        let home = self.optional(keys.and_then(|keys| keys.home.as_ref()), values::image_path);
        let shell = self.optional(keys.and_then(|keys| keys.shell.as_ref()), values::image_path);
        let groups = self.list(keys.and_then(|keys| keys.groups.as_ref()), values::account);
        for group in &groups {
            self.known(&Id::Name(group.value.clone()), group.span, true);
        }
        Account { name, uid, gid, home: home.map(|home| home.value), shell: shell.map(|shell| shell.value), groups }
    }

    pub(super) fn groups(&mut self) -> Vec<Group> {
        let mut groups = Vec::new();
        for (name, value) in &self.merged.keys.groups.0 {
            let name = self.account_name(name);
            let gid = match value {
                Numbered::Short(gid) => self.id(gid),
                Numbered::Long(keys) => {
                    if keys.gid.is_none() {
                        self.missing(Diagnostic::error(MISSING, "a group needs `gid`").at(keys.span, "missing here"));
                    }
                    keys.gid.as_ref().and_then(|gid| self.id(&gid.0))
                }
            };
            groups.extend(name.zip(gid).map(|(name, gid)| Group { name, gid }));
        }
        groups
    }

    fn id(&mut self, number: &Spanned<i64>) -> Option<u32> {
        match values::number(number.value, 0, MOST, "the number of an account") {
            Ok(id) => Some(id),
            Err(invalid) => {
                self.mistake(Diagnostic::error(super::VALUE, invalid.title).at(number.span, invalid.label));
                None
            }
        }
    }

    /// Keys hold no variables.
    fn account_name(&mut self, name: &Spanned<String>) -> Option<Spanned<String>> {
        match values::account(&name.value) {
            Ok(value) => Some(Spanned::new(value, name.span)),
            Err(invalid) => {
                self.mistake(Diagnostic::error(super::VALUE, invalid.title).at(name.span, invalid.label));
                None
            }
        }
    }
}
