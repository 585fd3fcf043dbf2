//! Copying a folder: what it holds, what its links lead to, what is left out.

use rayon::prelude::*;

use crate::path::{ImagePath, show};
use crate::report::{Diagnostic, plain};
use crate::source::{Link, Node, NodeKind, Source, Unresolved, resolve};
use crate::tree::{Cause, EntryKind};

use super::files::{absolute, follow_text};
use super::glob::Excludes;
use super::relative::relative;
use super::venv;
use super::{BAD_LINK, IO, LEFT_OUT, Manner, Selector, WRONG_KIND};

/// How deep folders may nest.
const DEEPEST: usize = 128;

/// A folder to copy.
pub(super) struct Copy<'c> {
    pub(super) source: &'c dyn Source,
    /// The folder, without a link in its path.
    pub(super) from: ImagePath,
    /// Its place in the image.
    pub(super) to: ImagePath,
    pub(super) excludes: Option<&'c Excludes>,
    /// Whether links are replaced by what they lead to.
    pub(super) follow: bool,
    /// The link that led here, when one was followed.
    pub(super) led: Option<&'c Led<'c>>,
    pub(super) manner: &'c Manner,
}

/// A link of a folder to what was left out of its copy.
pub(super) struct Unsettled {
    from: ImagePath,
    to: ImagePath,
    /// Its text in the source, and the one that it would have in the image.
    target: Vec<u8>,
    text: Vec<u8>,
    manner: Manner,
}

/// A followed link, and the one that led to the folder that it is in.
pub(super) struct Led<'c> {
    link: &'c ImagePath,
    before: Option<&'c Led<'c>>,
}

/// Left out of folders beside the recipe unless they are named: repositories, build trees and caches.
const CLUTTER: [&str; 3] = [".git", "target", "node_modules/.cache"];

impl Selector<'_> {
    /// Copies a folder of the root to another place or its own.
    pub(super) fn copy_folder(
        &mut self,
        source: &dyn Source,
        from: &ImagePath,
        to: &ImagePath,
        excludes: Option<&Excludes>,
        manner: &Manner,
    ) {
        self.copy(&Copy { source, from: from.clone(), to: to.clone(), excludes, follow: false, led: None, manner });
    }

    pub(super) fn copy(&mut self, copy: &Copy<'_>) {
        self.place_folder(copy.to.clone(), copy.manner);
        self.copy_level(copy, &copy.from, &copy.to, 0);
    }

    fn copy_level(&mut self, copy: &Copy<'_>, from: &ImagePath, to: &ImagePath, depth: usize) {
        if depth > DEEPEST {
            self.errors.push(
                Diagnostic::error(BAD_LINK, format!("`{from}` nests too deeply")).at(copy.manner.span, "copies it"),
            );
            return;
        }
        let names = match copy.source.list(from) {
            Ok(names) => names,
            Err(error) => {
                self.errors.push(
                    Diagnostic::error(IO, format!("cannot list `{from}`: {}", plain(&error)))
                        .at(copy.manner.span, "copies it"),
                );
                return;
            }
        };
        let names = names.into_iter().map(|(name, node)| (from.join(&name), to.join(&name), node));
        let entries: Vec<_> = names.filter(|(from, to, node)| !self.left_out(copy, from, to, node)).collect();
        // What is listed once is remembered: several folders at a time, before each is copied.
        let folders = entries.iter().filter(|(_, _, node)| node.is_directory());
        let folders: Vec<&ImagePath> = folders.map(|(from, ..)| from).collect();
        folders.into_par_iter().for_each(|folder| drop(copy.source.list(folder)));
        for (from, to, node) in entries {
            match &node.kind {
                NodeKind::File(content) => self.place_file(to, &node, content, copy.manner),
                NodeKind::Directory => {
                    self.place_folder(to.clone(), copy.manner);
                    self.copy_level(copy, &from, &to, depth + 1);
                }
                NodeKind::Symlink(_) if copy.follow => self.followed(copy, &from, &to, depth),
                NodeKind::Symlink(target) => self.kept_link(copy, &from, &to, target),
                NodeKind::Special(what) => self.errors.push(
                    Diagnostic::error(WRONG_KIND, format!("`{from}` is a {what}"))
                        .at(copy.manner.span, "copies the folder that holds it")
                        .help(format!("leave it out: `exclude = [\"{}\"]`", show(copy.below(&to)))),
                ),
            }
        }
    }

    /// Whether an entry stays out: by `exclude`, or as clutter beside a recipe.
    fn left_out(&mut self, copy: &Copy<'_>, from: &ImagePath, to: &ImagePath, node: &Node) -> bool {
        let below = copy.below(to);
        if copy.excludes.is_some_and(|excludes| excludes.leave_out(below)) {
            return true;
        }
        let clutter = copy.manner.beside
            && node.is_directory()
            && (CLUTTER.iter().any(|known| ends_in(below, known.as_bytes())) || is_layout(copy.source, from));
        if clutter {
            self.out.notes.push(
                Diagnostic::note_of(LEFT_OUT, format!("`{from}` was left out"))
                    .at(copy.manner.span, "copies the folder that holds it")
                    .help("repositories, build trees and images are not copied with a folder; name it to copy it"),
            );
        }
        clutter
    }

    /// A link that stays a link: what it leads to has to be where its text looks for it.
    fn kept_link(&mut self, copy: &Copy<'_>, from: &ImagePath, to: &ImagePath, target: &[u8]) {
        if venv::is_interpreter(copy.source, from) {
            return self.place_link(to.clone(), target, copy.manner);
        }
        let absolute = target.first() == Some(&b'/');
        if absolute && let Some((inside, excluded)) = copy.inside(to, target) {
            return if excluded {
                self.link_to_excluded(copy, (from, to), target, &inside);
            } else {
                self.place_link(to.clone(), &inside, copy.manner);
            };
        }
        if absolute && copy.manner.beside {
            self.errors.push(
                Diagnostic::error(
                    BAD_LINK,
                    format!("`{from}` is a link to `{}`, an absolute path of this machine", show(target)),
                )
                .at(copy.manner.span, "copies the folder that holds it")
                .help("copy what it leads to with `links = \"follow\"`, or leave it out with `exclude`"),
            );
            return;
        }
        let parent = from.parent().unwrap_or_else(ImagePath::root);
        let looked = if absolute { target.to_vec() } else { [parent.as_bytes(), b"/", target].concat() };
        match resolve(copy.source, &looked) {
            Ok(found) => {
                if let Some(below) = found.real.below(&copy.from) {
                    if copy.excludes_any(below) {
                        return self.link_to_excluded(copy, (from, to), target, target);
                    }
                    self.place_link(to.clone(), target, copy.manner);
                    return self.way_back(copy, to, &found.links);
                }
                self.place_link(to.clone(), target, copy.manner);
                self.link_target(copy, from, to, target, &found.node, &found.real);
            }
            Err(Unresolved::Missing { .. } | Unresolved::NotDirectory { .. }) => {
                // Whether a link may dangle is settled when the tree is whole: another entry may fill the place.
                self.place_link(to.clone(), target, copy.manner);
            }
            Err(error) => {
                let error = self.lost(from.as_bytes(), &error, copy.manner.span);
                self.errors.push(error);
            }
        }
    }

    /// Brings the links outside of the folder by which a link in it leads back into it, as those of
    /// `/etc/alternatives`.
    fn way_back(&mut self, copy: &Copy<'_>, to: &ImagePath, links: &[Link]) {
        if copy.from != copy.to || copy.manner.beside {
            return;
        }
        // Those in `/` are the root's own, which every image has as it needs them.
        let outside = |link: &&Link| !link.path.is_within(&copy.from) && link.path.components().count() > 1;
        let manner = Manner { cause: Cause::Link { from: to.clone() }, owner: (0, 0), ..copy.manner.clone() };
        for link in links.iter().filter(outside) {
            self.place_link(link.path.clone(), &link.target, &manner);
        }
    }

    /// Brings what a link out of the folder leads to, to where the link's text looks for it in the image.
    fn link_target(
        &mut self,
        copy: &Copy<'_>,
        from: &ImagePath,
        to: &ImagePath,
        target: &[u8],
        node: &Node,
        real: &ImagePath,
    ) {
        let mut manner = copy.manner.clone();
        manner.cause = Cause::Link { from: to.clone() };
        let in_place = copy.from == copy.to || target.first() == Some(&b'/');
        if in_place && !copy.manner.beside {
            let folder = from.parent().unwrap_or_else(ImagePath::root);
            let path = if target.first() == Some(&b'/') {
                target.to_vec()
            } else {
                [folder.as_bytes(), b"/", target].concat()
            };
            if !self
                .out
                .tree
                .get(real)
                .is_some_and(|there| there.is_directory() == node.is_directory() && there.rank == manner.rank)
            {
                self.bring(&path, &manner);
            }
            return;
        }
        let place = follow_text(&to.parent().unwrap_or_else(ImagePath::root), target);
        let place = self.land(&place);
        if let Some((real, place)) = with_siblings(copy.source, real, &place)
            && self.out.tree.get(&place).is_none()
        {
            return self.copy_folder(copy.source, &real, &place, None, &manner);
        }
        if self.out.tree.get(&place).is_some_and(|there| !matches!(there.kind, EntryKind::Symlink(_))) {
            return;
        }
        if copy.manner.beside && !self.is_of_project(copy, real) {
            let title = format!("`{from}` is a link to `{}`, outside of the recipe's folder", show(target));
            self.errors.push(
                Diagnostic::error(BAD_LINK, title)
                    .at(copy.manner.span, "copies the folder that holds it")
                    .note(format!("it leads to `{real}`, which nothing in the recipe names"))
                    .help("name that under `files`, copy it with `links = \"follow\"`, or leave the link out with `exclude`"),
            );
            return;
        }
        match &node.kind {
            NodeKind::File(content) => self.place_file(place, node, content, &manner),
            NodeKind::Directory => self.copy_folder(copy.source, real, &place, None, &manner),
            NodeKind::Symlink(_) | NodeKind::Special(_) => {}
        }
    }

    /// Whether a path of this machine lies where the recipe does, or beside the folder that is copied: a link in a
    /// folder that somebody else filled brings nothing from elsewhere.
    fn is_of_project(&self, copy: &Copy<'_>, real: &ImagePath) -> bool {
        let folder = resolve(copy.source, &absolute(&self.recipe.folder, b".")).ok().map(|found| found.real);
        [folder, copy.from.parent()].into_iter().flatten().any(|folder| !folder.is_root() && real.is_within(&folder))
    }

    /// A link to what this copy leaves out stays if another entry brings that, which is known when the tree is whole.
    fn link_to_excluded(&mut self, copy: &Copy<'_>, (from, to): (&ImagePath, &ImagePath), target: &[u8], text: &[u8]) {
        self.unsettled.push(Unsettled {
            from: from.clone(),
            to: to.clone(),
            target: target.to_vec(),
            text: text.to_vec(),
            manner: copy.manner.clone(),
        });
    }

    /// Places the links whose targets the tree has after all; the others are told.
    pub(super) fn settle_links(&mut self) {
        let mut open = std::mem::take(&mut self.unsettled);
        // Another entry's word on the same place is enough.
        open.retain(|link| self.out.tree.get(&link.to).is_none());
        loop {
            let leads = |link: &Unsettled| {
                let folder = link.to.parent().unwrap_or_else(ImagePath::root);
                let path = if link.text.first() == Some(&b'/') {
                    link.text.clone()
                } else {
                    [folder.as_bytes(), b"/", &link.text].concat()
                };
                resolve(&self.out.tree, &path).is_ok()
            };
            // One may lead to another.
            let (there, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(leads);
            if there.is_empty() {
                open = rest;
                break;
            }
            for link in there {
                self.place_link(link.to, &link.text, &link.manner);
            }
            open = rest;
        }
        for link in open {
            let title = format!("`{}` was left out: `{}` is excluded", link.from, show(&link.target));
            let note = Diagnostic::note_of(LEFT_OUT, title);
            self.out.notes.push(note.at(link.manner.span, "copies the folder that holds it"));
        }
    }

    /// A link that is replaced by what it leads to.
    fn followed(&mut self, copy: &Copy<'_>, from: &ImagePath, to: &ImagePath, depth: usize) {
        match resolve(copy.source, from.as_bytes()) {
            Ok(found) => match &found.node.kind {
                NodeKind::File(content) => self.place_file(to.clone(), &found.node, content, copy.manner),
                NodeKind::Directory => {
                    let led = Led { link: from, before: copy.led };
                    if let Some(circle) = led.circle(&found.real) {
                        let error =
                            Diagnostic::error(BAD_LINK, format!("`{from}` is a link to a folder that holds {circle}"));
                        return self.errors.push(error.at(copy.manner.span, "`links = \"follow\"` would never end"));
                    }
                    self.place_folder(to.clone(), copy.manner);
                    let led = Some(&led);
                    let below = Copy { from: found.real.clone(), to: copy.to.clone(), led, ..*copy };
                    self.copy_level(&below, &found.real, to, depth + 1);
                }
                NodeKind::Symlink(_) | NodeKind::Special(_) => {}
            },
            Err(error) => {
                let error = self.lost(from.as_bytes(), &error, copy.manner.span);
                self.errors.push(error);
            }
        }
    }
}

impl Led<'_> {
    /// What a folder holds of the links that were followed up to here: `it`, this one, or another one by its path.
    fn circle(&self, folder: &ImagePath) -> Option<String> {
        let before = std::iter::successors(self.before, |led| led.before).map(|led| led.link);
        let another = || before.into_iter().find(|link| link.is_within(folder)).map(|link| format!("`{link}`"));
        if self.link.is_within(folder) { Some("it".to_owned()) } else { another() }
    }
}

impl Copy<'_> {
    /// The text of a link at `to` for an absolute one that leads into the folder itself, when the folder is moved; and
    /// whether what it leads to is excluded.
    fn inside(&self, to: &ImagePath, target: &[u8]) -> Option<(Vec<u8>, bool)> {
        if self.from == self.to && !self.manner.beside {
            return None;
        }
        let real = resolve(self.source, target).ok()?.real;
        let target = ImagePath::new(target).ok().filter(|path| path.is_within(&self.from)).unwrap_or(real);
        let below = target.below(&self.from)?;
        let text = relative(&to.parent()?, &self.to.join_path(below).ok()?);
        Some((text, self.excludes_any(below)))
    }

    /// A path of the image below the folder, as `exclude` has it: behind a link that is followed, too.
    fn below<'p>(&self, path: &'p ImagePath) -> &'p [u8] {
        path.below(&self.to).unwrap_or_else(|| path.relative())
    }

    /// Whether a path below the folder, or a folder above it, is excluded.
    fn excludes_any(&self, below: &[u8]) -> bool {
        self.excludes.is_some_and(|excludes| excludes.leave_out_all(below))
    }
}

/// Where a package of Node lies in a store, as pnpm's: beside it, in a `node_modules` of no project, are the links to
/// what it needs, and a package without them is worth nothing. That folder and its place, for a package and its place.
fn with_siblings(source: &dyn Source, package: &ImagePath, place: &ImagePath) -> Option<(ImagePath, ImagePath)> {
    let (folder, at) = (package.parent()?, place.parent()?);
    let scoped = folder.name().starts_with(b"@") && at.name() == folder.name();
    let (folder, at) = if scoped { (folder.parent()?, at.parent()?) } else { (folder, at) };
    if folder.name() != b"node_modules" || at.name() != b"node_modules" {
        return None;
    }
    let project = source.node(&folder.parent()?.join(b"package.json"));
    matches!(project, Ok(None)).then_some((folder, at))
}

fn ends_in(below: &[u8], name: &[u8]) -> bool {
    below.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"))
}

/// Whether a folder is an image that something built: it has the file that marks an OCI layout.
fn is_layout(source: &dyn Source, folder: &ImagePath) -> bool {
    folder.name().ends_with(b".oci")
        && source.node(&folder.join(b"oci-layout")).is_ok_and(|node| node.is_some_and(|node| node.content().is_some()))
}
