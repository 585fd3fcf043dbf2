//! Users and groups of the image: the three that are always there, and the recipe's.

use std::collections::BTreeMap;

use crate::path::ImagePath;
use crate::recipe::{Id, Owner, Recipe};
use crate::report::{Diagnostic, Span};

use super::UNKNOWN_USER;

/// The user that images run as unless the recipe says otherwise.
pub const NONROOT: u32 = 65532;

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Numeric user.
    pub uid: u32,
    /// Numeric primary group.
    pub gid: u32,
    /// Home folder.
    pub home: ImagePath,
    /// Login shell.
    pub shell: ImagePath,
}

/// The accounts of an image.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// In the order of `/etc/passwd`: root, nobody, nonroot, then the recipe's by name.
    pub users: Vec<Account>,
    /// Group names and numbers in the order of `/etc/group`, each with its members.
    pub groups: Vec<(String, u32, Vec<String>)>,
    /// Numeric user that the image runs as.
    pub uid: u32,
    /// Numeric group that the image runs as.
    pub gid: u32,
}

impl Accounts {
    /// The accounts of a recipe. Names that nothing defines are added to `errors`.
    pub fn of(recipe: &Recipe, errors: &mut Vec<Diagnostic>) -> Self {
        let mut accounts = Self { users: always(), groups: Vec::new(), uid: NONROOT, gid: NONROOT };
        for group in &recipe.groups {
            accounts.groups.push((group.name.value.clone(), group.gid, Vec::new()));
        }
        for user in &recipe.users {
            let named = accounts.groups.iter().find(|(name, ..)| *name == user.name.value).map(|(_, gid, _)| *gid);
            let account = Account {
                name: user.name.value.clone(),
                uid: user.uid,
                gid: user.gid.or(named).unwrap_or(user.uid),
                home: user.home.clone().unwrap_or_else(|| fixed("/nonexistent")),
                shell: user.shell.clone().unwrap_or_else(|| fixed("/sbin/nologin")),
            };
            accounts.users.retain(|known| known.name != account.name);
            accounts.users.push(account);
        }
        accounts.add_primary_groups();
        accounts.add_members(recipe, errors);
        let owner = Owner { user: recipe.user.user.clone(), group: recipe.user.group.clone() };
        match accounts.resolve(&owner) {
            Ok((uid, gid)) => (accounts.uid, accounts.gid) = (uid, gid),
            Err(name) => errors.push(accounts.unknown(&name, recipe.user.span)),
        }
        accounts
    }

    fn add_primary_groups(&mut self) {
        for user in &self.users {
            if !self.groups.iter().any(|(name, gid, _)| *gid == user.gid || *name == user.name) {
                self.groups.push((user.name.clone(), user.gid, Vec::new()));
            }
        }
        let position = |gid: u32| self.users.iter().position(|user| user.gid == gid).unwrap_or(usize::MAX);
        let order: BTreeMap<u32, usize> = self.groups.iter().map(|(_, gid, _)| (*gid, position(*gid))).collect();
        self.groups.sort_by_key(|(name, gid, _)| (order[gid], *gid, name.clone()));
    }

    fn add_members(&mut self, recipe: &Recipe, errors: &mut Vec<Diagnostic>) {
        for user in &recipe.users {
            for wanted in &user.groups {
                match self.groups.iter_mut().find(|(name, ..)| *name == wanted.value) {
                    Some((_, _, members)) => members.push(user.name.value.clone()),
                    None => errors.push(
                        Diagnostic::error(UNKNOWN_USER, format!("group `{}` is not defined", wanted.value))
                            .at(wanted.span, "not in [groups]")
                            .help(format!("add `{} = GID` under [groups]", wanted.value)),
                    ),
                }
            }
        }
    }

    /// Numeric user and group of an owner.
    ///
    /// # Errors
    /// The name that is not defined.
    pub fn resolve(&self, owner: &Owner) -> Result<(u32, u32), String> {
        let (uid, own_group) = match &owner.user {
            Id::Number(uid) => (*uid, self.users.iter().find(|user| user.uid == *uid).map_or(*uid, |user| user.gid)),
            Id::Name(name) => {
                let user = self.users.iter().find(|user| user.name == *name).ok_or_else(|| name.clone())?;
                (user.uid, user.gid)
            }
        };
        let gid = match &owner.group {
            None => own_group,
            Some(Id::Number(gid)) => *gid,
            Some(Id::Name(name)) => self.groups.iter().find(|(known, ..)| known == name).ok_or_else(|| name.clone())?.1,
        };
        Ok((uid, gid))
    }

    /// The error for a name that nothing defines.
    pub fn unknown(&self, name: &str, span: Option<Span>) -> Diagnostic {
        let known = self.users.iter().map(|user| user.name.as_str()).chain(self.groups.iter().map(|g| g.0.as_str()));
        let mut error = Diagnostic::error(UNKNOWN_USER, format!("user `{name}` is not defined"))
            .at_some(span, "not in [users] or [groups]");
        if let Some(near) = nearest(name, known) {
            error = error.help(format!("a user with a similar name exists: `{near}`"));
        }
        error.help(format!("add `{name} = UID` under [users]"))
    }
}

fn fixed(path: &str) -> ImagePath {
    ImagePath::new(path).unwrap_or_else(|_| ImagePath::root())
}

fn always() -> Vec<Account> {
    let account = |name: &str, id, home| Account {
        name: name.to_owned(),
        uid: id,
        gid: id,
        home: fixed(home),
        shell: fixed("/sbin/nologin"),
    };
    vec![
        account("root", 0, "/root"),
        account("nobody", 65534, "/nonexistent"),
        account("nonroot", NONROOT, "/home/nonroot"),
    ]
}

/// The known name most like `name`, when one is like it at all.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, candidate)| *score > 0.85 && *candidate != name)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
