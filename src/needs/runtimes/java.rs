//! The runtime of a `java` program: its home's `lib` and `conf`, as `java` finds them from its own place.

use super::{Found, started};
use crate::needs::Seen;
use crate::needs::lookup::there;
use crate::path::ImagePath;
use crate::report::Result;
use crate::tree::Rank;

/// What only compilers, debuggers and desktops use.
const EXCLUDE: [&str; 9] = [
    "src.zip",
    "ct.sym",
    "jrt-fs.jar",
    "libsaproc.so",
    "libatk-wrapper.so",
    "libawt_xawt.so",
    "libjawt.so",
    "libjsound.so",
    "libsplashscreen.so",
];

pub(super) fn find(seen: &Seen<'_>) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for program in started(seen).into_iter().filter(|program| program.name() == b"java") {
        let Some(home) = program.parent().filter(|bin| bin.name() == b"bin").and_then(|bin| bin.parent()) else {
            continue;
        };
        let library = home.join(b"lib");
        if is_named_by_the_recipe(seen, &library) {
            continue;
        }
        for mark in [b"modules".as_slice(), b"rt.jar"] {
            if there(seen.view, &library.join(mark))?.is_none() {
                continue;
            }
            for name in [b"lib".as_slice(), b"conf"] {
                let path = home.join(name);
                if there(seen.view, &path)?.is_some_and(|found| found.node.is_directory()) {
                    let exclude = EXCLUDE.iter().map(|&name| name.to_owned()).collect();
                    found.push(Found { trigger: format!("runs {program}"), path, exclude });
                }
            }
        }
    }
    Ok(found)
}

/// Whether the recipe copies the runtime itself: then it has chosen what to leave out.
fn is_named_by_the_recipe(seen: &Seen<'_>, library: &ImagePath) -> bool {
    seen.image.get(library).is_some_and(|entry| entry.rank >= Rank::Folder)
}
