//! What is mapped beside or after the start: audit libraries in namespaces of their own, and what `dlopen` brings.

use std::sync::Arc;

use super::super::mapping::Asked;
use super::super::{Because, Bytes, DlopenNote, Fatal, Found};
use super::{LOADER, MAIN, Process};
use crate::elf::{DlopenEntry, Priority};

impl Process<'_> {
    /// `DT_AUDIT` and `DT_DEPAUDIT` of the program.
    pub(super) fn audit_names(&self) -> Vec<Bytes> {
        let Some(dynamic) = &self.map.objects[MAIN].elf.dynamic else { return Vec::new() };
        let lists = [&dynamic.audit, &dynamic.depaudit].into_iter().flatten();
        let names = lists.flat_map(|list| list.split(|&byte| byte == b':')).filter(|name| !name.is_empty());
        names.filter(|name| !(self.context.secure && name.contains(&b'/'))).map(Arc::from).collect()
    }

    /// Maps each audit library with all that it needs, as if nothing but the loader were there yet. One that can't be
    /// loaded is left out with a message.
    pub(super) fn audit(&mut self, untouched: &Self) {
        for name in self.audit_names() {
            let mut namespace = untouched.clone();
            let asked = Asked { by: MAIN, name: &name, because: Because::Audit };
            let mapped = match namespace.map(asked) {
                Ok(mapped) => mapped,
                Err(fatal) => {
                    self.map.note_unreadable(&fatal);
                    self.note_refused(asked, &fatal, true);
                    continue;
                }
            };
            let loaded = LOADER + 1;
            let dependencies = mapped.map(|mapped| namespace.map_dependencies(vec![mapped], loaded));
            if let Some(fatal) = namespace.map.unreadable.take() {
                // Who asked is an object of that namespace.
                self.map.note_unreadable(&Fatal { needed_by: Some(MAIN), ..fatal });
            }
            match dependencies {
                Some(Ok(_)) if namespace.map.missing.is_empty() => self.take_over(namespace),
                Some(Ok(_)) => self.map.missing_optional.extend(namespace.map.missing),
                Some(Err(fatal)) => self.note_refused(asked, &fatal, true),
                None => self.note_missing(asked, Vec::new(), true),
            }
        }
    }

    /// Adds the objects of another namespace to those that the image needs.
    fn take_over(&mut self, namespace: Self) {
        let shift = self.map.objects.len() - (LOADER + 1);
        let moved = |object: usize| if object > LOADER { object + shift } else { object };
        let added = namespace.map.objects.into_iter().zip(namespace.inner).skip(LOADER + 1);
        for (mut object, inner) in added {
            object.because = Because::Audit;
            object.needed_by = object.needed_by.map(moved);
            object.found = match object.found {
                Found::Rpath(of) => Found::Rpath(moved(of)),
                Found::Runpath(of) => Found::Runpath(moved(of)),
                other => other,
            };
            self.map.objects.push(object);
            self.inner.push(inner);
        }
        for mut alias in namespace.map.aliases.into_iter().filter(|alias| alias.path.is_some()) {
            alias.object = moved(alias.object);
            self.map.aliases.push(alias);
        }
    }

    /// What the program passes to `dlopen`, in its own context. What is not found is missing.
    pub(in crate::closure) fn dlopen_all(&mut self, names: &[Vec<u8>]) {
        for name in names {
            let name: Bytes = Arc::from(name.as_slice());
            let asked = Asked { by: MAIN, name: &name, because: Because::Dlopen };
            match self.dlopen(asked) {
                Ok(Some(_)) => {}
                Ok(None) => self.note_missing(asked, Vec::new(), false),
                Err(fatal) => self.note_refused(asked, &fatal, false),
            }
        }
    }

    /// Maps an object and all that it needs into the process as it is.
    pub(in crate::closure) fn dlopen(&mut self, asked: Asked<'_>) -> Result<Option<usize>, Fatal> {
        let loaded = self.map.objects.len();
        let Some(mapped) = self.map(asked)? else { return Ok(None) };
        if mapped >= loaded {
            self.map_dependencies(vec![mapped], loaded)?;
            self.check_versions(loaded);
        }
        Ok(Some(mapped))
    }

    /// As [`Process::dlopen`], but without a trace when the object or something that it needs is not there.
    fn try_dlopen(&mut self, asked: Asked<'_>) -> Option<usize> {
        let before = self.clone();
        let mapped = self.dlopen(asked).ok().flatten();
        let fails = |map: &super::Mapping| map.missing.len() + map.version_errors.len();
        if mapped.is_none() || fails(&self.map) > fails(&before.map) {
            let unreadable = self.map.unreadable.take();
            *self = before;
            if let Some(fatal) = unreadable {
                // Who asked may be gone again.
                self.map.note_unreadable(&Fatal { needed_by: Some(asked.by), ..fatal });
            }
            return None;
        }
        mapped
    }

    /// Follows `.note.dlopen` of every object, also of those that a note brings.
    pub(in crate::closure) fn follow_notes(&mut self) {
        self.follow_notes_from(0);
    }

    /// As [`Process::follow_notes`], for the objects from `first` on.
    pub(in crate::closure) fn follow_notes_from(&mut self, first: usize) {
        let mut object = first;
        while let Some(loaded) = self.map.objects.get(object) {
            let elf = Arc::clone(&loaded.elf);
            for entry in &elf.notes.dlopen {
                let note = self.follow_note(object, entry);
                self.map.dlopen_notes.push(note);
            }
            object += 1;
        }
    }

    fn follow_note(&mut self, by: usize, entry: &DlopenEntry) -> DlopenNote {
        let names: Vec<Bytes> = entry.sonames.iter().map(|name| Arc::from(name.as_bytes())).collect();
        let asked = |name| Asked { by, name, because: Because::DlopenNote };
        let mut note = DlopenNote { object: by, entry: entry.clone(), found: None, offered: None };
        if entry.priority == Priority::Suggested {
            // It is only told, and never brought: what can't be read is not offered.
            let offered = names.iter().find_map(|name| self.search(asked(name)).ok().flatten());
            note.offered = offered.map(|opened| opened.path);
            return note;
        }
        note.found = names.iter().find_map(|name| self.try_dlopen(asked(name)));
        if let (None, Some(first)) = (note.found, names.first()) {
            self.note_missing(asked(first), Vec::new(), entry.priority != Priority::Required);
        }
        note
    }
}
