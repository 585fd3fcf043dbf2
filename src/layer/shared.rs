//! What images have in common: files with the same path, content, mode and owner in two or more of them.
//!
//! In: the trees of all members of a workspace, added one at a time; only hashes are kept of them. Out: for one of
//! them, the groups of files that the same members have, which so many images can have as one layer. What a group holds
//! depends on these files alone: neither on the order of the members nor on members that have none of them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::plan::{Stability, is_of_libc, is_package_record, parent_entry, stability};
use crate::oci::{Digest, Sha256};
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::source::{Content, ContentId, Stamp};
use crate::tree::{Entry, EntryKind, Tree};

/// Groups of fewer bytes are not worth a layer.
const SMALLEST: u64 = 64 << 10;

/// What the record of an entry takes in a layer.
const RECORD: u64 = 512;

/// What the members of a workspace have in common.
#[derive(Debug, Default)]
pub struct Commons {
    facts: HashMap<Digest, Vec<Fact>>,
    members: u32,
    /// How much the members of each set have in common, once all are known.
    groups: HashMap<(Class, Members), Extent>,
}

/// Where files stand among the layers of an image: what changes seldom comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    /// The C library.
    Runtime,
    /// Other libraries and interpreters.
    Libraries,
    /// What rules and extras add.
    Extras,
    /// Records of packages: they come and go with other files, and must not tear these apart.
    Records,
    /// What the recipes name.
    Rest,
}

impl Class {
    /// What it holds, for people.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Libraries => "libraries",
            Self::Extras => "extras",
            Self::Records => "package records",
            Self::Rest => "files",
        }
    }
}

/// A set of members: how many, and a hash of which.
type Members = (u32, u64);

/// One file as members have it.
#[derive(Debug)]
struct Fact {
    class: Class,
    content: Option<SeenContent>,
    size: u64,
    members: Members,
}

/// The content of a file, known by what was looked at so far.
#[derive(Debug)]
struct SeenContent {
    files: Vec<(ContentId, Stamp)>,
    any: Content,
    digest: Option<Digest>,
}

/// How much a group holds.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    files: u64,
    bytes: u64,
}

/// Files of an image that can go into a common layer.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) class: Class,
    pub(super) bytes: u64,
    /// Sorted.
    pub(super) paths: Vec<ImagePath>,
}

impl Commons {
    /// Adds the tree of one more member.
    ///
    /// # Errors
    /// When two files have to be compared and can't be read.
    pub fn add(&mut self, tree: &Tree) -> Result<()> {
        self.members += 1;
        let member = self.members;
        let links = links(tree);
        for (path, entry, class) in candidates(tree) {
            let known = self.facts.entry(key(tree, path, entry, class, &links)).or_default();
            let mut found = None;
            for (place, fact) in known.iter_mut().enumerate() {
                if fact.holds(entry.content()).map_err(|error| unreadable(path, entry, &error))? {
                    found = Some(place);
                    break;
                }
            }
            let place = found.unwrap_or(known.len());
            if place == known.len() {
                known.push(Fact::new(class, entry));
            }
            let fact = &mut known[place];
            let (count, which) = fact.members;
            fact.members = (count + 1, (which ^ u64::from(member)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
        }
        Ok(())
    }

    /// Ends the adding: from now on common layers can be planned.
    #[must_use]
    pub fn finish(mut self) -> Self {
        let shared = self.facts.values().flatten().filter(|fact| fact.members.0 > 1);
        let mut groups: HashMap<(Class, Members), Extent> = HashMap::new();
        shared.for_each(|fact| {
            let extent = groups.entry((fact.class, fact.members)).or_default();
            extent.files += 1;
            extent.bytes += fact.size;
        });
        self.groups = groups;
        self
    }

    /// The groups that the tree of a member has, the largest first.
    pub(super) fn groups_of(&self, tree: &Tree) -> Result<Vec<Group>> {
        let links = links(tree);
        let mut found: BTreeMap<(Class, Members), Vec<ImagePath>> = BTreeMap::new();
        for (path, entry, class) in candidates(tree) {
            let known = self.facts.get(&key(tree, path, entry, class, &links)).into_iter().flatten();
            for fact in known.filter(|fact| fact.members.0 > 1) {
                if fact.is(entry.content()).map_err(|error| unreadable(path, entry, &error))? {
                    found.entry((class, fact.members)).or_default().push(path.clone());
                    break;
                }
            }
        }
        let group = |((class, members), mut paths): ((Class, Members), Vec<ImagePath>)| {
            let extent = self.groups.get(&(class, members)).copied().unwrap_or_default();
            // All of it or nothing: the layer is the same in every member.
            let whole = extent.files == paths.len() as u64 && extent.bytes >= SMALLEST;
            let names: Vec<ImagePath> = paths.iter().filter_map(|path| links.get(path)).flatten().cloned().collect();
            paths.extend(names);
            paths.sort();
            whole.then_some(Group { class, bytes: extent.bytes, paths })
        };
        let mut groups: Vec<Group> = found.into_iter().filter_map(group).collect();
        groups.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.paths.cmp(&b.paths)));
        Ok(groups)
    }
}

impl Fact {
    fn new(class: Class, entry: &Entry) -> Self {
        let content = entry.content();
        let known = |content: &Content| SeenContent {
            files: content.stamp().map(|stamp| (content.id(), stamp)).into_iter().collect(),
            any: content.clone(),
            digest: None,
        };
        let size = content.map_or(0, Content::size) + RECORD;
        Self { class, content: content.map(known), size, members: (0, 0) }
    }

    /// Whether this is its content; remembers under which inode it was found.
    fn holds(&mut self, content: Option<&Content>) -> std::io::Result<bool> {
        let (Some(known), Some(content)) = (&mut self.content, content) else {
            return Ok(self.content.is_none() && content.is_none());
        };
        if known.is_file(content) {
            return Ok(true);
        }
        let own = match known.digest {
            Some(own) => own,
            None => *known.digest.insert(digest(&known.any)?),
        };
        let same = own == digest(content)?;
        if let Some(stamp) = content.stamp().filter(|_| same) {
            known.files.push((content.id(), stamp));
        }
        Ok(same)
    }

    fn is(&self, content: Option<&Content>) -> std::io::Result<bool> {
        let (Some(known), Some(content)) = (&self.content, content) else {
            return Ok(self.content.is_none() && content.is_none());
        };
        Ok(known.is_file(content) || known.digest.map_or_else(|| digest(&known.any), Ok)? == digest(content)?)
    }
}

impl SeenContent {
    fn is_file(&self, content: &Content) -> bool {
        content.stamp().is_some_and(|stamp| self.files.contains(&(content.id(), stamp)))
    }
}

/// The entries of a tree that may go into common layers: neither folders nor what every image gets anew, and nothing
/// for which the recipe names a layer. Hard links go with what they link to.
fn candidates(tree: &Tree) -> impl Iterator<Item = (&ImagePath, &Entry, Class)> {
    tree.iter().filter_map(|(path, entry)| {
        let is_leaf = matches!(entry.kind, EntryKind::File(_) | EntryKind::Symlink(_));
        if !is_leaf || entry.layer.is_some() {
            return None;
        }
        let class = match stability(tree, path, entry, 0) {
            // Accounts and the links of a merged /usr are in the same layer, and every image has its own.
            Stability::Runtime if !is_of_libc(path) => return None,
            Stability::Runtime => Class::Runtime,
            Stability::Libraries => Class::Libraries,
            Stability::Extras => Class::Extras,
            Stability::Rest if is_package_record(path) => Class::Records,
            Stability::Rest => Class::Rest,
        };
        Some((path, entry, class))
    })
}

/// The other names of files.
fn links(tree: &Tree) -> BTreeMap<ImagePath, Vec<ImagePath>> {
    let mut links: BTreeMap<ImagePath, Vec<ImagePath>> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        if let EntryKind::HardLink(target) = &entry.kind {
            links.entry(target.clone()).or_default().push(path.clone());
        }
    }
    links
}

/// A hash of all that a layer says of a file but its content: names, folders above them, metadata.
fn key(
    tree: &Tree,
    path: &ImagePath,
    entry: &Entry,
    class: Class,
    links: &BTreeMap<ImagePath, Vec<ImagePath>>,
) -> Digest {
    let (mut hash, parent) = (Sha256::default(), parent_entry());
    hash.update(&[class as u8]);
    for name in std::iter::once(path).chain(links.get(path).into_iter().flatten()) {
        put(&mut hash, name.as_bytes());
        for above in name.ancestors() {
            metadata(&mut hash, tree.get(&above).unwrap_or(&parent));
        }
    }
    metadata(&mut hash, entry);
    match &entry.kind {
        EntryKind::Symlink(target) => put(&mut hash, target),
        _ => hash.update(&entry.content().map_or(0, Content::size).to_le_bytes()),
    }
    hash.finish()
}

fn metadata(hash: &mut Sha256, entry: &Entry) {
    let kind = match entry.kind {
        EntryKind::File(_) => 0,
        EntryKind::HardLink(_) => 1,
        EntryKind::Directory => 2,
        EntryKind::Symlink(_) => 3,
    };
    for number in [kind, entry.mode, entry.uid, entry.gid] {
        hash.update(&number.to_le_bytes());
    }
    hash.update(&entry.mtime.unwrap_or(crate::MTIME).to_le_bytes());
    for (name, value) in &entry.xattrs {
        put(hash, name.as_bytes());
        put(hash, value);
    }
    hash.update(&u64::MAX.to_le_bytes());
}

fn put(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn digest(content: &Content) -> std::io::Result<Digest> {
    let mut hash = Sha256::default();
    content.each_part(|part| hash.update(part))?;
    Ok(hash.finish())
}

fn unreadable(path: &ImagePath, entry: &Entry, error: &std::io::Error) -> Error {
    let host = entry.content().and_then(Content::host_path);
    Error::io("read", &host.unwrap_or_else(|| Path::new(&path.to_string()).to_owned()), error)
}
