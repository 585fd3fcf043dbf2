//! A recipe as the later stages see it: merged with what it extends, variables filled in, every value with its place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::trial::Test;
use crate::oci::Digest;
use crate::path::ImagePath;
use crate::report::{Span, Spanned};

/// One image to build, for one platform.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What a person calls the recipe: its path as given, or `-`.
    pub origin: String,
    /// What a person calls the recipes that it extends, the lowest first.
    pub bases: Vec<String>,
    /// The folder that relative outputs and the workspace are looked for from: the recipe's own.
    pub folder: PathBuf,
    /// The files that it was read from: its workspace's, those that it extends, its own.
    pub sources: Vec<PathBuf>,
    /// The recipes of registries that it extends, the lowest first.
    pub pins: Vec<Pin>,
    /// The whole recipe's place: its first key, for errors about what is not there.
    pub span: Span,
    /// The image's name without tag, as `registry.example/acme/nginx`; the file's stem when the recipe has none.
    pub name: Spanned<String>,
    /// Tags, at least one.
    pub tags: Vec<Spanned<String>>,
    /// Where absolute paths, bare program names and libraries come from.
    pub root: Root,
    /// The platform to build for; `None`: that of the binaries.
    pub platform: Option<Spanned<Platform>>,
    /// Which of the images this is that the recipe gives, one for each platform.
    pub part: Part,
    /// glibc-hwcaps variants to take.
    pub isa: Isa,
    /// Programs. The first is the entrypoint unless `entrypoint` says otherwise.
    pub binaries: Vec<Binary>,
    /// Libraries that no ELF header names: soname, path or glob.
    pub libraries: Vec<Library>,
    /// Sonames that may stay missing.
    pub ignore_missing: Vec<Spanned<String>>,
    /// Paths of links that may dangle.
    pub ignore_dangling: Vec<Spanned<ImagePath>>,
    /// Files, folders, globs and texts.
    pub files: Vec<File>,
    /// Installed packages, whole.
    pub packages: Vec<Spanned<String>>,
    /// Folders to make.
    pub dirs: Vec<Directory>,
    /// Folders that belong to the image's user.
    pub writable: Vec<Spanned<ImagePath>>,
    /// Folders that are given at run time: nothing below is ever missing.
    pub mounts: Vec<Spanned<ImagePath>>,
    /// Whether a small init is process 1, with the place that says so.
    pub init: Option<Span>,
    /// Links to make.
    pub symlinks: Vec<Symlink>,
    /// Extras asked for, and those taken away (`!name`).
    pub extras: Vec<Extra>,
    /// Company roots for the CA bundle.
    pub certificates: Certificates,
    /// The user that the image runs as.
    pub user: User,
    /// Further accounts.
    pub users: Vec<Account>,
    /// Further groups.
    pub groups: Vec<Group>,
    /// The image's configuration.
    pub config: Config,
    /// How files are spread over layers.
    pub layers: Layers,
    /// How layers are compressed; `None`: the output's default.
    pub compression: Option<Spanned<Compression>>,
    /// Bills of materials to make of it, each once.
    pub sbom: Vec<SbomFormat>,
    /// Whether a signed build states where it comes from.
    pub provenance: bool,
    /// OpenVEX documents to attach, as paths of this machine.
    pub vex: Vec<Spanned<PathBuf>>,
    /// The files that make up the recipe, the recipe itself last: paths relative to it, and digests of their texts.
    pub texts: Vec<(String, Digest)>,
    /// What is allowed, and limits.
    pub policy: Policy,
    /// The recipe's own tests.
    pub tests: Vec<Test>,
    /// Where it is written down what the image takes from its root; none for a recipe without a file.
    pub lock: Option<LockPlace>,
}

/// A recipe of a registry, and which it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its name, as `extends` has it.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
}

/// A recipe's place in a lock file; without a name that of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockPlace {
    /// The lock file: that of the workspace, or the one beside the recipe.
    pub file: PathBuf,
    /// The recipe's path, relative to the lock file's folder.
    pub name: String,
}

/// A form of a bill of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SbomFormat {
    /// SPDX 2.3.
    Spdx,
    /// `CycloneDX` 1.6.
    CycloneDx,
}

impl SbomFormat {
    /// The recipe's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Spdx => "spdx",
            Self::CycloneDx => "cyclonedx",
        }
    }
}

/// The place of an image among those for all platforms of one recipe, which stand next to each other wherever recipes
/// are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Default for Part {
    /// The only one.
    fn default() -> Self {
        Self { number: 0, of: 1 }
    }
}

/// Recipes by the index that lists their images: one for each platform.
pub fn by_index(recipes: &[Recipe]) -> impl Iterator<Item = &[Recipe]> {
    recipes.chunk_by(|_, next| next.part.number > 0)
}

/// Of the recipes for one index the one for this machine; the only one, where there is no choice.
pub fn for_this_machine(parts: &[Recipe]) -> Option<&Recipe> {
    if let [only] = parts {
        return Some(only);
    }
    let here = Platform::host().architecture;
    let platform = |recipe: &Recipe| recipe.platform.as_ref().map(|platform| platform.value.clone());
    let fitting = parts.iter().filter(|part| platform(part).is_some_and(|platform| platform.architecture == here));
    // What runs on every processor of this machine's kind, before what wants a newer one.
    fitting.min_by_key(|part| platform(part))
}

/// Where absolute paths come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// This machine.
    Host,
    /// A folder; with the place that named it, unless the command line did.
    Folder(PathBuf, Option<Span>),
}

/// An OCI platform. `Display` is `linux/amd64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's GOARCH: `amd64`, `arm64`, `arm`, `386`, `ppc64le`, `riscv64`, `s390x`, `mips64le`, `loong64`.
    pub architecture: String,
    /// `v7`, `v8`, `v3`.
    pub variant: Option<String>,
}

/// Which glibc-hwcaps variants an image takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Isa {
    /// None: the image runs anywhere.
    #[default]
    Baseline,
    /// As a processor of this level would, as `x86-64-v3`.
    Level(String),
    /// The baseline and every variant.
    All,
}

/// Where something is copied from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An absolute path in the source root, perhaps with glob characters; a folder when it ends in `/`.
    Root(Vec<u8>),
    /// A path beside the recipe, made absolute on this machine; perhaps with glob characters; a folder when it ends in
    /// `/`.
    Beside {
        /// The folder of the file that wrote it.
        base: PathBuf,
        /// The text as written.
        text: Vec<u8>,
    },
    /// A bare word: a program on PATH inside the root, or a library by the loader's search.
    Name(String),
}

/// A program.
#[derive(Debug, Clone)]
pub struct Binary {
    /// The entry's place.
    pub span: Span,
    /// Where it comes from.
    pub from: Spanned<Origin>,
    /// Where it goes; ends in `/` in the recipe when it is a folder that keeps the name.
    pub to: Option<Spanned<Destination>>,
    /// Permission bits, when the recipe says so.
    pub mode: Option<Spanned<u32>>,
    /// Owner, when the recipe says so.
    pub owner: Option<Spanned<Owner>>,
    /// File capabilities to set, as `cap_net_bind_service`.
    pub caps: Vec<Spanned<String>>,
    /// Libraries that it loads by name at run time.
    pub dlopen: Vec<Spanned<String>>,
    /// The name of the layer that holds it.
    pub layer: Option<Spanned<String>>,
    /// Whether it was inherited through `extends` or workspace defaults.
    pub inherited: bool,
}

/// A place in the image to copy to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The path.
    pub path: ImagePath,
    /// Whether it was written with a trailing `/`: the name of what is copied is kept below it.
    pub folder: bool,
}

/// A library that no ELF header names.
#[derive(Debug, Clone)]
pub struct Library {
    /// Where it comes from: a soname, or a path or glob.
    pub from: Spanned<Origin>,
    /// Whether it was inherited.
    pub inherited: bool,
}

/// An entry of `files`.
#[derive(Debug, Clone)]
pub struct File {
    /// The entry's place.
    pub span: Span,
    /// What is copied or written.
    pub source: FileSource,
    /// Where it goes; the same place when absent.
    pub to: Option<Spanned<Destination>>,
    /// Globs below `from` that stay out.
    pub exclude: Vec<Spanned<String>>,
    /// Permission bits of files.
    pub mode: Option<Spanned<u32>>,
    /// Permission bits of folders.
    pub dir_mode: Option<Spanned<u32>>,
    /// Owner.
    pub owner: Option<Spanned<Owner>>,
    /// Modification time.
    pub mtime: Mtime,
    /// What links inside a copied folder become.
    pub links: Links,
    /// Whether nothing there is no error.
    pub optional: bool,
    /// Whether the libraries of ELF files in it come along.
    pub libs: bool,
    /// Whether file capabilities of the source are kept (`capabilities = "keep"`).
    pub keep_capabilities: Option<Span>,
    /// The name of the layer that holds it.
    pub layer: Option<Spanned<String>>,
    /// Whether it was inherited.
    pub inherited: bool,
    /// How far above it was inherited from: 0 is the recipe itself. Of two entries for one path the lower wins.
    pub depth: u16,
}

/// What an entry of `files` holds.
#[derive(Debug, Clone)]
pub enum FileSource {
    /// Copied.
    Copied(Spanned<Origin>),
    /// Written as it stands.
    Text(Spanned<String>),
}

/// The modification time of copied files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mtime {
    /// The constant of all images, 1980-01-01T00:00:00Z.
    #[default]
    Constant,
    /// Seconds since 1970.
    Unix(i64),
    /// From the content's digest, so that it changes when the content does.
    Content,
}

/// What links inside a copied folder become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// Links, with their targets.
    #[default]
    Keep,
    /// What they lead to.
    Follow,
}

/// `name|uid[:group|gid]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: Id,
    /// The group; the user's own when absent.
    pub group: Option<Id>,
}

/// A user or group by name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

/// A folder to make.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Its path.
    pub path: Spanned<ImagePath>,
    /// Permission bits, 0755 when absent.
    pub mode: Option<Spanned<u32>>,
    /// Owner, root when absent.
    pub owner: Option<Spanned<Owner>>,
    /// Whether it was inherited.
    pub inherited: bool,
}

/// A link to make.
#[derive(Debug, Clone)]
pub struct Symlink {
    /// Where it stands.
    pub path: Spanned<ImagePath>,
    /// Its text.
    pub target: Spanned<Vec<u8>>,
    /// Whether it was inherited.
    pub inherited: bool,
    /// As [`File::depth`].
    pub depth: u16,
}

/// An extra asked for or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// Its name, as `locale`.
    pub name: Spanned<String>,
    /// What stands after the colon, as `C.UTF-8`.
    pub argument: Option<String>,
    /// Whether it is taken away (`!name`).
    pub removed: bool,
}

/// Company roots for the CA bundle.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    /// PEM files or globs.
    pub add: Vec<Spanned<Origin>>,
    /// Whether only these are trusted, and the root's own bundle stays out.
    pub only: bool,
}

/// The user that the image runs as.
#[derive(Debug, Clone)]
pub struct User {
    /// The user.
    pub user: Id,
    /// The group; the user's own when absent.
    pub group: Option<Id>,
    /// Where it was written; `None` for the default, `nonroot`.
    pub span: Option<Span>,
}

/// An entry of `[users]`.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name.
    pub name: Spanned<String>,
    /// Its number.
    pub uid: u32,
    /// Its group's number; its own number when absent.
    pub gid: Option<u32>,
    /// Its home; `/nonexistent` when absent.
    pub home: Option<ImagePath>,
    /// Its shell; `/sbin/nologin` when absent.
    pub shell: Option<ImagePath>,
    /// Names of further groups.
    pub groups: Vec<Spanned<String>>,
}

/// An entry of `[groups]`.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: Spanned<String>,
    /// Its number.
    pub gid: u32,
}

/// What goes into the image's configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `Entrypoint`; the first binary when absent.
    pub entrypoint: Option<Vec<Spanned<String>>>,
    /// `Cmd`.
    pub cmd: Option<Vec<Spanned<String>>>,
    /// `WorkingDir`; `/` when absent.
    pub workdir: Option<Spanned<ImagePath>>,
    /// `Env`, beside the defaults.
    pub env: BTreeMap<String, Spanned<String>>,
    /// `ExposedPorts`, as `8080/tcp`.
    pub ports: Vec<Spanned<String>>,
    /// `Volumes`.
    pub volumes: Vec<Spanned<ImagePath>>,
    /// `StopSignal`.
    pub stop_signal: Option<Spanned<String>>,
    /// Docker's `Healthcheck`.
    pub healthcheck: Option<Healthcheck>,
    /// `Labels`, beside the defaults.
    pub labels: BTreeMap<String, Spanned<String>>,
    /// Annotations of the manifest, beside the defaults.
    pub annotations: BTreeMap<String, Spanned<String>>,
}

/// Docker's addition to the configuration. Durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// The command, without `CMD`.
    pub test: Vec<String>,
    /// Time between two runs.
    pub interval: Option<u64>,
    /// Time that one run may take.
    pub timeout: Option<u64>,
    /// Time for the service to start.
    pub start_period: Option<u64>,
    /// Failures in a row until it is unhealthy.
    pub retries: Option<u32>,
}

/// How files are spread over layers.
#[derive(Debug, Clone, Default)]
pub enum Layers {
    /// By expected change: runtime, shared libraries, extras, the rest of what packages own, each `layer` name, the
    /// rest.
    #[default]
    Auto,
    /// One.
    Single,
    /// One for each package, at most ten in all.
    Package,
    /// As listed; what no entry takes goes into a last one.
    List(Vec<LayerRule>),
}

/// An entry of a list of layers.
#[derive(Debug, Clone)]
pub struct LayerRule {
    /// The layer's name.
    pub name: Spanned<String>,
    /// Packages whose files it takes.
    pub packages: Vec<Spanned<String>>,
    /// Globs of image paths that it takes.
    pub paths: Vec<Spanned<String>>,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// zstd at a level, 1 to 19.
    Zstd(i32),
    /// gzip at a level, 1 to 12.
    Gzip(i32),
    /// Not at all.
    None,
}

/// What a rule of the policy does when an image breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing.
    Allow,
    /// A warning.
    Warn,
    /// The build fails.
    Deny,
}

/// A library that objects name, and that the service never loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredDlopen {
    /// Its name, or its path as the objects write it.
    pub name: Spanned<String>,
    /// Why.
    pub reason: String,
}

/// The rules that a recipe sets; what it does not set has the default of the `policy` stage.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// By rule name, as `shell`.
    pub rules: BTreeMap<String, Spanned<Verdict>>,
    /// Libraries that objects may name without having them, in the order of the recipe.
    pub ignore_dlopen: Vec<IgnoredDlopen>,
    /// Most bytes of the image, unpacked.
    pub max_size: Option<Spanned<u64>>,
    /// Most bytes of all layers, compressed.
    pub max_download: Option<Spanned<u64>>,
    /// Most files.
    pub max_files: Option<Spanned<u64>>,
    /// Globs of paths that must not be there.
    pub deny_files: Vec<Spanned<String>>,
    /// Packages that must not be there.
    pub deny_packages: Vec<Spanned<String>>,
    /// When set, the only packages that may be there.
    pub allow_packages: Option<Spanned<Vec<Spanned<String>>>>,
    /// Licences that packages must not need.
    pub deny_licenses: Vec<Spanned<String>>,
    /// When set, the only licences that packages may need.
    pub allow_licenses: Option<Spanned<Vec<Spanned<String>>>>,
    /// Findings that are known and accepted.
    pub waivers: Vec<Waiver>,
    /// What holds whatever the recipe says.
    pub floor: Option<Arc<Floor>>,
}

/// A finding that is known and accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// Where it was written.
    pub span: Span,
    /// The rule, as `shell`.
    pub rule: Spanned<String>,
    /// A glob of the paths that may break it; all when absent.
    pub path: Option<Spanned<String>>,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    pub until: Option<Spanned<Date>>,
}

impl Waiver {
    /// Whether its last day is over.
    pub fn has_ended(&self, today: Date) -> bool {
        self.until.as_ref().is_some_and(|until| until.value < today)
    }
}

/// A day of the Gregorian calendar. `Display` is `2027-01-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year, 1970 to 9999.
    pub year: u16,
    /// Month, from 1.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
}

/// A policy that is laid over recipes: they can be stricter than it, and never less strict.
#[derive(Debug, Clone)]
pub struct Floor {
    /// What a person calls it: its file, or its name in a registry.
    pub name: String,
    /// Which one of a registry it is.
    pub pin: Option<Pin>,
    /// What it asks.
    pub policy: Policy,
    /// Rules that no recipe may waive.
    pub no_waivers: Vec<Spanned<String>>,
}
