//! Language runtimes that stand where no table can know: what an interpreter takes is looked up beside it.
//!
//! In: the image so far. Out: additions under the names `python` and `java`, as those of rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Addition, Needs, Seen, Want};
use crate::path::ImagePath;
use crate::report::Result;
use crate::tree::{Cause, Reason};

mod java;
mod python;

/// What was added so far.
#[derive(Default)]
pub(super) struct Runtimes {
    handed: BTreeSet<ImagePath>,
}

impl Runtimes {
    /// Adds what the runtimes of the image take beside their programs.
    pub(super) fn find(&mut self, seen: &Seen<'_>, removed: &dyn Fn(&str) -> bool, needs: &mut Needs) -> Result<()> {
        let found: [(&'static str, Vec<Found>); 2] = [("python", python::find(seen)?), ("java", java::find(seen)?)];
        for (name, all) in found.into_iter().filter(|(name, _)| !removed(name)) {
            for Found { trigger, path, exclude } in all {
                if self.handed.insert(path.clone()) {
                    let reason = Reason::new(Cause::Rule { name: Arc::from(name), trigger }, None);
                    needs.additions.push(Addition { want: Want::Folder { path, exclude }, reason, required: false });
                }
            }
        }
        Ok(())
    }
}

/// A folder that a runtime takes.
struct Found {
    /// What sets it off, as `runs /usr/bin/python3.11`.
    trigger: String,
    path: ImagePath,
    exclude: Vec<String>,
}

/// Programs and interpreters of the image, each once.
fn started<'a>(seen: &Seen<'a>) -> BTreeSet<&'a ImagePath> {
    seen.programs.iter().chain(seen.interpreters).collect()
}
