//! Programs of the recipe that a shell runs: what they start stands in no header, and nothing looks for it.

use crate::closure::{Closure, Role, Wanted, diagnose};
use crate::path::{ImagePath, show};
use crate::report::{Diagnostic, Span};

const SHELLS: [&[u8]; 8] = [b"sh", b"dash", b"bash", b"ash", b"ksh", b"mksh", b"zsh", b"busybox"];

/// The programs that are scripts of a shell, each with its place in the recipe.
pub fn shell_scripts(wanted: &[Wanted], closure: &Closure) -> Vec<(String, Option<Span>)> {
    let is_shell = |path: &ImagePath| SHELLS.contains(&path.name());
    let programs = wanted.iter().zip(&closure.resolutions).filter(|(wanted, _)| wanted.role == Role::Program);
    let scripts = programs.filter(|(_, resolution)| {
        let run_by = resolution.script.iter().flat_map(|script| &script.resolutions);
        let mut run_by = run_by.filter_map(|index| closure.resolutions.get(*index)?.real.as_ref());
        run_by.any(is_shell)
    });
    scripts.map(|(wanted, _)| (show(&wanted.path), wanted.span)).collect()
}

/// One note for them.
pub(super) fn shell_scripts_note(wanted: &[Wanted], closure: &Closure) -> Option<Diagnostic> {
    let scripts = shell_scripts(wanted, closure);
    let (first, span) = scripts.first()?;
    let title = match scripts.len() {
        1 => format!("`{first}` is a shell script: what it starts is not looked for"),
        count => format!("`{first}` and {} more are shell scripts: what they start is not looked for", count - 1),
    };
    let note = Diagnostic::note_of(diagnose::SUSPICIOUS, title).at_some(*span, "brings it");
    Some(note.help("`mkimage trace` finds it; name it under `binaries`"))
}
