//! PAM: the services that programs ask for, what their files include, and the modules that these name (pam.d(5)).

use std::collections::{BTreeSet, VecDeque};

use memchr::memmem;

use super::bring::Found;
use super::evidence::Evidence;
use super::follow::{Line, missing, text};
use super::lookup::{list, there, unreadable};
use super::template::Folders;
use super::trigger::folder_named;
use super::{NAMED, Seen, Want};
use crate::path::ImagePath;
use crate::report::{Error, Result};

/// Where services are, the later where the earlier does not have them.
const FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// A program that authenticates is not larger.
const LARGEST: u64 = 256 << 20;

/// Adds services and modules.
pub(super) fn add(
    folders: &Folders,
    seen: &Seen<'_>,
    mounts: &[ImagePath],
    evidence: &mut Evidence,
    found: &mut Found,
) -> Result<()> {
    let libpam = seen.objects.iter().find(|object| object.is(b"libpam.so.0")).map(|object| object.real.clone());
    let mut queue: VecDeque<ImagePath> = VecDeque::new();
    for folder in FOLDERS.map(folder_named) {
        queue.extend(list(seen.image, &folder)?.into_iter().map(|(name, _)| folder.join(&name)));
    }
    for name in services(seen, evidence)? {
        queue.extend(service(seen, &name)?);
    }
    let (mut known, mut faults) = (BTreeSet::new(), Vec::new());
    while let Some(path) = queue.pop_front() {
        let Some((real, text)) = text(seen, &path)? else { continue };
        if !known.insert(real) {
            continue;
        }
        found.wants.push(Want::Copy(path.clone()));
        for (number, named) in parse(&text) {
            let line = Line { file: &path, number };
            let (what, absent) = match named {
                Named::Service(name) => match service(seen, &name)? {
                    Some(path) => {
                        queue.push_back(path);
                        continue;
                    }
                    None => (format!("{}/{name}", FOLDERS[0]), false),
                },
                Named::Module { name, optional } => match module(seen, folders, &name)? {
                    Some(path) => {
                        found.wants.push(Want::Load { name: path.as_bytes().to_vec(), by: libpam.clone() });
                        continue;
                    }
                    None => (name, optional),
                },
            };
            if !absent {
                match missing(&line, &what, seen, mounts, found) {
                    Err(Error(more)) if more.iter().all(|fault| fault.code == NAMED) => faults.extend(more),
                    other => other?,
                }
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Error(faults)) }
}

/// The names of services that programs may ask for: `other`, and for each object that starts PAM its own name where
/// that is a service, else every service whose name it holds.
fn services(seen: &Seen<'_>, evidence: &mut Evidence) -> Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for folder in FOLDERS.map(folder_named) {
        known.extend(list(seen.view, &folder)?.into_iter().filter_map(|(name, _)| String::from_utf8(name).ok()));
    }
    let mut services = BTreeSet::from(["other".to_owned()]);
    for object in seen.objects {
        let imported = evidence.imports(seen, &object.real)?;
        if !imported.contains("pam_start") && !imported.contains("pam_start_confdir") {
            continue;
        }
        let own = String::from_utf8_lossy(object.real.name()).into_owned();
        if known.contains(&own) {
            services.insert(own);
            continue;
        }
        let Some(place) = there(seen.view, &object.real)? else { continue };
        let Some(content) = place.node.content().filter(|content| content.size() <= LARGEST) else { continue };
        let bytes = content.read(LARGEST).map_err(|error| unreadable(seen.view, &object.real, &error))?;
        let holds = |name: &&String| memmem::find(&bytes, format!("\0{name}\0").as_bytes()).is_some();
        services.extend(known.iter().filter(holds).cloned());
    }
    Ok(services)
}

fn service(seen: &Seen<'_>, name: &str) -> Result<Option<ImagePath>> {
    for folder in FOLDERS.map(folder_named) {
        if let Ok(path) = folder.join_path(name.as_bytes())
            && there(seen.view, &path)?.is_some_and(|found| found.node.content().is_some())
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn module(seen: &Seen<'_>, folders: &Folders, name: &str) -> Result<Option<ImagePath>> {
    if name.starts_with('/') {
        return Ok(match ImagePath::new(name) {
            Ok(path) if there(seen.view, &path)?.is_some() => Some(path),
            _ => None,
        });
    }
    for folder in folders.get("modules").into_iter().flatten() {
        if let Some(path) = ImagePath::new(folder).ok().and_then(|folder| folder.join_path(name.as_bytes()).ok())
            && there(seen.view, &path)?.is_some()
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[derive(Debug, PartialEq, Eq)]
enum Named {
    Service(String),
    Module { name: String, optional: bool },
}

/// What each line names: `type control module arguments`, with `-` before the type where the module may be missing.
fn parse(text: &str) -> Vec<(usize, Named)> {
    let mut named = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(service) = line.strip_prefix("@include") {
            named.push((index + 1, Named::Service(service.trim().to_owned())));
            continue;
        }
        let Some((kind, rest)) = line.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim_start();
        let (control, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((_, rest)) => ("", rest),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        let Some(name) = rest.split_whitespace().next().map(str::to_owned) else { continue };
        named.push((
            index + 1,
            match control {
                "include" | "substack" => Named::Service(name),
                _ => Named::Module { name, optional: kind.starts_with('-') },
            },
        ));
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_line() {
        let text = "#%PAM\n@include common-auth\nauth [success=1 default=ignore] pam_unix.so nullok\n\
            -session optional pam_systemd.so\nauth substack system-auth\naccount include /x # y\nbroken\n";
        let module = |name: &str, optional| Named::Module { name: name.to_owned(), optional };
        let service = |name: &str| Named::Service(name.to_owned());
        let expected = [
            (2, service("common-auth")),
            (3, module("pam_unix.so", false)),
            (4, module("pam_systemd.so", true)),
            (5, service("system-auth")),
            (6, service("/x")),
        ];
        assert_eq!(parse(text), expected);
    }
}
