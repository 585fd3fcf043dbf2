//! Scripts: which programs the kernel starts for a file that begins with `#!`, and which `env` starts then.

use std::sync::Arc;

use super::mapping::base_name;
use super::tree::{Looked, Place, Tree};
use super::{EnvProgram, FatalReason, Kind, Options, Resolution, Script, ScriptInterpreter, Warning};
use crate::source::Content;

mod env;
mod line;

use line::{Line, NoLine};

/// How much of a file the kernel looks at (`BINPRM_BUF_SIZE`).
const HEAD: usize = 256;
/// How many interpreters of interpreters the kernel follows.
const MOST_LEVELS: usize = 5;
/// The shell that shells use for a file that the kernel does not start.
const SHELL: &[u8] = b"/bin/sh";

/// The permission to be started, whoever has it.
pub(super) const EXECUTABLE: u32 = 0o111;

/// Follows a script's interpreters. What they are is found out by resolving them in their turn.
pub(super) fn read(
    tree: &Tree<'_>,
    options: &Options,
    place: &Place,
    resolution: &mut Resolution,
) -> Result<(), FatalReason> {
    let Some(content) = &place.content else { return Err(FatalReason::NotAProgram) };
    let head = head(&resolution.path, content)?;
    resolution.script = Some(Script::default());
    resolution.kind = Kind::Script;
    if place.mode & EXECUTABLE == 0 {
        resolution.warnings.push(Warning::NotExecutable);
    }
    let line = match line::parse(&head) {
        Ok(line) => line,
        Err(NoLine::NotThere) if looks_like_text(&head) => {
            resolution.warnings.push(Warning::NoInterpreterLine);
            Line { interpreter: SHELL.to_vec(), argument: None, is_cut: false }
        }
        Err(_) => {
            (resolution.kind, resolution.script) = (Kind::Data, None);
            return Err(FatalReason::NotAProgram);
        }
    };
    resolution.interp = Some(Arc::from(line.interpreter.as_slice()));
    follow(tree, line, resolution)?;
    start_by_env(tree, options, resolution)
}

/// Adds the interpreter that a line names, and where that is a script, its interpreter, and so on.
fn follow(tree: &Tree<'_>, first: Line, resolution: &mut Resolution) -> Result<(), FatalReason> {
    let mut line = first;
    for _ in 0..MOST_LEVELS {
        if line.is_cut {
            resolution.warnings.push(Warning::TruncatedLine);
        }
        let in_argument = line.argument.as_ref().is_some_and(|argument| argument.ends_with(b"\r"));
        if line.interpreter.ends_with(b"\r") || in_argument {
            resolution.warnings.push(Warning::CarriageReturn);
        }
        if line.interpreter.is_empty() {
            // The kernel opens the working directory then.
            return Err(FatalReason::NotExecutable);
        }
        let opened: super::Bytes = tree.absolute(&line.interpreter).into();
        let looked = tree.look(&opened);
        let script = resolution.script.get_or_insert_default();
        script.interpreters.push(ScriptInterpreter {
            path: line.interpreter.into(),
            opened: Arc::clone(&opened),
            argument: line.argument.map(Arc::from),
            real: match &looked {
                Looked::Found(place) => Some(place.real.clone()),
                _ => None,
            },
        });
        let place = match looked {
            Looked::Found(place) => place,
            Looked::Unreadable(place) => return Err(FatalReason::Unreadable(place)),
            _ => return Err(FatalReason::InterpreterMissing(opened)),
        };
        let Some(content) = place.content.as_ref().filter(|_| place.mode & EXECUTABLE != 0) else {
            return Err(FatalReason::NotExecutable);
        };
        match &tree.facts(content).elf {
            Ok(_) => return Ok(()),
            Err(why) => {
                why.unreadable(&opened).map_or(Ok(()), Err)?;
                line = line::parse(&head(&opened, content)?).map_err(|_| FatalReason::NotAProgram)?;
            }
        }
    }
    Err(FatalReason::TooManyInterpreters)
}

/// When the last interpreter is `env`: what that starts.
fn start_by_env(tree: &Tree<'_>, options: &Options, resolution: &mut Resolution) -> Result<(), FatalReason> {
    let Some(script) = &mut resolution.script else { return Ok(()) };
    let Some(last) = script.interpreters.last() else { return Ok(()) };
    if base_name(&last.path) != b"env" {
        return Ok(());
    }
    // What a path of nested scripts leaves for `env`: its argument, then the scripts, the innermost first.
    let mut words: Vec<env::Word> = last.argument.iter().map(|argument| env::Word::Text(argument.to_vec())).collect();
    words.push(env::Word::Script);
    let (mut search, mut directory, mut through) = (options.path.clone(), None, Vec::new());
    let mut is_busybox = last.real.as_ref().is_some_and(|real| real.name() == b"busybox");
    // Each `env` takes some of the words: there is an end.
    loop {
        let command = env::command(words, is_busybox).map_err(|word| FatalReason::EnvRefuses(word.into()))?;
        let env::Word::Text(name) = command.program else { return Err(FatalReason::EnvLoop) };
        search = command.path.unwrap_or(search);
        if let Some(next) = command.directory {
            directory = Some(enter(tree, directory.as_deref(), &next)?);
        }
        let path = find_program(tree, &name, &search, directory.as_deref()).map_err(FatalReason::Unreadable)?;
        let name: super::Bytes = name.into();
        if let Some(path) = path.clone().filter(|_| base_name(&name) == b"env")
            && let Some(place) = program_at(tree, &path)
        {
            is_busybox = place.real.name() == b"busybox";
            words = command.rest;
            through.push(path);
            continue;
        }
        let found = path.is_some();
        script.env = Some(EnvProgram { name: Arc::clone(&name), path, through });
        return if found { Ok(()) } else { Err(FatalReason::EnvProgramMissing(name)) };
    }
}

/// The folder in which `env` is after `-C`.
fn enter(tree: &Tree<'_>, from: Option<&[u8]>, directory: &[u8]) -> Result<Vec<u8>, FatalReason> {
    let path = within(tree, from, directory);
    match tree.directory(&path) {
        Ok(Some(_)) => Ok(path),
        Ok(None) => Err(FatalReason::EnvRefuses(directory.into())),
        Err(place) => Err(FatalReason::Unreadable(place)),
    }
}

/// A path made absolute, in a folder or in the working directory.
fn within(tree: &Tree<'_>, directory: Option<&[u8]>, path: &[u8]) -> Vec<u8> {
    match directory {
        Some(directory) if !path.starts_with(b"/") => [directory, b"/", path].concat(),
        _ => tree.absolute(path),
    }
}

/// The ELF program at a path.
fn program_at(tree: &Tree<'_>, path: &[u8]) -> Option<Arc<Place>> {
    let Looked::Found(place) = tree.look(path) else { return None };
    let is_program = tree.facts(place.content.as_ref()?).elf.is_ok();
    is_program.then_some(place)
}

/// `execvp`: the first executable file of the name on PATH; a name with a slash is a path. What is relative is so to a
/// folder, by default the working directory.
///
/// # Errors
/// When a place that comes before could not be looked at.
pub(super) fn find_program(
    tree: &Tree<'_>,
    name: &[u8],
    path: &[u8],
    directory: Option<&[u8]>,
) -> Result<Option<super::Bytes>, super::Unreadable> {
    let is_program = |candidate: &[u8]| match tree.look(candidate) {
        Looked::Found(place) => Ok(place.content.is_some() && place.mode & EXECUTABLE != 0),
        Looked::Unreadable(place) => Err(place),
        Looked::Absent | Looked::Dangling | Looked::Loop | Looked::TooLong => Ok(false),
    };
    if name.is_empty() {
        return Ok(None);
    }
    if name.contains(&b'/') {
        let name = within(tree, directory, name);
        return Ok(is_program(&name)?.then(|| name.into()));
    }
    for folder in path.split(|&byte| byte == b':') {
        let slash: &[u8] = if folder.is_empty() || folder.ends_with(b"/") { b"" } else { b"/" };
        let candidate = within(tree, directory, &[folder, slash, name].concat());
        if is_program(&candidate)? {
            return Ok(Some(candidate.into()));
        }
    }
    Ok(None)
}

fn head(path: &[u8], content: &Content) -> Result<Vec<u8>, FatalReason> {
    let read = || {
        let reader = content.open()?;
        let mut head = vec![0; HEAD];
        let mut done = 0;
        while done < HEAD {
            match reader.read_at(&mut head[done..], done as u64)? {
                0 => break,
                more => done += more,
            }
        }
        head.truncate(done);
        Ok(head)
    };
    read().map_err(|error: std::io::Error| FatalReason::Unreadable(super::Unreadable::new(path, &error)))
}

/// As shells judge it: no NUL in the first line.
fn looks_like_text(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    !line.contains(&0)
}

impl Script {
    /// The arguments with which the last interpreter is started for the script at `path`, apart from those that the
    /// caller of the script adds.
    pub fn arguments(&self, path: &[u8]) -> Vec<super::Bytes> {
        let mut arguments = vec![super::Bytes::from(path)];
        for interpreter in &self.interpreters {
            arguments.splice(0..0, [Arc::clone(&interpreter.path)].into_iter().chain(interpreter.argument.clone()));
        }
        arguments
    }
}
