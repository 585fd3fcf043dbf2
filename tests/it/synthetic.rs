//! Trees made of nothing but this file, so that digests of them can be written down.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use mkimage::image::{Facts, Image};
use mkimage::layer::{Durability, Layer, LayerPlan, Options, Staging, pack, plan};
use mkimage::oci::Reference;
use mkimage::output::{self, Destination, Written};
use mkimage::path::ImagePath;
use mkimage::recipe::{Compression, Config, Layers, Platform};
use mkimage::report::{Error, Spanned};
use mkimage::source::Content;
use mkimage::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

/// A tree, one line of code for each entry.
#[derive(Default, Clone)]
pub(crate) struct Builder {
    pub tree: Tree,
}

impl Builder {
    pub(crate) fn entry(mut self, path: impl AsRef<[u8]>, entry: Entry) -> Self {
        self.tree.place(at(path), entry).unwrap();
        self
    }

    pub(crate) fn file(self, path: impl AsRef<[u8]>, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        self.entry(path, made(EntryKind::File(Content::bytes(bytes)), mode))
    }

    pub(crate) fn directory(self, path: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entry(path, made(EntryKind::Directory, mode))
    }

    pub(crate) fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(path, made(EntryKind::Symlink(target.as_ref().to_vec()), 0o777))
    }

    pub(crate) fn hard_link(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(path, made(EntryKind::HardLink(at(target)), 0o644))
    }

    /// Changes the entry that was added at a path.
    pub(crate) fn with(mut self, path: impl AsRef<[u8]>, change: impl FnOnce(&mut Entry)) -> Self {
        change(self.tree.get_mut(&at(path)).unwrap());
        self
    }
}

pub(crate) fn at(path: impl AsRef<[u8]>) -> ImagePath {
    ImagePath::new(path).unwrap()
}

pub(crate) fn made(kind: EntryKind, mode: u32) -> Entry {
    Entry::new(kind, mode, Rank::Recipe, Reason::new(Cause::Key("files"), None))
}

/// Bytes that compress to about a third: repeated words and noise, the same for the same seed.
pub(crate) fn bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out = Vec::with_capacity(size + 64);
    while out.len() < size {
        let value = next();
        match value % 4 {
            0 => out.extend_from_slice(&next().to_le_bytes()),
            1 => out.extend_from_slice(format!("word{} ", value % 997).as_bytes()),
            _ if out.len() > 64 => {
                let from = (value >> 8) as usize % (out.len() - 32);
                out.extend_from_within(from..from + 8 + (value >> 40) as usize % 24);
            }
            _ => out.push(b' '),
        }
    }
    out.truncate(size);
    out
}

/// The attribute of a file that may bind low ports.
const CAP_NET_BIND_SERVICE: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A tree with one of each thing that a layer can hold, and files around each size at which pieces are cut.
pub(crate) fn everything() -> Tree {
    let long = format!("/srv/{}/{}", "d".repeat(120), "f".repeat(90));
    let longest = format!("/srv/{}/{}", "d".repeat(200), "f".repeat(200));
    let mut builder = Builder::default()
        .directory("/tmp", 0o1777)
        .directory("/run", 0o755)
        .file("/etc/passwd", 0o644, "root:x:0:0::/root:/sbin/nologin\n")
        .file("/etc/empty", 0o600, "")
        .symlink("/bin", "usr/bin")
        .file("/usr/bin/program", 0o755, bytes(1, 300_000))
        .hard_link("/usr/bin/program2", "/usr/bin/program")
        .symlink("/usr/lib/libx.so.1", "libx.so.1.2.3")
        .file("/usr/lib/libx.so.1.2.3", 0o644, bytes(2, 70_001))
        .file("/usr/lib/locale.archive", 0o644, bytes(3, 5_000_000))
        .file("/usr/share/exactly-a-step", 0o644, bytes(4, 2 << 20))
        .file("/usr/share/block", 0o644, bytes(5, 512))
        .file(b"/usr/share/\xff\xfe\x01\n", 0o644, "a name that is no text")
        .file(&long, 0o644, "split over two fields")
        .file(&longest, 0o644, "in a PAX record")
        .file([longest.as_bytes(), b"\xff"].concat(), 0o644, "in a PAX record, no text")
        .symlink("/srv/link", "t".repeat(150))
        .hard_link("/zz-far-link", &longest)
        .file("/srv/owned", 0o640, "numbers")
        .with("/srv/owned", |entry| (entry.uid, entry.gid) = (65532, 4_000_000_000))
        .file("/srv/dated", 0o644, "a time")
        .with("/srv/dated", |entry| entry.mtime = Some(1_700_000_000))
        .file("/srv/before-1970", 0o644, "a time")
        .with("/srv/before-1970", |entry| entry.mtime = Some(-1))
        .file("/usr/bin/capable", 0o755, "#!")
        .with("/usr/bin/capable", |entry| {
            entry.xattrs = vec![("security.capability".to_owned(), CAP_NET_BIND_SERVICE.to_vec())];
        });
    for number in 0..600 {
        builder = builder.file(
            format!("/usr/share/many/{number:03}"),
            0o644,
            bytes(number, usize::try_from(number).unwrap() * 17),
        );
    }
    builder.tree
}

/// One layer with all of a tree.
pub(crate) fn single(tree: &Tree) -> Vec<LayerPlan> {
    plan(tree, &Layers::Single, &|_| None).unwrap()
}

/// Packs into a folder of its own, which goes away with the returned staging.
pub(crate) fn pack_in(
    folder: &Path,
    tree: &Tree,
    plans: &[LayerPlan],
    compression: Compression,
    threads: usize,
) -> Result<(Staging, Vec<Layer>), Error> {
    let staging = Staging::new(folder, "test".as_ref(), Durability::Cached)?;
    let options = Options::new(NonZeroUsize::new(threads).unwrap());
    let layers = pack(tree, plans, compression, &options, &staging)?;
    Ok((staging, layers))
}

/// A value of a recipe that nobody wrote.
pub(crate) fn spanned<T>(value: T) -> Spanned<T> {
    let text = mkimage::report::Texts::default().add("recipe.toml", "");
    Spanned::new(value, mkimage::report::Span { text, start: 0, end: 0 })
}

/// No variables.
static NONE: BTreeMap<String, String> = BTreeMap::new();

/// The facts of an image that has nothing special.
pub(crate) fn facts(platform: &Platform) -> Facts<'_> {
    let (entrypoint, ca_bundle, locale) = (None, None, None);
    let (user, title, version) = ("65532:65532", "test", "1");
    Facts { platform, user, entrypoint, created: 0, title, version, ca_bundle, locale, variables: &NONE }
}

pub(crate) fn amd64() -> Platform {
    Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None }
}

/// Names of one image.
pub(crate) fn names(name: &str, tags: &[&str]) -> Vec<Reference> {
    tags.iter().map(|tag| Reference::new(name, tag).unwrap()).collect()
}

/// Builds a tree into an output, in one layer.
pub(crate) fn build(to: &Destination, tree: &Tree, names: &[Reference]) -> Result<(Image, Written), Error> {
    build_as(to, tree, names, None)
}

/// Packs a tree as an image whose blobs are staged.
pub(crate) fn staged(tree: &Tree, staging: &Staging) -> Image {
    pack_image(tree, Compression::Zstd(3), staging).unwrap()
}

fn pack_image(tree: &Tree, compression: Compression, staging: &Staging) -> Result<Image, Error> {
    let layers = pack(tree, &single(tree), compression, &Options::new(NonZeroUsize::MIN), staging)?;
    mkimage::image::describe(layers, &Config::default(), &facts(&amd64()))
}

/// Builds a tree into an output with a compression.
pub(crate) fn build_as(
    to: &Destination,
    tree: &Tree,
    names: &[Reference],
    compression: Option<Compression>,
) -> Result<(Image, Written), Error> {
    let staging = output::prepare(to, Path::new(env!("CARGO_TARGET_TMPDIR")), Durability::Cached)?;
    let image = pack_image(tree, to.compression(compression), &staging)?;
    let written = output::write(to, staging, &image.clone().into(), names)?;
    Ok((image, written))
}
