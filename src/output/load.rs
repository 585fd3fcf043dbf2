//! Loading an image into Docker or Podman through their own `load`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::archive::{self, Form};
use super::{NOT_LOADED, Written};
use crate::image::Image;
use crate::oci::Reference;
use crate::report::{Diagnostic, Error, Result, plain};

/// A program that takes archives on its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// `docker`.
    Docker(PathBuf),
    /// `podman`.
    Podman(PathBuf),
}

/// How much of what an engine says is kept.
const MOST_SAID: u64 = 64 << 10;

impl Engine {
    /// Finds an engine in the folders of a search path: the one asked for by its name, or Docker before Podman.
    ///
    /// # Errors
    /// When it is not there, or the name is of no engine.
    pub fn find(search_path: &std::ffi::OsStr, asked: Option<&str>) -> Result<Self> {
        let names = match asked {
            None => &["docker", "podman"][..],
            Some("docker") => &["docker"],
            Some("podman") => &["podman"],
            Some(other) => {
                let title = format!("`{}` is no engine to load into", other.escape_debug());
                return Err(Diagnostic::error(NOT_LOADED, title).help("say `--load=docker` or `--load=podman`").into());
            }
        };
        let found = names.iter().find_map(|&name| Some((name, program(search_path, name)?)));
        match found {
            Some(("docker", path)) => Ok(Self::Docker(path)),
            Some((_, path)) => Ok(Self::Podman(path)),
            None => Err(Diagnostic::error(NOT_LOADED, format!("`{}` is not on PATH", names.join("` or `")))
                .help("install it, or write an archive with `-o FILE.tar` and load that where it is")
                .into()),
        }
    }

    /// Its program.
    pub fn program(&self) -> &Path {
        match self {
            Self::Docker(path) | Self::Podman(path) => path,
        }
    }
}

fn program(search_path: &std::ffi::OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file())
}

/// Loads an image into an engine.
pub(super) fn load(engine: &Engine, image: &Image, names: &[Reference]) -> Result<Written> {
    let program = engine.program();
    let mut child = Command::new(program)
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| not_loaded(program, &format!("can't be started: {}", plain(&error))).into_error())?;
    let (sent, said) = converse(&mut child, program, image, names);
    let status = child.wait().map_err(|error| Error::io("wait for", program, &error))?;
    let lines = |text: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(text);
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| crate::path::show(line.as_bytes()))
            .collect()
    };
    if !status.success() {
        let diagnostic = not_loaded(program, "does not take the image");
        return Err(diagnostic.with_notes(lines(&said.errors), lines(&said.output)).into_error());
    }
    // It ended well without reading all: then it is not the program that it is taken for.
    sent?;
    Ok(Written { notes: lines(&said.output), ..Written::default() })
}

/// What an engine printed.
struct Said {
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// Sends the archive while what the engine prints is read, so that neither waits for the other.
fn converse(child: &mut Child, program: &Path, image: &Image, names: &[Reference]) -> (Result<()>, Said) {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let output = scope.spawn(|| listen(output));
        let errors = scope.spawn(|| listen(errors));
        let sent = input.map_or(Ok(()), |mut input| {
            archive::stream(&mut input, Form::Docker, &image.clone().into(), names, program)
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
