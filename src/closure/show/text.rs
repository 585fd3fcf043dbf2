//! For a person: the loader, what it maps in order, who asked for it, where it was found, and what is wrong.

use std::fmt::Write as _;

use super::{because_in_words, found_in_words, kind_in_words, listed_name};
use crate::closure::mapping::base_name;
use crate::closure::{Alias, Closure, Found, Libc, Loaded, Missing, Resolution};
use crate::path::show;

/// One resolution of a closure as some lines of text.
pub fn text(closure: &Closure, resolution: &Resolution) -> String {
    let mut text = heading(resolution);
    if let Some(script) = &resolution.script {
        for interpreter in &script.interpreters {
            let argument = interpreter.argument.as_ref().map(|it| format!(" `{}`", show(it))).unwrap_or_default();
            let _ = writeln!(text, "  started by {}{argument}", show(&interpreter.path));
        }
        if let Some(program) = &script.env {
            let path = program.path.as_ref().map_or("not on PATH".to_owned(), |path| show(path));
            let _ = writeln!(text, "  env starts {} => {path}", show(&program.name));
        }
        for index in &script.resolutions {
            let name = closure.resolutions.get(*index).map(|resolution| show(&resolution.path));
            let _ = writeln!(text, "  see {}", name.unwrap_or_default());
        }
    }
    let at_start = resolution.order.iter().filter_map(|&index| resolution.objects.get(index));
    let later = resolution.objects.iter().enumerate().skip(resolution.own);
    let later = later.filter(|(index, object)| {
        !resolution.order.contains(index) && !matches!(object.found, Found::Requested | Found::Interpreter)
    });
    for object in at_start.chain(later.map(|(_, object)| object)) {
        if object.found != Found::Requested && object.path != resolution.path {
            line(&mut text, resolution, object);
        }
    }
    for alias in &resolution.aliases {
        alias_line(&mut text, resolution, alias);
    }
    for missing in &resolution.missing {
        missing_line(&mut text, resolution, missing, "not found");
    }
    for missing in &resolution.missing_optional {
        missing_line(&mut text, resolution, missing, "not found, may be missing");
    }
    for variant in &resolution.variants {
        for object in &variant.objects {
            let _ = writeln!(text, "  {} => {} (on {})", show(&listed_name(object)), show(&object.path), variant.name);
        }
        for alias in &variant.aliases {
            let path = alias.path.as_ref().unwrap_or(&alias.name);
            let _ = writeln!(text, "  {} => {} (on {})", show(&alias.name), show(path), variant.name);
        }
        for error in &variant.version_errors {
            let path = |index: usize| variant.loaded.get(index).map(|path| show(path)).unwrap_or_default();
            let (version, of, by) = (show(&error.version), path(error.of), path(error.required_by));
            let _ =
                writeln!(text, "  error: version `{version}` is not in {of}, required by {by} (on {})", variant.name);
        }
    }
    for error in &resolution.version_errors {
        let of = resolution.objects.get(error.of).map(|object| show(&object.path)).unwrap_or_default();
        let by = resolution.objects.get(error.required_by).map(|object| show(&object.path)).unwrap_or_default();
        let _ = writeln!(text, "  error: version `{}` is not in {of}, required by {by}", show(&error.version));
    }
    for warning in &resolution.warnings {
        let _ = writeln!(text, "  warning: {}", resolution.in_words(warning));
    }
    if let Some(fatal) = &resolution.fatal {
        let _ = writeln!(text, "  error: {}: {}", show(&fatal.path), fatal.reason);
    }
    text
}

/// The path, what it is, its loader, and the least glibc that it needs.
fn heading(resolution: &Resolution) -> String {
    let mut facts = vec![kind_in_words(resolution.kind).to_owned()];
    if let Some(loader) = &resolution.loader {
        let libc = match loader.libc {
            Libc::Glibc(Some((major, minor))) => format!("glibc {major}.{minor}"),
            Libc::Glibc(None) => "glibc".to_owned(),
            Libc::Musl => "musl".to_owned(),
        };
        facts.push(format!("loader {} ({libc})", show(&loader.path)));
    }
    if let Some((major, minor)) = resolution.least_glibc {
        facts.push(format!("needs glibc {major}.{minor}"));
    }
    format!("{}: {}\n", show(&resolution.path), facts.join(", "))
}

fn line(text: &mut String, resolution: &Resolution, object: &Loaded) {
    let by = object.needed_by.and_then(|by| resolution.objects.get(by));
    let by = by.map(|by| format!("; {} {}", because_in_words(object.because), show(base_name(&by.path))));
    let how = found_in_words(resolution, &object.found);
    let (name, path) = (show(&listed_name(object)), show(&object.path));
    let _ = writeln!(text, "  {name} => {path} ({how}{})", by.unwrap_or_default());
}

/// A name by which an object was asked for that was mapped before. Of the loader's many names only paths are told.
fn alias_line(text: &mut String, resolution: &Resolution, alias: &Alias) {
    let Some(object) = resolution.objects.get(alias.object) else { return };
    let (path, how) = match &alias.path {
        Some(path) => (path, "another name of"),
        None if object.found == Found::Interpreter => return,
        None => (&object.path, "by the DT_SONAME of"),
    };
    let (name, path, file) = (show(&alias.name), show(path), show(base_name(&object.path)));
    let _ = writeln!(text, "  {name} => {path} ({how} {file})");
}

fn missing_line(text: &mut String, resolution: &Resolution, missing: &Missing, what: &str) {
    let by = resolution.objects.get(missing.needed_by).map(|by| show(base_name(&by.path))).unwrap_or_default();
    let _ = writeln!(text, "  {} => {what} ({} {by})", show(&missing.name), because_in_words(missing.because));
}
