//! What is mapped beside or after the start: audit libraries in namespaces of their own, and what `dlopen` brings.

use std::sync::Arc;

use super::super::mapping::{Asked, Mapping};
use super::super::notes::FollowsNotes;
use super::super::{Because, Bytes, Fatal, Found};
use super::{LOADER, MAIN, Process};

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
}

impl FollowsNotes for Process<'_> {
    fn map(&mut self) -> &mut Mapping {
        &mut self.map
    }

    fn asker(object: usize) -> usize {
        object
    }

    fn offered(&mut self, asked: Asked<'_>) -> Option<Bytes> {
        self.search(asked).ok().flatten().map(|opened| opened.path)
    }

    fn load_later(&mut self, asked: Asked<'_>) -> Option<usize> {
        self.dlopen(asked).ok().flatten()
    }

    fn note_not_found(&mut self, asked: Asked<'_>, optional: bool) {
        self.note_missing(asked, Vec::new(), optional);
    }
}
