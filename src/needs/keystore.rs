//! The keystore of a Java runtime of the image, `lib/security/cacerts`, with the company's certificates in it.
//!
//! In: the runtime's own keystore where it has Java's form, else the image's bundle. Out: a keystore that depends on
//! the certificates alone. One that needs no change stays as it is.

use super::bring::Found;
use super::certificates::{self, Company};
use super::jks::{self, Trusted};
use super::lookup::{Target, place, there, unreadable};
use super::pem::Certificate;
use super::template::Folders;
use super::{CERTIFICATE, Seen, UNREADABLE, Want};
use crate::oci::Digest;
use crate::path::ImagePath;
use crate::report::{Diagnostic, Result};
use crate::source::{self, Content, Link, Unresolved};
use crate::tree::{Entry, EntryKind, Rank, Reason};

/// The largest keystore that is read. Mozilla's certificates are a fifth of a megabyte.
const LARGEST: u64 = 64 << 20;

/// Adds the keystores of the runtimes in `{home}`.
pub(super) fn add(
    seen: &Seen<'_>,
    company: &Company,
    folders: &Folders,
    reason: &Reason,
    found: &mut Found,
) -> Result<()> {
    for home in folders.get("home").into_iter().flatten().filter_map(|home| ImagePath::new(home).ok()) {
        let Some(keystore) = locate(seen, &home)? else { continue };
        if keystore.content.is_some() && company.certificates().is_empty() {
            continue;
        }
        let rank = match seen.image.get(&keystore.real).map(|entry| entry.rank) {
            None => Rank::Need,
            Some(Rank::Rewritten) => continue,
            // What stands there may have come with a folder of the recipe, or by its links.
            Some(rank) if rank < Rank::Rewritten => Rank::Rewritten,
            Some(_) => {
                found.notes.push(left_alone(&keystore.real, company));
                continue;
            }
        };
        let Some(trusted) = trusted(seen, company, &keystore)? else { continue };
        let bytes = jks::write(trusted, crate::MTIME);
        let make = |path, kind, mode, rank| Want::Make(path, Entry::new(kind, mode, rank, reason.clone()));
        let link = |link: Link| make(link.path, EntryKind::Symlink(link.target), 0o777, Rank::Need);
        found.wants.extend(keystore.links.into_iter().map(link));
        found.wants.push(make(keystore.real, EntryKind::File(Content::bytes(bytes)), 0o644, rank));
    }
    Ok(())
}

/// The recipe gives the keystore by name: then it is as the recipe has it.
fn left_alone(keystore: &ImagePath, company: &Company) -> Diagnostic {
    let title = format!("`{keystore}` stays as the recipe gives it, without the certificates of `[certificates]`");
    Diagnostic::note_of(CERTIFICATE, title).at_some(company.span, "added to the bundle alone")
}

/// The keystore of a runtime, there or not; `None` where a folder is no runtime's.
fn locate(seen: &Seen<'_>, home: &ImagePath) -> Result<Option<Target>> {
    let Ok(security) = home.join_path(b"lib/security") else { return Ok(None) };
    let Some(folder) = there(seen.view, &security)?.filter(|found| found.node.is_directory()) else { return Ok(None) };
    let path = folder.real.join(b"cacerts");
    let (real, mut links) = match source::resolve(seen.view, path.as_bytes()) {
        Ok(found) => {
            let content = found.node.content().cloned();
            return Ok(content.map(|content| Target { real: found.real, links: found.links, content: Some(content) }));
        }
        Err(Unresolved::Missing { links, .. }) => (end(&path, &links), links),
        Err(Unresolved::Unreadable { at, error }) => return Err(unreadable(seen.view, &at, &error)),
        Err(_) => return Ok(None),
    };
    let Some(real) = real else { return Ok(None) };
    let (real, more) = place(seen.view, &real)?;
    links.extend(more.into_iter().filter(|link| !links.contains(link)).collect::<Vec<_>>());
    Ok(Some(Target { real, links, content: None }))
}

/// What the last of some links names: Debian's keystore is a link to a file that a package's script makes.
fn end(path: &ImagePath, links: &[Link]) -> Option<ImagePath> {
    let Some(last) = links.last() else { return Some(path.clone()) };
    if last.target.starts_with(b"/") {
        return ImagePath::new(&last.target).ok();
    }
    last.path.parent()?.join_path(&last.target).ok()
}

/// What the keystore will hold; `None` when nothing is known but the company's, and more is wanted.
fn trusted(seen: &Seen<'_>, company: &Company, keystore: &Target) -> Result<Option<Vec<Trusted>>> {
    let own = match &keystore.content {
        Some(content) if !company.only() => own(seen, &keystore.real, content)?,
        _ => None,
    };
    let mut all = match own {
        Some(own) => own,
        None => match certificates::trusted(seen, company)? {
            Some(bundle) => bundle
                .into_iter()
                .filter(|one| !company.certificates().contains(one))
                .map(|one| named("ca", one))
                .collect(),
            None => return Ok(None),
        },
    };
    for certificate in company.certificates() {
        if all.iter().all(|one| one.certificate != *certificate) {
            all.push(named("company", certificate.clone()));
        }
    }
    Ok(Some(all))
}

/// What the runtime's own keystore holds, where it can be read without its password: PKCS#12, which Java writes since
/// version 9, need not be.
fn own(seen: &Seen<'_>, path: &ImagePath, content: &Content) -> Result<Option<Vec<Trusted>>> {
    let bytes = content.read(LARGEST).map_err(|error| unreadable(seen.view, path, &error))?;
    let fault = |fault: jks::Fault| Diagnostic::error(UNREADABLE, format!("the keystore `{path}` {fault}"));
    Ok(jks::read(&bytes).transpose().map_err(fault)?)
}

/// A certificate by its fingerprint, as `keytool -list` shows it.
fn named(kind: &str, certificate: Certificate) -> Trusted {
    let fingerprint = Digest::of(&certificate.0).hex();
    Trusted { alias: format!("{kind}:{fingerprint}").into_bytes(), certificate }
}
