//! `.note.dlopen`: what objects say that they load later, followed in the way of each loader.

use std::sync::Arc;

use super::mapping::{Asked, Mapping};
use super::{Because, Bytes, DlopenNote, Fatal};
use crate::elf::{DlopenEntry, Priority};

/// A process into which more can be loaded.
pub(super) trait FollowsNotes: Clone {
    /// What it has mapped.
    fn map(&mut self) -> &mut Mapping;

    /// In whose name the loader searches when an object calls `dlopen`.
    fn asker(object: usize) -> usize;

    /// Where a name leads; nothing is mapped, and nothing is noted.
    fn offered(&mut self, asked: Asked<'_>) -> Option<Bytes>;

    /// Maps an object and all that it needs.
    fn load_later(&mut self, asked: Asked<'_>) -> Option<usize>;

    /// Keeps that nothing was found, with what was tried.
    fn note_not_found(&mut self, asked: Asked<'_>, optional: bool);

    /// Follows the notes of the objects from `first` on, also of those that a note brings.
    fn follow_notes_from(&mut self, first: usize) {
        let mut object = first;
        while let Some(loaded) = self.map().objects.get(object) {
            let elf = Arc::clone(&loaded.elf);
            for entry in &elf.notes.dlopen {
                let note = self.follow_note(object, entry);
                self.map().dlopen_notes.push(note);
            }
            object += 1;
        }
    }

    /// Follows one note. What is only suggested is told, and never brought: what can't be read is not offered.
    fn follow_note(&mut self, object: usize, entry: &DlopenEntry) -> DlopenNote {
        let names: Vec<Bytes> = entry.sonames.iter().map(|name| Arc::from(name.as_bytes())).collect();
        let asked = |name| Asked { by: Self::asker(object), name, because: Because::DlopenNote };
        let mut note = DlopenNote { object, entry: entry.clone(), found: None, offered: None };
        if entry.priority == Priority::Suggested {
            note.offered = names.iter().find_map(|name| self.offered(asked(name)));
            return note;
        }
        note.found = names.iter().find_map(|name| self.try_to_load(asked(name)));
        if let (None, Some(first)) = (note.found, names.first()) {
            self.note_not_found(asked(first), entry.priority != Priority::Required);
        }
        note
    }

    /// As [`FollowsNotes::load_later`], but without a trace when the object or something that it needs is not there.
    fn try_to_load(&mut self, asked: Asked<'_>) -> Option<usize> {
        let before = self.clone();
        let fails = |map: &Mapping| map.missing.len() + map.version_errors.len();
        let failed_before = fails(self.map());
        let mapped = self.load_later(asked);
        if mapped.is_none() || fails(self.map()) > failed_before {
            let unreadable = self.map().unreadable.take();
            *self = before;
            if let Some(fatal) = unreadable {
                // Who asked may be gone again.
                self.map().note_unreadable(&Fatal { needed_by: Some(asked.by), ..fatal });
            }
            return None;
        }
        mapped
    }
}
