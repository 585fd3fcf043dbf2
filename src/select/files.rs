//! `files`: single files, texts, globs and folders.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::path::{ImagePath, show};
use crate::recipe::{Destination, File, FileSource, Links, Mtime, Origin};
use crate::report::{Diagnostic, Spanned};
use crate::source::{Content, NodeKind, Resolved, Source, Unresolved, resolve};
use crate::tree::{Cause, EntryKind, Rank};

use super::folder::Copy;
use super::glob::{self, Excludes};
use super::{BAD_GLOB, Manner, NO_MATCH, NOT_THERE, Selector, WRONG_KIND, magic};

impl<'a> Selector<'a> {
    pub(super) fn files(&mut self) {
        for file in &self.recipe.files {
            let rank = if file.inherited { Rank::Inherited } else { Rank::Recipe };
            let mut manner = Manner::new(rank, Cause::Key("files"), file.span);
            manner.mode = file.mode.as_ref().map(|mode| mode.value);
            manner.dir_mode = file.dir_mode.as_ref().map(|mode| mode.value);
            manner.owner = self.owner(file.owner.as_ref());
            manner.mtime = file.mtime;
            manner.keep_capabilities = file.keep_capabilities.is_some();
            manner.layer = file.layer.as_ref().map(|layer| layer.value.as_str().into());
            manner.libs = file.libs;
            match &file.source {
                FileSource::Text(text) => self.text(file, text, &manner),
                FileSource::Copied(from) => self.copied(file, from, manner),
            }
        }
    }

    fn text(&mut self, file: &File, text: &Spanned<String>, manner: &Manner) {
        let Some(to) = &file.to else { return };
        let place = self.land(&to.path);
        let kind = EntryKind::File(Content::bytes(text.value.as_bytes()));
        let mut entry = manner.entry(kind, manner.mode.unwrap_or(0o644));
        entry.mtime = match manner.mtime {
            Mtime::Constant => None,
            Mtime::Unix(seconds) => Some(seconds),
            Mtime::Content => entry.content().and_then(|text| magic::content_time(text).ok()),
        };
        self.place(place, entry);
    }

    fn copied(&mut self, file: &'a File, from: &Spanned<Origin>, mut manner: Manner) {
        manner.beside = matches!(from.value, Origin::Beside { .. });
        let (source, path): (&'a dyn Source, Vec<u8>) = match &from.value {
            Origin::Root(path) => (self.root, path.clone()),
            Origin::Beside { base, text } => (self.beside, absolute(base, text)),
            Origin::Name(name) => (self.beside, absolute(&self.recipe.folder, name.as_bytes())),
        };
        if glob::is_glob(&path) && resolve(source, &path).is_err() {
            return self.globbed(file, source, &path, from, manner);
        }
        let found = match resolve(source, &path) {
            Ok(found) => found,
            Err(Unresolved::Missing { .. }) if file.optional => return,
            Err(error) => return self.absent(&path, from, &error, &manner),
        };
        match &found.node.kind {
            NodeKind::Directory if path.ends_with(b"/") => self.folder(file, source, &found, &path, from, &manner),
            NodeKind::Directory => self.folder_without_slash(from, &path),
            NodeKind::File(content) => self.single(file, source, &found, content, &path, &manner),
            NodeKind::Special(what) => self.errors.push(
                Diagnostic::error(WRONG_KIND, format!("`{}` is a {what}", show(&path)))
                    .at(from.span, "asks for it")
                    .help("an image holds files, folders and links; engines make devices and sockets at run time"),
            ),
            NodeKind::Symlink(_) => {}
        }
    }

    fn absent(&mut self, path: &[u8], from: &Spanned<Origin>, error: &Unresolved, manner: &Manner) {
        let mut error = self.lost(path, error, from.span);
        if manner.beside && error.code == NOT_THERE {
            error =
                error.help("it is looked for beside the file that names it; what may be absent says `optional = true`");
        }
        self.errors.push(error);
    }

    fn folder_without_slash(&mut self, from: &Spanned<Origin>, path: &[u8]) {
        let place = from.span;
        let end = crate::report::Span { start: place.end.saturating_sub(1), ..place };
        let end = crate::report::Span { end: end.start, ..end };
        self.errors.push(
            Diagnostic::error(WRONG_KIND, format!("`{}` is a folder", show(path)))
                .at(place, "taken for a file")
                .fix("end a folder in `/`", vec![(end, "/".to_owned())]),
        );
    }

    /// One file, to its own place with the links that lead to it, or to another.
    fn single(
        &mut self,
        file: &File,
        source: &dyn Source,
        found: &Resolved,
        content: &Content,
        path: &[u8],
        manner: &Manner,
    ) {
        if let Some(to) = &file.to {
            let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
            let place = self.under(to, name);
            self.place_file(place, &found.node, content, manner);
        } else if manner.beside {
            let place = content.host_path().map_or_else(|| show(path), |host| host.display().to_string());
            self.errors.push(
                Diagnostic::error(NOT_THERE, format!("`{place}` has no place in the image"))
                    .at(manner.span, "says no `to`")
                    .help("a file beside the recipe says where it goes: `{ from = \"..\", to = \"/..\" }`"),
            );
        } else {
            debug_assert_eq!(source.describe(), self.root.describe());
            self.bring(path, manner);
        }
    }

    fn folder(
        &mut self,
        file: &'a File,
        source: &'a dyn Source,
        found: &Resolved,
        path: &[u8],
        from: &Spanned<Origin>,
        manner: &Manner,
    ) {
        let excludes = match Excludes::new(file.exclude.iter().map(|glob| glob.value.as_str())) {
            Ok(excludes) => excludes,
            Err(error) => return self.bad_exclude(file, &error),
        };
        let shown = match &from.value {
            Origin::Beside { text, .. } => show(text),
            _ => show(path),
        };
        let mut manner = manner.clone();
        manner.rank = Rank::Folder;
        manner.cause = Cause::Folder(shown);
        if manner.beside {
            self.out.folders.push((Path::new("/").join(std::ffi::OsStr::from_bytes(found.real.relative())), from.span));
        }
        let to = if let Some(to) = &file.to {
            self.land(&to.path)
        } else {
            for link in &found.links {
                self.place_link(link.path.clone(), &link.target, &manner);
            }
            found.real.clone()
        };
        self.out.copied.push((to.clone(), manner.span));
        let copy = Copy {
            source,
            from: found.real.clone(),
            to,
            excludes: Some(&excludes),
            follow: file.links == Links::Follow,
            led: None,
            manner: &manner,
        };
        self.copy(&copy);
    }

    fn bad_exclude(&mut self, file: &File, error: &globset::Error) {
        let bad = file.exclude.iter().find(|glob| globset::Glob::new(&glob.value).is_err());
        let (text, span) = bad.map_or(("exclude", file.span), |glob| (glob.value.as_str(), glob.span));
        let error = Diagnostic::error(BAD_GLOB, format!("`{text}` is no glob: {}", error.kind())).at(span, "here");
        self.errors.push(error);
    }

    fn globbed(
        &mut self,
        file: &'a File,
        source: &'a dyn Source,
        path: &[u8],
        from: &Spanned<Origin>,
        mut manner: Manner,
    ) {
        manner.rank = Rank::Folder;
        let found = match glob::expand(source, path) {
            Ok(found) => found,
            Err(error) => {
                let error = Diagnostic::error(BAD_GLOB, format!("`{}` can't be expanded: {error}", show(path)));
                return self.errors.push(error.at(from.span, "here"));
            }
        };
        let excludes = match Excludes::new(file.exclude.iter().map(|glob| glob.value.as_str())) {
            Ok(excludes) => excludes,
            Err(error) => return self.bad_exclude(file, &error),
        };
        let before = self.out.tree.len();
        let mut matched = false;
        for (path, below) in found {
            if excludes.leave_out_all(&below) {
                continue;
            }
            let Ok(found) = resolve(source, path.as_bytes()) else { continue };
            let NodeKind::File(content) = &found.node.kind else { continue };
            matched = true;
            match &file.to {
                Some(to) => {
                    let to = Destination { path: to.path.clone(), folder: true };
                    match to.path.join_path(&below) {
                        Ok(place) => {
                            let place = self.land(&place);
                            self.place_file(place, &found.node, content, &manner);
                        }
                        Err(_) => self.errors.push(self.lost(&below, &Unresolved::NotAPath, from.span)),
                    }
                }
                None => self.single(file, source, &found, content, path.as_bytes(), &manner),
            }
        }
        if !matched && !file.optional && self.out.tree.len() == before {
            self.no_match(source, path, from);
        }
    }

    fn no_match(&mut self, source: &dyn Source, pattern: &[u8], from: &Spanned<Origin>) {
        let (folder, _) = glob::split(pattern);
        let state = match resolve(source, &folder) {
            Ok(found) if source.names(&found.real, &|_| true).is_ok_and(|names| names.is_empty()) => {
                format!("`{}` is there and empty", show(&folder))
            }
            Ok(_) => format!("`{}` is there, nothing in it matches", show(&folder)),
            Err(_) => format!("`{}` is not there", show(&folder)),
        };
        self.errors.push(
            Diagnostic::error(NO_MATCH, format!("`{}` matches no file", show(pattern)))
                .at(from.span, "matches nothing")
                .note(state)
                .help("a glob that may match nothing says `optional = true`"),
        );
    }
}

/// A path beside a recipe, made absolute on this machine; `..` and links are left to the walk.
pub(super) fn absolute(base: &Path, text: &[u8]) -> Vec<u8> {
    let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let text = text.strip_prefix(b"./").unwrap_or(text);
    [base.as_os_str().as_bytes(), b"/", text].concat()
}

/// The path of the image at which a link's text leads, from the folder that holds the link.
pub(super) fn follow_text(folder: &ImagePath, target: &[u8]) -> ImagePath {
    let mut here = if target.first() == Some(&b'/') { ImagePath::root() } else { folder.clone() };
    for part in target.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => here = here.parent().unwrap_or_else(ImagePath::root),
            name => here = here.join(name),
        }
    }
    here
}
