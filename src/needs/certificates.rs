//! One CA bundle: the root's certificates and those of `[certificates]`, and the links by which programs find it.
//!
//! No folder of hashed links is made: OpenSSL reads `cert.pem` first, everyone else the bundle.

use std::path::Path;

use super::bring::Found;
use super::lookup::{self, Target, lead, place, there, unreadable};
use super::pem::{self, Certificate, What};
use super::rules::{Builtin, Rule, TABLE};
use super::template::Folders;
use super::{CERTIFICATE, CONFLICT, NOT_IN_ROOT, Request, Seen, Want, user_glob};
use crate::path::{ImagePath, show};
use crate::recipe::Origin;
use crate::report::{Diagnostic, Error, Result, Span, Spanned, plain};
use crate::source::{Content, Link, Source};
use crate::tree::{Entry, EntryKind, Rank, Reason};

/// The largest file of certificates that is read. All of Mozilla's are a quarter of a megabyte.
const LARGEST: u64 = 64 << 20;

/// The company's certificates.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// Each once, in the order of their bytes: how the recipe lists them must not change the image.
    certificates: Vec<Certificate>,
    /// Whether only these are trusted.
    only: bool,
    /// The first place that asked.
    pub(super) span: Option<Span>,
}

impl Company {
    /// Its certificates, sorted.
    pub(super) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Whether only these are trusted.
    pub(super) fn only(&self) -> bool {
        self.only
    }
}

/// Reads the files of `[certificates] add`.
///
/// # Errors
/// Every file that is not there or holds something else.
pub(super) fn read(request: &Request<'_>) -> Result<Company> {
    let (mut certificates, mut faults) = (Vec::new(), Vec::new());
    for origin in &request.certificates.add {
        match read_origin(request, origin) {
            Ok(found) => certificates.extend(found),
            Err(Error(mut errors)) => faults.append(&mut errors),
        }
    }
    if !faults.is_empty() {
        return Err(Error(faults));
    }
    certificates.sort();
    certificates.dedup();
    let span = request.certificates.add.first().map(|origin| origin.span);
    Ok(Company { certificates, only: request.certificates.only, span })
}

fn read_origin(request: &Request<'_>, origin: &Spanned<Origin>) -> Result<Vec<Certificate>> {
    let (source, pattern, shown): (&dyn Source, Vec<u8>, String) = match &origin.value {
        Origin::Root(path) => (request.root, path.clone(), show(path)),
        Origin::Beside { base, text } => {
            use std::os::unix::ffi::OsStrExt;
            let path = base.join(Path::new(std::ffi::OsStr::from_bytes(text)));
            // A recipe named by a relative path has a relative folder, and trees are walked by absolute paths.
            let path = std::path::absolute(&path).unwrap_or(path);
            (request.host, path.as_os_str().as_bytes().to_vec(), show(text))
        }
        Origin::Name(name) => {
            let title = format!("`{name}` under `add` is a bare word, not a path");
            let error = Diagnostic::error(CERTIFICATE, title).at(origin.span, "a path is wanted here");
            return Err(error.help(format!("write `./{name}` for a file beside the recipe")).into());
        }
    };
    let error = |title: String, label: &str| Diagnostic::error(CERTIFICATE, title).at(origin.span, label);
    if pattern.ends_with(b"/") {
        let help = format!("name its files: `{shown}*.pem`");
        return Err(error(format!("`{shown}` is a folder"), "a PEM file is wanted here").help(help).into());
    }
    let paths = user_glob::find(source, &pattern).map_err(|fault| error(fault.to_string(), ""))?;
    if paths.is_empty() {
        return Err(error(format!("no file `{shown}`"), "nothing is there").into());
    }
    let many = paths.len() > 1 || pattern.contains(&b'*');
    let mut certificates = Vec::new();
    let mut faults = Vec::new();
    for path in paths {
        let shown = if many { path.to_string() } else { shown.clone() };
        let Some(found) = there(source, &path)? else { continue };
        let Some(content) = found.node.content() else {
            faults.push(error(format!("`{shown}` is a {}", found.node.noun()), "a PEM file is wanted here"));
            continue;
        };
        match content.read(LARGEST) {
            Err(fault) => faults.push(error(format!("cannot read `{shown}`: {}", plain(&fault)), "asked for here")),
            Ok(text) => match pem::parse(&text) {
                Ok(found) => certificates.extend(found),
                Err(fault) => faults.push(explain(&shown, &fault).at(origin.span, "asked for here")),
            },
        }
    }
    if faults.is_empty() { Ok(certificates) } else { Err(Error(faults)) }
}

/// A file that is no list of certificates, as a person should read it.
fn explain(shown: &str, pem::Fault { line, what }: &pem::Fault) -> Diagnostic {
    let title = match line {
        None => format!("`{shown}` {what}"),
        Some(line) => format!("`{shown}` line {line}: {what}"),
    };
    let error = Diagnostic::error(CERTIFICATE, title);
    match what {
        What::Der => error.help(format!("`openssl x509 -inform der -in {shown} -out ca.pem` turns it into PEM")),
        What::PrivateKey => {
            error.help("give a file that holds certificates alone: a private key must not be in an image")
        }
        What::OtherLabel(label) if label == "TRUSTED CERTIFICATE" => {
            error.help(format!("`openssl x509 -in {shown} -out ca.pem` takes OpenSSL's own additions off"))
        }
        What::Empty | What::Binary | What::OtherLabel(_) => {
            error.note("a PEM file has one or more blocks that begin with `-----BEGIN CERTIFICATE-----`")
        }
        What::NoEnd | What::NotBase64 | What::NotX509 => error,
    }
}

/// Adds the bundle and its links.
pub(super) fn add(
    rule: &Rule,
    seen: &Seen<'_>,
    company: &Company,
    folders: &Folders,
    reason: &Reason,
    found: &mut Found,
) -> Result<()> {
    let names = names(rule);
    let Some(bundle) = locate(seen.view, &names)? else { return Ok(()) };
    found.looked.extend(names.iter().map(ToString::to_string));
    let text = if company.certificates.is_empty() && bundle.content.is_some() {
        None
    } else {
        refuse_second_writer(seen, company, &bundle)?;
        match assemble(seen, company, &bundle)? {
            Some(text) => Some(text),
            None => return Ok(()),
        }
    };
    let make = |path, kind, mode| Want::Make(path, Entry::new(kind, mode, Rank::Need, reason.clone()));
    let link = |link: Link| make(link.path, EntryKind::Symlink(link.target), 0o777);
    found.wants.extend(bundle.links.into_iter().map(link));
    found.wants.push(match text {
        Some(text) => make(bundle.real.clone(), EntryKind::File(Content::bytes(text)), 0o644),
        None => Want::Copy(bundle.real.clone()),
    });
    let openssldirs = folders.get("openssldir").into_iter().flatten().filter_map(|text| ImagePath::new(text).ok());
    for folder in &openssldirs.collect::<Vec<_>>() {
        found.wants.extend(openssl_links(seen.view, folder, &bundle.real)?.into_iter().map(link));
    }
    Ok(())
}

/// The names by which programs know the bundle.
fn names(rule: &Rule) -> Vec<ImagePath> {
    let patterns = rule.add.iter().flat_map(|add| &add.copy).flat_map(|template| template.patterns(&Folders::new()));
    patterns.filter_map(|pattern| ImagePath::new(lookup::literal(&pattern)?).ok()).collect()
}

/// The variable that tells programs where the bundle is, when the image has one.
pub(super) fn environment(rule: &Rule, image: &dyn Source) -> Result<Option<String>> {
    for name in names(rule) {
        if there(image, &name)?.is_some_and(|found| found.node.content().is_some()) {
            return Ok(Some(name.to_string()));
        }
    }
    Ok(None)
}

/// The variables by which runtimes of the image that have certificates of their own are told of a bundle: Node adds
/// those in it, Python's `requests` takes them instead of its own.
pub(super) fn of_runtimes(seen: &Seen<'_>) -> impl Iterator<Item = &'static str> {
    let programs = || seen.programs.iter().chain(seen.interpreters).map(ImagePath::name);
    let node = programs().any(|name| matches!(name, b"node" | b"nodejs"));
    let python = programs().any(|name| name.starts_with(b"python"));
    [(node, "NODE_EXTRA_CA_CERTS"), (python, "REQUESTS_CA_BUNDLE")]
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| name)
}

/// The certificates of the image's bundle, each once. `None` when the root has none to begin with.
pub(super) fn trusted(seen: &Seen<'_>, company: &Company) -> Result<Option<Vec<Certificate>>> {
    let rule = TABLE.iter().find(|rule| rule.builtin == Some(Builtin::Certificates));
    let Some(bundle) = rule.map_or(Ok(None), |rule| locate(seen.view, &names(rule)))? else { return Ok(None) };
    let Some(text) = assemble(seen, company, &bundle)? else { return Ok(None) };
    let mut all = pem::parse(&text).map_err(|fault| explain(&bundle.real.to_string(), &fault))?;
    all.sort();
    all.dedup();
    Ok(Some(all))
}

/// Finds the bundle by the first name that leads to a file, with the links of all names that lead to the same one.
/// Without any, the first name is where it will stand.
fn locate(view: &dyn Source, names: &[ImagePath]) -> Result<Option<Target>> {
    let mut bundle: Option<Target> = None;
    for name in names {
        let Some(found) = there(view, name)? else { continue };
        let Some(content) = found.node.content() else { continue };
        match &mut bundle {
            None => bundle = Some(Target { content: Some(content.clone()), real: found.real, links: found.links }),
            Some(bundle) if bundle.real == found.real => bundle.links.extend(found.links),
            Some(_) => {}
        }
    }
    let Some(first) = names.first().filter(|_| bundle.is_none()) else { return Ok(bundle) };
    let (real, links) = place(view, first)?;
    Ok(Some(Target { real, links, content: None }))
}

/// The bundle's text, when it is not the root's as it is: the root's certificates first, then the company's that are
/// not among them. `None` when the root has none to begin with.
fn assemble(seen: &Seen<'_>, company: &Company, bundle: &Target) -> Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    let mut known = Vec::new();
    if !company.only {
        let parts = match &bundle.content {
            Some(content) => vec![(bundle.real.clone(), content.clone())],
            None => sources(seen.view)?,
        };
        if parts.is_empty() {
            return Ok(None);
        }
        for (path, content) in parts {
            let part = content.read(LARGEST).map_err(|error| unreadable(seen.view, &path, &error))?;
            known.extend(pem::parse(&part).map_err(|fault| explain(&path.to_string(), &fault))?);
            text.extend_from_slice(&part);
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
    }
    known.sort();
    for certificate in company.certificates.iter().filter(|certificate| known.binary_search(certificate).is_err()) {
        text.extend_from_slice(pem::write(certificate).as_bytes());
    }
    Ok(Some(text))
}

/// What Debian's update-ca-certificates makes the bundle of, for roots in which it never ran.
fn sources(view: &dyn Source) -> Result<Vec<(ImagePath, Content)>> {
    let mut sources = Vec::new();
    for pattern in ["/usr/share/ca-certificates/*/*.crt", "/usr/local/share/ca-certificates/*.crt"] {
        for path in user_glob::find(view, pattern.as_bytes()).unwrap_or_default() {
            let found = there(view, &path)?;
            sources.extend(found.and_then(|found| Some((path, found.node.content()?.clone()))));
        }
    }
    Ok(sources)
}

/// Links in OpenSSL's folder: `cert.pem` to the bundle, `certs` to its folder. The root's own where they lead there.
fn openssl_links(view: &dyn Source, folder: &ImagePath, bundle: &ImagePath) -> Result<Vec<Link>> {
    let certs = bundle.parent().unwrap_or_else(ImagePath::root);
    let mut links = Vec::new();
    for (name, target, replace) in [("cert.pem", bundle, true), ("certs", &certs, false)] {
        let path = folder.join(name.as_bytes());
        match lead(view, &path)? {
            Some((end, chain)) if end == *target => links.extend(chain),
            // A folder of the root's that is no link is left as it is: Fedora's holds other names of the bundle.
            _ if !replace && there(view, &path)?.is_some() => {}
            _ => {
                let (path, chain) = place(view, &path)?;
                links.extend(chain);
                links.push(Link { path, target: target.as_bytes().to_vec() });
            }
        }
    }
    Ok(links)
}

/// A bundle that the recipe writes itself can't be added to: `files` outranks rules.
fn refuse_second_writer(seen: &Seen<'_>, company: &Company, bundle: &Target) -> Result<()> {
    let Some(entry) = seen.image.get(&bundle.real).filter(|entry| entry.rank > Rank::Need) else { return Ok(()) };
    let title = format!("`[certificates]` and another entry of the recipe both write `{}`", bundle.real);
    let error = Diagnostic::error(CONFLICT, title).at_some(company.span, "adds to it");
    let error = match entry.span() {
        Some(span) => error.and_at(span, "writes it"),
        None => error,
    };
    Err(error.help("name the file under `add` instead, with `only = true` to leave the root's certificates out").into())
}

/// The root has no bundle, and the recipe asks for one.
pub(super) fn missing(seen: &Seen<'_>, company: &Company, package: Option<&str>, span: Option<Span>) -> Error {
    let title = format!("no CA bundle in the root `{}`", seen.view.describe());
    let package = package.unwrap_or("ca-certificates");
    let mut error = Diagnostic::error(NOT_IN_ROOT, title)
        .at_some(span, "needs it")
        .help(format!("install `{package}` in the root, or point `root` at one that has it"));
    if !company.certificates.is_empty() {
        error = error.help("`only = true` under `[certificates]` makes do with those that are added");
    }
    error.into()
}
