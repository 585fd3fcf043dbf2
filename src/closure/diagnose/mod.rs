//! What stands against an image, as diagnostics: everything that is missing or wrong, in one go.

use super::{Bytes, Closure, Fatal, FatalReason, Found, Options, Resolution, Role, Wanted};
use crate::elf::Machine;
use crate::path::show;
use crate::report::{Code, Diagnostic, IO, Level, Span};

mod foreign;
mod missing;
mod self_check;

pub use crate::select::NOT_ON_PATH;
pub use foreign::foreign_note;
pub use self_check::self_check;

/// A library was not found.
pub const LIBRARY_MISSING: Code = Code("E0203");
/// A file is for another machine than the image.
pub const WRONG_MACHINE: Code = Code("E0204");
/// A program, or its interpreter, is not there.
pub const NOT_THERE: Code = Code("E0220");
/// A loader refuses a file, and the program does not start.
pub const REFUSED: Code = Code("E0221");
/// A symbol version is missing.
pub const VERSION_MISSING: Code = Code("E0222");
/// A file is neither program nor script, or the kernel does not start it.
pub const NOT_STARTED: Code = Code("E0223");
/// A loader whose rules are not known.
pub const UNKNOWN_LOADER: Code = Code("E0224");
/// Files in a copied folder are for other platforms.
pub const FOREIGN: Code = Code("E0225");
/// The assembled image would load other files than its root.
pub const SELF_CHECK: Code = Code("E0227");
/// Something that does not stop a program but may surprise.
pub const SUSPICIOUS: Code = Code("E0226");

/// What stands against the image, errors first. One diagnostic for each library that is missing, whoever needs it.
pub fn diagnose(closure: &Closure, wanted: &[Wanted], options: &Options) -> Vec<Diagnostic> {
    let mut all = missing::diagnose(closure, wanted);
    for (index, resolution) in closure.resolutions.iter().enumerate() {
        let by = By::of(closure, wanted, index);
        if let Some(wrong) = wrong_machine(resolution, &by, options.machine) {
            // What else stands against it, as that its loader is not there, comes of that.
            all.push(wrong);
            continue;
        }
        all.extend(resolution.fatal.as_ref().map(|fatal| fatal_diagnostic(resolution, fatal, &by, options)));
        let loaded: Vec<&Bytes> = resolution.objects.iter().map(|object| &object.path).collect();
        for variant in &resolution.variants {
            let fatal = variant.fatal.as_ref().map(|fatal| fatal_diagnostic(resolution, fatal, &by, options));
            let loaded: Vec<&Bytes> = variant.loaded.iter().collect();
            let versions = version_diagnostics(&variant.version_errors, &loaded, &by);
            let on = format!("this happens on processors of {} only", variant.name);
            all.extend(fatal.into_iter().chain(versions).map(|diagnostic| diagnostic.note(on.as_str())));
        }
        all.extend(version_diagnostics(&resolution.version_errors, &loaded, &by));
    }
    all.extend(warnings(closure, wanted));
    all.sort_by_key(|diagnostic| diagnostic.level);
    all
}

/// A program that is not on the image's PATH.
pub fn not_on_path(name: &[u8], span: Option<Span>, path: &[u8], root: &str) -> Diagnostic {
    let folders: Vec<String> = path.split(|&byte| byte == b':').map(show).collect();
    Diagnostic::error(NOT_ON_PATH, format!("program `{}` is not on PATH inside the root", show(name)))
        .at_some(span, format!("looked in {} folders of {root}", folders.len()))
        .note(format!("searched {}", folders.join(", ")))
}

/// Who wanted something: the recipe entry, and how bad a failure is for it.
struct By {
    role: Role,
    span: Option<Span>,
    /// For an interpreter: the script that brings it.
    script: Option<Bytes>,
}

impl By {
    fn of(closure: &Closure, wanted: &[Wanted], index: usize) -> Self {
        if let Some(wanted) = wanted.get(index) {
            return Self { role: wanted.role, span: wanted.span, script: None };
        }
        let names = |resolution: &Resolution| {
            resolution.script.as_ref().is_some_and(|script| script.resolutions.contains(&index))
        };
        let script = closure.resolutions.iter().position(names).filter(|&script| script < index);
        let of_script = script.map(|script| Self::of(closure, wanted, script));
        Self {
            role: Role::Program,
            span: of_script.and_then(|by| by.span),
            script: script.and_then(|script| closure.resolutions.get(script)).map(|it| Bytes::clone(&it.path)),
        }
    }
}

fn wrong_machine(resolution: &Resolution, by: &By, machine: Option<Machine>) -> Option<Diagnostic> {
    let (own, machine) = (resolution.elf.as_ref()?.machine, machine?);
    if own == machine || matches!(by.role, Role::Plugin { .. }) {
        return None;
    }
    let platform =
        |machine: Machine| machine.oci_architecture().map_or(machine.to_string(), |it| format!("linux/{it}"));
    let (path, own_platform, platform) = (show(&resolution.path), platform(own), platform(machine));
    let title = format!("`{path}` is for {own_platform}, the platform is {platform}");
    Some(
        Diagnostic::error(WRONG_MACHINE, title)
            .at_some(by.span, format!("ELF machine {}", own.to_string().replace('_', "-"))),
    )
}

/// Why a program does not start.
fn fatal_diagnostic(resolution: &Resolution, fatal: &Fatal, by: &By, options: &Options) -> Diagnostic {
    let (path, at) = (show(&resolution.path), show(&fatal.path));
    let start = |code, title: String, label: &str| {
        let diagnostic = Diagnostic::error(code, title).at_some(by.span, label);
        match &by.script {
            Some(script) => diagnostic.note(format!("needed by the script {}", show(script))),
            None => diagnostic,
        }
    };
    match &fatal.reason {
        FatalReason::NotThere if by.role == Role::Library && !fatal.path.contains(&b'/') => {
            start(LIBRARY_MISSING, format!("library `{at}` was not found"), "looked up as a program would")
                .help("name it by its path, or install it in the root")
        }
        FatalReason::NotThere => start(NOT_THERE, format!("`{at}` is not there"), "asked for here"),
        FatalReason::Unreadable(unreadable) => {
            let mut diagnostic = start(IO, unreadable.to_string(), "what it loads is not known");
            if let Some(object) = fatal.needed_by.and_then(|by| resolution.objects.get(by)) {
                diagnostic = diagnostic.note(format!("needed by {}", show(&object.path)));
            }
            diagnostic.help("make it readable or build as a user who may read it: no image depends on who builds it")
        }
        FatalReason::InterpreterMissing(interpreter) => {
            let title = format!("the interpreter `{}` of `{path}` is not there", show(interpreter));
            start(NOT_THERE, title, "can't start without it")
                .note("the kernel reports this as `no such file or directory` on the program itself")
        }
        FatalReason::InterpreterUnusable(interpreter) => {
            let title = format!("the interpreter `{}` of `{path}` is for another machine", show(interpreter));
            start(WRONG_MACHINE, title, "can't start with it")
        }
        FatalReason::InterpreterNotExecutable(interpreter) => {
            let title = format!("the interpreter `{}` of `{path}` is not executable", show(interpreter));
            start(NOT_STARTED, title, "can't start without it").help("`chmod +x` it in the root")
        }
        FatalReason::NoLoader(machine) => {
            start(UNKNOWN_LOADER, format!("no loader is known for `{path}`, which is for {machine}"), "asked for here")
        }
        FatalReason::UnsupportedLoader(loader) => {
            let title = format!("the loader `{}` of `{path}` is neither glibc's nor musl's", show(loader));
            start(UNKNOWN_LOADER, title, "asked for here")
        }
        FatalReason::Refused(refusal) => {
            let mut diagnostic = start(REFUSED, format!("the loader refuses `{at}`: {refusal}"), "does not start");
            if let Some(object) = fatal.needed_by.and_then(|by| resolution.objects.get(by)) {
                diagnostic = diagnostic.note(format!("needed by {}", show(&object.path)));
            }
            if fatal.needed_by.is_none() && refusal.is_damage() {
                return diagnostic.help("it was cut off or damaged: put it in the root once more");
            }
            diagnostic.help("take the file away or put the right one in its place: the loader does not look further")
        }
        FatalReason::Token(name) => {
            let title = format!("`{at}` needs `{}`, which the loader can't expand", show(name));
            start(REFUSED, title, "does not start")
        }
        FatalReason::EnvProgramMissing(name) => {
            not_on_path(name, by.span, &options.path, "the root").note(format!("started by env for {path}"))
        }
        FatalReason::NotExecutable => start(NOT_STARTED, format!("`{path}` or its interpreter is not executable"), ""),
        FatalReason::NotAProgram => {
            start(NOT_STARTED, format!("`{path}` is neither an ELF program nor a script"), "can't be started")
        }
        FatalReason::TooManyInterpreters => {
            start(NOT_STARTED, format!("the interpreters of `{path}` are scripts, more than five deep"), "")
        }
        FatalReason::EnvLoop => start(NOT_STARTED, format!("`env` starts `{path}` again and again"), "")
            .help("without `-S`, env takes all that follows as one word"),
        FatalReason::EnvRefuses(word) => {
            start(NOT_STARTED, format!("`env` refuses `{}` in the first line of `{path}`", show(word)), "")
        }
    }
}

/// Symbol versions: an error where the context is known, else a warning.
fn version_diagnostics(errors: &[super::VersionError], loaded: &[&Bytes], by: &By) -> Vec<Diagnostic> {
    let level = match by.role {
        Role::Program | Role::Plugin { host: Some(_) } => Level::Error,
        Role::Library | Role::Plugin { host: None } => Level::Warning,
    };
    let path = |index: usize| loaded.get(index).map(|path| show(path)).unwrap_or_default();
    let one = |error: &super::VersionError| {
        let (of, required_by, version) = (path(error.of), path(error.required_by), show(&error.version));
        let title = format!("symbol version `{version}` is not in `{of}`");
        let mut diagnostic = Diagnostic::error(VERSION_MISSING, title)
            .at_some(by.span, "does not start")
            .note(format!("required by {required_by}"));
        diagnostic.level = level;
        if let Some(highest) = &error.highest {
            diagnostic = diagnostic.note(format!("it has versions up to {}", show(highest)));
        }
        if version.starts_with("GLIBC_") {
            diagnostic = diagnostic.help("build it against an older glibc, or use a root with a newer one");
        }
        diagnostic
    };
    errors.iter().map(one).collect()
}

/// One diagnostic for each kind of warning, with the first as example.
fn warnings(closure: &Closure, wanted: &[Wanted]) -> Vec<Diagnostic> {
    let mut kinds: Vec<(std::mem::Discriminant<super::Warning>, Diagnostic, usize)> = Vec::new();
    for (index, resolution) in closure.resolutions.iter().enumerate() {
        for warning in &resolution.warnings {
            let kind = std::mem::discriminant(warning);
            if let Some((.., count)) = kinds.iter_mut().find(|(known, ..)| *known == kind) {
                *count += 1;
                continue;
            }
            let text = resolution.in_words(warning);
            let title = if text.starts_with('`') { text } else { format!("`{}` {text}", show(&resolution.path)) };
            let by = By::of(closure, wanted, index);
            kinds.push((kind, Diagnostic::warning(SUSPICIOUS, title).at_some(by.span, ""), 0));
        }
    }
    let counted = |(_, diagnostic, more): (_, Diagnostic, usize)| match more {
        0 => diagnostic,
        more => diagnostic.note(format!("and {more} more of this kind")),
    };
    kinds.into_iter().map(counted).collect()
}

/// How a directory came to be searched, for a list.
fn searched_in_words(resolution: &Resolution, searched: &super::Searched) -> String {
    let directory = show(searched.directory.strip_suffix(b"/").unwrap_or(&searched.directory));
    let directory = if directory.is_empty() { "the working directory".to_owned() } else { directory };
    match &searched.because {
        Found::Cache => format!("ld.so.cache ({} entries)", searched.entries.unwrap_or_default()),
        Found::SystemDirectory | Found::Path => directory,
        other => format!("{directory} ({})", super::show::found_in_words(resolution, other)),
    }
}
