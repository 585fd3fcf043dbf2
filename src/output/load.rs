//! Loading an image into Docker or Podman through their own `load`, or into the store that Podman, Buildah and CRI-O
//! share through one of the programs that write it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::archive::{self, Form};
use super::{BAD_DESTINATION, NOT_LOADED, Written};
use crate::image::{Image, Images};
use crate::layer::Staging;
use crate::oci::{Digest, Reference};
use crate::report::{Diagnostic, Error, Result, plain};

/// A program that takes archives on its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// `docker`.
    Docker(PathBuf),
    /// `podman`.
    Podman(PathBuf),
    /// The store of Podman, Buildah and CRI-O (`containers-storage:`).
    Storage {
        /// Who writes it.
        tool: StorageTool,
        /// Its program.
        program: PathBuf,
        /// The name in place of the image's, and the tag in place of its tags.
        name: Option<(String, Option<String>)>,
    },
}

/// A program that writes into the store of Podman, Buildah and CRI-O.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageTool {
    /// `skopeo`, which reads of a layout only layers that the store lacks.
    Skopeo,
    /// `podman`, which takes the archive whole.
    Podman,
    /// `buildah`, which takes the archive whole.
    Buildah,
}

impl StorageTool {
    /// All of them, the best first, with their names.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Skopeo, "skopeo"), (Self::Podman, "podman"), (Self::Buildah, "buildah")];
}

/// How much of what an engine says is kept.
const MOST_SAID: u64 = 64 << 10;

impl Engine {
    /// Its program.
    pub fn program(&self) -> &Path {
        match self {
            Self::Docker(path) | Self::Podman(path) | Self::Storage { program: path, .. } => path,
        }
    }
}

/// Loads an image into an engine. Its blobs are in the staging folder.
pub(super) fn load(engine: &Engine, image: &Image, names: &[Reference], staging: &Staging) -> Result<Written> {
    let nothing = BTreeSet::new();
    match engine {
        Engine::Podman(program) => send(program, image, names, &nothing),
        Engine::Docker(program) => {
            let (count, there) = layers_there(program, image);
            if there.is_empty() {
                return send(program, image, names, &nothing);
            }
            // One may have been removed meanwhile, and Docker's store of containerd wants all of them.
            let Ok(mut written) = send(program, image, names, &there) else {
                return send(program, image, names, &nothing);
            };
            written.notes.push(format!("{count} of {} layers were there, and not sent", image.layers.len()));
            Ok(written)
        }
        Engine::Storage { tool, program, name } => {
            let names = renamed(names, name.as_ref())?;
            match tool {
                StorageTool::Podman => send(program, image, &names, &nothing),
                StorageTool::Skopeo => copy(program, image, &names, staging),
                StorageTool::Buildah => {
                    let archive = staging.path().join("archive.tar");
                    let file = File::create_new(&archive).map_err(|error| Error::io("create", &archive, &error))?;
                    archive::stream(&mut BufWriter::new(file), Form::Docker, &image.clone().into(), &names, &archive)?;
                    let from = format!("docker-archive:{}", archive.display());
                    run(program, &["pull", "--quiet", &from])?;
                    Ok(Written { notes: stored(&names), ..Written::default() })
                }
            }
        }
    }
}

fn renamed(names: &[Reference], asked: Option<&(String, Option<String>)>) -> Result<Vec<Reference>> {
    let Some((name, tag)) = asked else { return Ok(names.to_vec()) };
    let tags: Vec<&str> = match tag {
        Some(tag) => vec![tag],
        None => names.iter().map(Reference::tag).collect(),
    };
    let called = |tag: &&str| {
        Reference::new(name, tag).map_err(|bad| {
            let title = format!("output `containers-storage:{}` {bad}", name.escape_debug());
            Diagnostic::error(BAD_DESTINATION, title).into()
        })
    };
    tags.iter().map(called).collect()
}

/// Gives skopeo the staging folder as a layout, from which it reads what the store lacks.
fn copy(program: &Path, image: &Image, names: &[Reference], staging: &Staging) -> Result<Written> {
    let images: Images = image.clone().into();
    super::layout::complete(staging, &images, "image")?;
    let from = format!("oci:{}:image", staging.path().display());
    for name in names {
        let to = format!("containers-storage:{}", name.full());
        // What was just built is trusted, whatever the policy of this machine says of images from elsewhere.
        run(program, &["copy", "--quiet", "--insecure-policy", &from, &to])?;
    }
    Ok(Written { notes: stored(names), ..Written::default() })
}

fn stored(names: &[Reference]) -> Vec<String> {
    names.iter().map(|name| format!("stored as {}", name.full())).collect()
}

/// Runs a program to its end.
fn run(program: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let what = format!("`{} {}`", program.display(), arguments[0]);
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|error| {
        let title = format!("{what} can't be started: {}", plain(&error));
        Error::from(Diagnostic::error(NOT_LOADED, title))
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let error = NotLoaded(Diagnostic::error(NOT_LOADED, format!("{what} does not take the image")));
    Err(error.with_notes(lines(&output.stderr), Vec::new()).into_error())
}

/// The most images of an engine that are looked at for layers.
const MOST_IMAGES: usize = 1000;

/// The lowest layers of an image that one of Docker's images has: how many, and the digests of those that need not be
/// sent. None where Docker does not say.
fn layers_there(program: &Path, image: &Image) -> (usize, BTreeSet<Digest>) {
    let ids = run(program, &["image", "ls", "--quiet", "--no-trunc"]).unwrap_or_default();
    let ids = String::from_utf8_lossy(&ids).into_owned();
    let ids: BTreeSet<&str> = ids.lines().map(str::trim).filter(|id| !id.is_empty()).take(MOST_IMAGES).collect();
    if ids.is_empty() {
        return (0, BTreeSet::new());
    }
    let mut arguments = vec!["image", "inspect", "--format", "{{json .RootFS.Layers}}"];
    arguments.extend(ids);
    let said = run(program, &arguments).unwrap_or_default();
    let own: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    let shared = |line: &str| {
        let theirs: Vec<String> = serde_json::from_str(line).unwrap_or_default();
        own.iter().zip(&theirs).take_while(|(own, theirs)| own == theirs).count()
    };
    let count = String::from_utf8_lossy(&said).lines().map(shared).max().unwrap_or(0);
    let (there, new) = image.layers.split_at(count);
    // The same layer above others is another one to Docker.
    let digests = there.iter().map(|layer| layer.digest).filter(|digest| new.iter().all(|one| one.digest != *digest));
    (count, digests.collect())
}

/// Loads an archive through the program's own `load`, without layers that it has.
fn send(program: &Path, image: &Image, names: &[Reference], there: &BTreeSet<Digest>) -> Result<Written> {
    let mut child = Command::new(program)
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| not_loaded(program, &format!("can't be started: {}", plain(&error))).into_error())?;
    let (sent, said) = converse(&mut child, program, image, names, there);
    let status = child.wait().map_err(|error| Error::io("wait for", program, &error))?;
    if !status.success() {
        let diagnostic = not_loaded(program, "does not take the image");
        return Err(diagnostic.with_notes(lines(&said.errors), lines(&said.output)).into_error());
    }
    // It ended well without reading all: then it is not the program that it is taken for.
    sent?;
    Ok(Written { notes: lines(&said.output), ..Written::default() })
}

/// What a program said, line by line.
fn lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| crate::path::show(line.as_bytes())).collect()
}

/// What an engine printed.
struct Said {
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// Sends the archive while what the engine prints is read, so that neither waits for the other.
fn converse(
    child: &mut Child,
    program: &Path,
    image: &Image,
    names: &[Reference],
    there: &BTreeSet<Digest>,
) -> (Result<()>, Said) {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let output = scope.spawn(|| listen(output));
        let errors = scope.spawn(|| listen(errors));
        let sent = input.map_or(Ok(()), |mut input| {
            archive::stream_without(&mut input, Form::Docker, &image.clone().into(), names, program, there)
        });
        let said = Said { output: output.join().unwrap_or_default(), errors: errors.join().unwrap_or_default() };
        (sent, said)
    })
}

/// Reads to the end, and keeps the beginning.
fn listen(stream: Option<impl Read>) -> Vec<u8> {
    let mut said = Vec::new();
    if let Some(mut stream) = stream {
        // A broken pipe ends the talk; the exit status says the rest.
        let _ = (&mut stream).take(MOST_SAID).read_to_end(&mut said);
        let _ = io::copy(&mut stream, &mut io::sink());
    }
    said
}

/// A diagnostic on its way.
struct NotLoaded(Diagnostic);

fn not_loaded(program: &Path, why: &str) -> NotLoaded {
    NotLoaded(Diagnostic::error(NOT_LOADED, format!("`{} load` {why}", program.display())))
}

impl NotLoaded {
    fn with_notes(mut self, errors: Vec<String>, output: Vec<String>) -> Self {
        for line in errors.into_iter().chain(output).take(10) {
            self.0 = self.0.note(format!("it says: {line}"));
        }
        self
    }

    fn into_error(self) -> Error {
        self.0.into()
    }
}
