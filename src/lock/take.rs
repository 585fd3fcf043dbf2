//! What a tree takes from the root.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::{Access, Fact, Taken, What};
use crate::cache::Cache;
use crate::inventory::Inventory;
use crate::oci::{Digest, Sha256};
use crate::path::ImagePath;
use crate::recipe::Recipe;
use crate::report::{Error, Result};
use crate::source::ownership::Package;
use crate::source::{Content, ContentId};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

/// Writes down what an image takes from its root. Files of which `cache` knows the digest are not read.
///
/// # Errors
/// When a file can't be read.
pub fn take(recipe: &Recipe, tree: &Tree, inventory: &Inventory, cache: Option<&Cache>) -> Result<Taken> {
    let holders: BTreeSet<ImagePath> = tree.iter().filter_map(|(path, _)| path.parent()).collect();
    let names = Names::of(inventory);
    let of_root = |(path, entry): &(&ImagePath, &Entry)| is_of_root(recipe, inventory, &holders, path, entry);
    let entries: Vec<(&ImagePath, &Entry)> = tree.iter().filter(of_root).collect();
    let digests = digests(&entries, cache)?;
    let extends = recipe.pins.iter().map(|pin| (pin.name.clone(), pin.digest)).collect();
    let mut taken = Taken { extends, ..Taken::default() };
    for (path, entry) in entries {
        let what = match &entry.kind {
            EntryKind::File(content) => {
                let digest = digests.get(&content.id()).copied();
                let digest = digest.ok_or_else(|| Error::internal(format!("`{path}` was not hashed")))?;
                What::File { digest, size: content.size(), access: access(entry) }
            }
            EntryKind::HardLink(target) => What::HardLink(target.clone()),
            EntryKind::Symlink(text) => What::Symlink(text.clone()),
            EntryKind::Directory => What::Folder(access(entry)),
        };
        let package = inventory.package(path);
        taken.packages.extend(package.map(|package| (names.name(package), package.version.clone())));
        let fact = Fact {
            what,
            from: inventory.origin(path).filter(|origin| *origin != path).cloned(),
            package: package.map(|package| names.name(package)),
            reason: entry.reasons.first().map(reason).unwrap_or_default(),
        };
        taken.paths.insert(path.clone(), fact);
    }
    Ok(taken)
}

/// Whether what stands at a path depends on the root.
fn is_of_root(
    recipe: &Recipe,
    inventory: &Inventory,
    holders: &BTreeSet<ImagePath>,
    path: &ImagePath,
    entry: &Entry,
) -> bool {
    let cause = entry.reasons.first().map(|reason| &reason.cause);
    match &entry.kind {
        // The recipe writes the link, whatever the root has.
        EntryKind::Symlink(_) if matches!(cause, Some(Cause::Key("symlinks"))) => false,
        EntryKind::Directory => {
            let plain = holders.contains(path) && entry.mode == 0o755 && (entry.uid, entry.gid) == (0, 0);
            let brought = matches!(cause, Some(Cause::Folder(_) | Cause::Package(_) | Cause::Rule { .. }));
            brought && !plain && !inventory.is_beside(entry)
        }
        // What a rule makes of files of the root, unless files from beside the recipe are in it as well.
        EntryKind::File(Content::Bytes(_)) => {
            let by_rule = matches!(cause, Some(Cause::Rule { .. })) || entry.rank == Rank::Rewritten;
            by_rule && recipe.certificates.add.is_empty()
        }
        EntryKind::File(_) | EntryKind::HardLink(_) | EntryKind::Symlink(_) => inventory.origin(path).is_some(),
    }
}

fn access(entry: &Entry) -> Access {
    let capabilities = entry.xattrs.iter().find(|(name, _)| name == "security.capability");
    Access {
        mode: entry.mode,
        owner: (entry.uid, entry.gid),
        capabilities: capabilities.map(|(_, value)| value.clone()),
    }
}

/// The digest of each file, each read once.
fn digests(entries: &[(&ImagePath, &Entry)], cache: Option<&Cache>) -> Result<HashMap<ContentId, Digest>> {
    let mut contents: BTreeMap<ContentId, (&ImagePath, &Content)> = BTreeMap::new();
    for (path, entry) in entries {
        if let Some(content) = entry.content() {
            contents.entry(content.id()).or_insert((path, content));
        }
    }
    let one = |(id, (path, content)): (ContentId, (&ImagePath, &Content))| {
        let found = digest(content, cache).map_err(|error| {
            let place = content.host_path().unwrap_or_else(|| Path::new(&path.to_string()).to_owned());
            Error::io("read", &place, &error)
        });
        found.map(|digest| (id, digest))
    };
    contents.into_par_iter().map(one).collect()
}

fn digest(content: &Content, cache: Option<&Cache>) -> io::Result<Digest> {
    let Some((cache, stamp)) = cache.zip(content.stamp()) else { return read(content) };
    content.note_read();
    if let Some(known) = cache.file_digest(&stamp) {
        return Ok(known);
    }
    let digest = read(content)?;
    cache.keep_file_digest(&stamp, digest);
    Ok(digest)
}

fn read(content: &Content) -> io::Result<Digest> {
    let reader = content.open()?;
    let mut digest = Sha256::default();
    let mut buffer = vec![0; usize::try_from(reader.size().clamp(1, 1 << 18)).map_err(io::Error::other)?];
    while digest.size() < reader.size() {
        let rest = usize::try_from(reader.size() - digest.size()).unwrap_or(usize::MAX).min(buffer.len());
        let offset = digest.size();
        reader.read_exact_at(&mut buffer[..rest], offset)?;
        digest.update(&buffer[..rest]);
    }
    reader.finish()?;
    Ok(digest.finish())
}

/// What packages are called: by name alone where that says which.
struct Names<'a>(BTreeMap<&'a str, usize>);

impl<'a> Names<'a> {
    fn of(inventory: &'a Inventory) -> Self {
        let mut counts = BTreeMap::new();
        for (package, _) in inventory.packages() {
            *counts.entry(package.name.as_str()).or_default() += 1;
        }
        Self(counts)
    }

    fn name(&self, package: &Package) -> String {
        match self.0.get(package.name.as_str()) {
            Some(count) if *count > 1 => format!("{}:{}", package.name, package.architecture),
            _ => package.name.clone(),
        }
    }
}

/// A reason in words that no other line of the recipe changes.
fn reason(reason: &Reason) -> String {
    match &reason.cause {
        Cause::Key(key) => (*key).to_owned(),
        Cause::Folder(folder) => format!("in {folder}"),
        Cause::Package(name) => format!("package {name}"),
        Cause::Needed { by, .. } => format!("needed by {by}"),
        Cause::Interpreter { of } => format!("runs {of}"),
        Cause::Link { from } => format!("target of {from}"),
        Cause::Rule { name, .. } => format!("rule {name}"),
        Cause::Generated(what) => (*what).to_owned(),
        Cause::Parent => "holds others".to_owned(),
    }
}
