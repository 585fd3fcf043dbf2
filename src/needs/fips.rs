//! What a root has of FIPS modules, named for the person who has to know which of them validates what.
//!
//! In: the folders that libcrypto names. Out: a note for each provider, its configuration and each library with a
//! signature. The files themselves come by the table's lists, as they are.

use super::bring::Found;
use super::lookup::{self, there};
use super::template::Folders;
use super::{FIPS, Seen};
use crate::path::{ImagePath, show};
use crate::report::{Diagnostic, Result};

/// Adds the notes.
pub(super) fn name(folders: &Folders, seen: &Seen<'_>, found: &mut Found) -> Result<()> {
    let all = |name: &str| folders.get(name).into_iter().flatten().filter_map(|path| ImagePath::new(path).ok());
    for folder in all("modulesdir") {
        if there(seen.view, &folder.join(b"fips.so"))?.is_some() {
            let text = format!("the FIPS provider of OpenSSL comes as it is in the root: `{folder}/fips.so`");
            found.notes.push(Diagnostic::note_of(FIPS, text));
        }
    }
    for folder in all("openssldir") {
        let path = folder.join(b"fipsmodule.cnf");
        if there(seen.view, &path)?.is_some() {
            let text = format!("`{path}` holds the checksum of OpenSSL's FIPS provider, and comes byte for byte");
            found.notes.push(Diagnostic::note_of(FIPS, text));
        }
    }
    for folder in all("libdir") {
        for name in lookup::names(seen.view, &folder, &|name| name.ends_with(b".hmac"))? {
            let Some(library) = name.strip_prefix(b".").and_then(|name| name.strip_suffix(b".hmac")) else { continue };
            if there(seen.image, &folder.join(library))?.is_some() {
                let text =
                    format!("`{}` is checked against its .hmac in FIPS mode: both come byte for byte", show(library));
                found.notes.push(Diagnostic::note_of(FIPS, text));
            }
        }
    }
    Ok(())
}
