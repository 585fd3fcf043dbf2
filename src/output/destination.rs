//! The words of `-o`: what kind of output, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use super::BAD_DESTINATION;
use crate::oci;
use crate::recipe::Compression;
use crate::registry::Remote;
use crate::report::{Diagnostic, Error, Result};

/// zstd's own default: a layout goes to readers that know zstd.
const FAST: Compression = Compression::Zstd(3);
/// What every engine reads, at the level where libdeflate is as small as others at 6.
const COMMON: Compression = Compression::Gzip(3);

/// Where something is or will be, by its one path: links and `..` on the way are followed, as far as it is there.
pub fn real_place(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// Where an image goes. `Display` is in the words of `-o`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// An OCI layout: `DIR`, `oci:DIR[:TAG]`.
    Layout {
        /// The folder.
        path: PathBuf,
        /// The name of the entry; the image's first tag when absent.
        tag: Option<String>,
    },
    /// One archive that every engine reads: `FILE.tar`, `oci-archive:FILE[:TAG]`.
    Archive {
        /// The file.
        path: PathBuf,
        /// The name of the entry; the image's first tag when absent.
        tag: Option<String>,
    },
    /// An archive in the form of `docker save`: `docker-archive:FILE`.
    DockerArchive(PathBuf),
    /// A folder of files: `rootfs:DIR`.
    Rootfs(PathBuf),
    /// A registry: `docker://NAME[:TAG]`; all tags of the image when it has none.
    Registry(Remote),
    /// The archive that every engine reads, to standard output: `-`.
    Stdout,
}

impl Destination {
    /// Reads the words of `-o`.
    ///
    /// # Errors
    /// When they name no kind of output of this version, or no place.
    pub fn parse(text: &str) -> Result<Self> {
        let (kind, rest) = kind(text);
        if text != "-" && rest.is_empty() {
            return Err(bad(text, "names no place").into());
        }
        match kind {
            Some("oci") => {
                let (path, tag) = with_tag(rest);
                Ok(Self::Layout { path, tag })
            }
            Some("oci-archive") => {
                let (path, tag) = with_tag(rest);
                Ok(Self::Archive { path, tag })
            }
            Some("docker-archive") => Ok(Self::DockerArchive(rest.into())),
            Some("rootfs") => Ok(Self::Rootfs(rest.into())),
            Some("docker") if rest.starts_with("//") => registry(text),
            Some(other) => Err(unknown(text, other)),
            None if text == "-" => Ok(Self::Stdout),
            None => bare(text),
        }
    }

    /// The compression of its layers: what was asked for where its readers can read it, else its own default.
    pub fn compression(&self, asked: Option<Compression>) -> Compression {
        match (self, asked) {
            (Self::Rootfs(_), _) => Compression::None,
            // Docker before 23 can't read zstd, and who asks for this form has such a reader.
            (Self::DockerArchive(_), Some(Compression::Zstd(_))) => COMMON,
            (_, Some(asked)) => asked,
            (Self::Layout { .. } | Self::Registry(_), None) => FAST,
            (_, None) => COMMON,
        }
    }
}

/// The word before the first `:`, where it is one: in `./a:b` it is not.
fn kind(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((kind, rest)) if kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b)) => {
            (Some(kind), rest)
        }
        _ => (None, text),
    }
}

/// A path and, after the last `:`, a tag.
fn with_tag(text: &str) -> (PathBuf, Option<String>) {
    match text.rsplit_once(':') {
        Some((path, tag)) if !path.is_empty() && oci::is_tag(tag) => (path.into(), Some(tag.to_owned())),
        _ => (text.into(), None),
    }
}

/// A path alone: by its ending.
fn bare(text: &str) -> Result<Destination> {
    let name = text.to_ascii_lowercase();
    for ending in [".tar.gz", ".tgz", ".tar.zst", ".tar.zstd", ".tar.xz"] {
        if name.ends_with(ending) {
            let help = format!("end it in `.tar`; `oci:{text}` makes a layout in a folder of that name");
            return Err(bad(text, "is compressed by its name: layers are, archives are not").help(help).into());
        }
    }
    let path = PathBuf::from(text);
    let is_archive = Path::new(&name).extension().is_some_and(|ending| ending == "tar");
    Ok(if is_archive && !text.ends_with('/') {
        Destination::Archive { path, tag: None }
    } else {
        Destination::Layout { path, tag: None }
    })
}

fn bad(text: &str, why: &str) -> Diagnostic {
    Diagnostic::error(BAD_DESTINATION, format!("output `{}` {why}", text.escape_debug()))
}

fn registry(text: &str) -> Result<Destination> {
    let remote = Remote::parse(text)?;
    match remote.digest {
        Some(_) => Err(bad(text, "has a digest, and what is pushed has its own").help("name a tag, or none").into()),
        None => Ok(Destination::Registry(remote)),
    }
}

fn unknown(text: &str, kind: &str) -> Error {
    let known = ["oci", "oci-archive", "docker-archive", "rootfs", "docker"];
    let near = known.iter().find(|known| strsim::damerau_levenshtein(known, kind) <= 1 + known.len() / 8);
    let diagnostic = bad(text, &format!("is of a kind that is not known, `{kind}`")).note(
        "kinds are oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE, rootfs:DIR, docker://NAME and - for standard output; builds know containers-storage:NAME, too",
    );
    match near {
        Some(near) => diagnostic.help(format!("a kind with a similar name exists: `{near}`")).into(),
        None => diagnostic.help(format!("for a folder of that name, write `./{text}`")).into(),
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tagged = |f: &mut fmt::Formatter<'_>, kind: &str, path: &Path, tag: &Option<String>| match tag {
            Some(tag) => write!(f, "{kind}:{}:{tag}", path.display()),
            None => write!(f, "{kind}:{}", path.display()),
        };
        match self {
            Self::Layout { path, tag } => tagged(f, "oci", path, tag),
            Self::Archive { path, tag } => tagged(f, "oci-archive", path, tag),
            Self::DockerArchive(path) => write!(f, "docker-archive:{}", path.display()),
            Self::Rootfs(path) => write!(f, "rootfs:{}", path.display()),
            Self::Registry(remote) => remote.fmt(f),
            Self::Stdout => f.write_str("-"),
        }
    }
}
