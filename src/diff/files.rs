//! Paths that are not the same in two images.

use super::{FileChange, keys};
use crate::oci::Kind;
use crate::output::Fact;
use crate::survey::{Survey, package_name};

/// Every path that differs, by path.
pub(super) fn files(surveys: [&Survey; 2]) -> Vec<FileChange> {
    let mut changes = Vec::new();
    for path in keys(surveys.map(|survey| &survey.files)) {
        let sides = surveys.map(|survey| survey.files.get(path));
        let what = match sides {
            [Some(from), Some(to)] => what(from, to),
            _ => Vec::new(),
        };
        if what.is_empty() && sides.iter().all(Option::is_some) {
            continue;
        }
        let owner = surveys
            .into_iter()
            .rev()
            .find_map(|survey| survey.owners.get(path).map(|key| package_name(&survey.packages, key)));
        changes.push(FileChange {
            path: path.clone(),
            sides: sides.map(Option::<&Fact>::cloned),
            what,
            package: owner,
        });
    }
    changes
}

/// In what two entries differ.
fn what(from: &Fact, to: &Fact) -> Vec<&'static str> {
    let kind = |fact: &Fact| std::mem::discriminant(&fact.kind);
    let target = |fact: &Fact| match &fact.kind {
        Kind::Symlink(target) | Kind::HardLink(target) => Some(target.clone()),
        Kind::File | Kind::Directory | Kind::Special => None,
    };
    let same_kind = kind(from) == kind(to);
    // The mode of a link means nothing.
    let has_mode = |fact: &Fact| !matches!(fact.kind, Kind::Symlink(_));
    let differs = [
        ("kind", !same_kind),
        ("bytes", same_kind && (from.size, from.digest) != (to.size, to.digest)),
        ("target", same_kind && target(from) != target(to)),
        ("mode", has_mode(from) && has_mode(to) && from.mode != to.mode),
        ("owner", (from.uid, from.gid) != (to.uid, to.gid)),
        ("mtime", from.mtime != to.mtime),
        ("xattrs", from.xattrs != to.xattrs),
    ];
    differs.into_iter().filter_map(|(what, differs)| differs.then_some(what)).collect()
}

impl FileChange {
    /// Whether only the newer image has it.
    pub fn is_new(&self) -> bool {
        self.sides[0].is_none()
    }

    /// Whether only the older image has it.
    pub fn is_gone(&self) -> bool {
        self.sides[1].is_none()
    }

    /// Whether it is a folder wherever it is.
    pub fn is_folder(&self) -> bool {
        self.sides.iter().flatten().all(|fact| fact.kind == Kind::Directory)
    }

    /// Bytes in each image.
    pub fn sizes(&self) -> [u64; 2] {
        self.sides.each_ref().map(|fact| fact.as_ref().map_or(0, |fact| fact.size))
    }

    /// What gives it more rights than its caller has, in each image.
    pub fn privileges(&self) -> [Vec<&'static str>; 2] {
        self.sides.each_ref().map(|fact| fact.as_ref().map_or_else(Vec::new, privileges))
    }
}

/// `setuid`, `setgid`, `setcap`. The bits of a folder mean something else.
fn privileges(fact: &Fact) -> Vec<&'static str> {
    let capable = fact.xattrs.iter().any(|(name, _)| name == "security.capability");
    let is_file = matches!(fact.kind, Kind::File | Kind::HardLink(_));
    let all = [(fact.mode & 0o4000 != 0, "setuid"), (fact.mode & 0o2000 != 0, "setgid"), (capable, "setcap")];
    all.into_iter().filter(|_| is_file).filter_map(|(has, word)| has.then_some(word)).collect()
}
