//! What is copied, linked or made: binaries, libraries, files, folders, links, extras.

use std::collections::HashMap;

use super::super::keys::{BinaryKeys, DirectoryKeys, FileKeys};
use super::super::kinds::{Flag, Mode};
use super::super::tables::Item;
use super::super::values::{self, BareWord};
use super::super::{
    Binary, Certificates, Directory, Extra, File, FileSource, Library, MISSING, Mtime, Origin, Symlink, words,
};
use super::{Resolver, short};
use crate::report::{Diagnostic, Span, Spanned};

impl Resolver<'_> {
    fn origin(&mut self, text: &Spanned<String>, bare: BareWord) -> Option<Spanned<Origin>> {
        let folder = self.folder(text.span);
        let origin = self.parse(text, |text| values::origin(text, folder, bare))?;
        let relative = matches!(origin.value, Origin::Beside { .. });
        (!relative || !self.beside_nothing(text)).then_some(origin)
    }

    /// The names by which `!name` can take an entry away: where it comes from and where it goes, as written.
    fn names(&mut self, texts: [Option<&Spanned<String>>; 2]) -> Vec<String> {
        texts.into_iter().flatten().filter_map(|text| self.variables.expand(text)).map(|text| text.value).collect()
    }

    fn mode(&mut self, mode: Option<&Mode>) -> Option<Spanned<u32>> {
        mode.and_then(|mode| self.parse(&mode.0, values::mode))
    }

    pub(super) fn binaries(&mut self) -> Vec<Binary> {
        self.gather(&self.merged.keys.binaries.0, "binaries", short, |this, item| {
            let (span, binary) = match item {
                Item::Short(text) => (text.span, this.plain_binary(text)?),
                Item::Long(keys) => (keys.span, this.binary(keys)?),
            };
            let names = match item {
                Item::Short(text) => this.names([Some(text), None]),
                Item::Long(keys) => this.names([keys.from.as_ref().map(|t| &t.0), keys.to.as_ref().map(|t| &t.0)]),
            };
            Some((span, names, binary))
        })
    }

    fn plain_binary(&mut self, text: &Spanned<String>) -> Option<Binary> {
        let from = self.program(text)?;
        Some(Binary {
            span: text.span,
            from,
            to: None,
            mode: None,
            owner: None,
            caps: Vec::new(),
            dlopen: Vec::new(),
            layer: None,
            inherited: self.depth(text.span) > 0,
        })
    }

    fn binary(&mut self, keys: &Spanned<BinaryKeys>) -> Option<Binary> {
        let Some(from) = &keys.from else {
            self.needs("an entry of `binaries` needs `from`", keys.span);
            return None;
        };
        let from = self.program(&from.0);
        let to = self.optional(keys.to.as_ref(), values::destination);
        let mode = self.mode(keys.mode.as_ref());
        let owner = self.owner(keys.owner.as_ref());
        let caps = self.list(keys.caps.as_ref(), values::capability);
        let dlopen = self.list(keys.dlopen.as_ref(), values::soname);
        let layer = self.optional(keys.layer.as_ref(), values::layer_name);
        let inherited = self.depth(keys.span) > 0;
        Some(Binary { span: keys.span, from: from?, to, mode, owner, caps, dlopen, layer, inherited })
    }

    fn program(&mut self, text: &Spanned<String>) -> Option<Spanned<Origin>> {
        let from = self.origin(text, BareWord::Name)?;
        let written = match &from.value {
            Origin::Root(path) | Origin::Beside { text: path, .. } => path.as_slice(),
            Origin::Name(name) => name.as_bytes(),
        };
        if written.ends_with(b"/") {
            let shown = crate::path::show(written);
            let mistake = Diagnostic::error(super::VALUE, format!("`{shown}` is a folder, not a program"));
            self.mistake(mistake.at(text.span, "ends in `/`").help("list a folder under `files`"));
            return None;
        }
        Some(from)
    }

    pub(super) fn libraries(&mut self) -> Vec<Library> {
        self.gather(
            &self.merged.keys.libraries.0,
            "libraries",
            |text| Some(&text.0),
            |this, text| {
                let from = this.origin(&text.0, BareWord::Name)?;
                let names = this.names([Some(&text.0), None]);
                let inherited = this.depth(text.0.span) > 0;
                Some((text.0.span, names, Library { from, inherited }))
            },
        )
    }

    pub(super) fn file_entries(&mut self) -> Vec<File> {
        self.gather(&self.merged.keys.files.0, "files", short, |this, item| match item {
            Item::Short(text) => {
                let from = this.origin(text, BareWord::File)?;
                if let Origin::Beside { .. } = from.value {
                    this.relative_without_to(text, text.span, |from, to| format!("{{ from = {from}, to = {to} }}"));
                    return None;
                }
                let file = this.file(text.span, FileSource::Copied(from));
                Some((text.span, this.names([Some(text), None]), file))
            }
            Item::Long(keys) => {
                let file = this.full_file(keys)?;
                let names = this.names([keys.from.as_ref().map(|t| &t.0), keys.to.as_ref().map(|t| &t.0)]);
                Some((keys.span, names, file))
            }
        })
    }

    /// An entry with nothing said but what it holds.
    fn file(&self, span: Span, source: FileSource) -> File {
        File {
            span,
            source,
            to: None,
            exclude: Vec::new(),
            mode: None,
            dir_mode: None,
            owner: None,
            mtime: Mtime::default(),
            links: super::super::Links::default(),
            optional: false,
            libs: true,
            keep_capabilities: None,
            layer: None,
            inherited: self.depth(span) > 0,
            depth: self.depth(span),
        }
    }

    fn full_file(&mut self, keys: &Spanned<FileKeys>) -> Option<File> {
        let source = match (&keys.from, &keys.content) {
            (Some(from), None) => self.origin(&from.0, BareWord::File).map(FileSource::Copied),
            (None, Some(content)) => self.variables.expand(&content.0).map(FileSource::Text),
            (Some(from), Some(content)) => {
                let mistake = Diagnostic::error(MISSING, "`from` and `content` exclude one another");
                self.mistake(mistake.at(from.0.span, "copied").and_at(content.0.span, "written"));
                None
            }
            (None, None) => {
                self.needs("an entry of `files` needs `from` or `content`", keys.span);
                None
            }
        };
        let flag = |flag: Option<&Flag>, default| flag.map_or(default, |flag| flag.0.value);
        let file = File {
            to: self.optional(keys.to.as_ref(), values::destination),
            exclude: self.list(keys.exclude.as_ref(), values::glob),
            mode: self.mode(keys.mode.as_ref()),
            dir_mode: self.mode(keys.dir_mode.as_ref()),
            owner: self.owner(keys.owner.as_ref()),
            mtime: self.scalar(keys.mtime.as_ref(), values::mtime).map(|mtime| mtime.value).unwrap_or_default(),
            links: self.optional(keys.links.as_ref(), values::links).map(|links| links.value).unwrap_or_default(),
            optional: flag(keys.optional.as_ref(), false),
            libs: flag(keys.libs.as_ref(), true),
            keep_capabilities: self.optional(keys.capabilities.as_ref(), values::keep).map(|keep| keep.span),
            layer: self.optional(keys.layer.as_ref(), values::layer_name),
            ..self.file(keys.span, source?)
        };
        self.checked_combination(keys, &file).then_some(file)
    }

    /// Whether an entry's keys go together.
    fn checked_combination(&mut self, keys: &Spanned<FileKeys>, file: &File) -> bool {
        let before = self.variables.mistakes.len();
        match &file.source {
            FileSource::Text(content) => {
                if keys.to.is_none() {
                    self.needs("`content` needs `to`: where to write it", keys.span);
                }
                if let Some(to) = file.to.as_ref().filter(|to| to.folder) {
                    let mistake = Diagnostic::error(MISSING, "`content` is a file, and `to` names a folder");
                    self.mistake(mistake.at(to.span, "ends in `/`").and_at(content.span, "written there"));
                }
                let meaningless = [
                    ("exclude", keys.exclude.as_ref().map(|list| list.0.span)),
                    ("dir-mode", keys.dir_mode.as_ref().map(|mode| mode.0.span)),
                    ("links", keys.links.as_ref().map(|text| text.0.span)),
                    ("optional", keys.optional.as_ref().map(|flag| flag.0.span)),
                    ("libs", keys.libs.as_ref().map(|flag| flag.0.span)),
                    ("capabilities", keys.capabilities.as_ref().map(|text| text.0.span)),
                ];
                for (key, span) in meaningless {
                    if let Some(span) = span {
                        let mistake = Diagnostic::error(MISSING, format!("`{key}` says nothing about `content`"));
                        self.mistake(
                            mistake.at(span, "for copied files only").and_at(content.span, "written, not copied"),
                        );
                    }
                }
            }
            FileSource::Copied(from) => {
                if let (Origin::Beside { .. }, None, Some(text)) = (&from.value, &keys.to, &keys.from) {
                    self.relative_without_to(&text.0, text.0.span, |from, to| format!("{from}, to = {to}"));
                }
            }
        }
        self.variables.mistakes.len() == before
    }

    /// `files = ["conf/web.conf"]`: only the user knows where it goes; the line to write, with a guess.
    fn relative_without_to(&mut self, text: &Spanned<String>, span: Span, write: impl Fn(&str, &str) -> String) {
        let name = text.value.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let end = if text.value.ends_with('/') { "/" } else { "" };
        let to =
            if name.is_empty() || name.starts_with('.') { String::from("/app/") } else { format!("/app/{name}{end}") };
        let mistake = Diagnostic::error(MISSING, "a file beside the recipe needs `to`: where it goes in the image");
        let mistake = mistake.at(span, "relative, so it has no place of its own");
        let line = write(&words::quote(&text.value), &words::quote(&to));
        self.mistake(mistake.fix("say where, for example", vec![(span, line)]));
    }

    fn needs(&mut self, title: &str, span: Span) {
        self.mistake(Diagnostic::error(MISSING, title).at(span, "missing here"));
    }

    /// Folders to make; one that a later file lists again replaces the earlier.
    pub(super) fn directories(&mut self) -> Vec<Directory> {
        let directories = self.gather(&self.merged.keys.dirs.0, "dirs", short, |this, item| {
            let (span, text, keys) = match item {
                Item::Short(text) => (text.span, text, None),
                Item::Long(keys) => {
                    let Some(path) = &keys.path else {
                        this.needs("an entry of `dirs` needs `path`", keys.span);
                        return None;
                    };
                    (keys.span, &path.0, Some(&keys.value))
                }
            };
            let path = this.parse(text, values::image_path);
            let keys = keys.unwrap_or(const { &EMPTY });
            let (mode, owner) = (this.mode(keys.mode.as_ref()), this.owner(keys.owner.as_ref()));
            let names = this.names([Some(text), None]);
            Some((span, names, Directory { path: path?, mode, owner, inherited: this.depth(span) > 0 }))
        });
        let last: HashMap<_, _> = directories.iter().map(|dir| (dir.path.value.clone(), dir.path.span.text)).collect();
        directories.into_iter().filter(|dir| last.get(&dir.path.value) == Some(&dir.path.span.text)).collect()
    }

    pub(super) fn symlinks(&mut self) -> Vec<Symlink> {
        let mut links = Vec::new();
        for (key, target) in &self.merged.keys.symlinks.0 {
            let path = self.parse(key, values::image_path);
            let target = self.parse(&target.0, values::link_target);
            let depth = self.depth(key.span);
            if let (Some(path), Some(target)) = (path, target) {
                links.push(Symlink { path, target, inherited: depth > 0, depth });
            }
        }
        links
    }

    /// Extras asked for and taken away; the last word on each counts. What is taken away may be a rule that applies by
    /// itself, so nothing has to be inherited.
    pub(super) fn extras(&mut self) -> Vec<Extra> {
        let mut extras: Vec<Extra> = Vec::new();
        for text in &self.merged.keys.extras.0 {
            let Some(extra) = self.parse(&text.0, values::extra) else { continue };
            let (removed, name, argument) = extra.value;
            let whole = removed && argument.is_none();
            extras.retain(|known| known.name.value != name || !(whole || known.argument == argument));
            extras.push(Extra { name: Spanned::new(name, text.0.span), argument, removed });
        }
        extras
    }

    pub(super) fn certificates(&mut self) -> Certificates {
        let Some(keys) = &self.merged.keys.certificates.0 else { return Certificates::default() };
        let texts = keys.add.iter().flat_map(|list| &list.0.value);
        let add: Vec<_> = texts.filter_map(|text| self.origin(&text.0, BareWord::File)).collect();
        let only = keys.only.as_ref().is_some_and(|flag| flag.0.value);
        if only && keys.add.is_none() {
            self.missing(
                Diagnostic::error(MISSING, "`only` in [certificates] needs `add`").at(keys.span, "nothing is added"),
            );
        }
        Certificates { add, only }
    }
}

/// A folder of which nothing is said but its path.
const EMPTY: DirectoryKeys = DirectoryKeys { path: None, mode: None, owner: None };
