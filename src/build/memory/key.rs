//! What an image follows from beside the files of its root, as a key: the recipe with its texts, options, the user.

use std::fmt::Write as _;

use crate::cache::{Key, KeyMaker};
use crate::layer;
use crate::recipe::{Compression, Policy, Recipe, Waiver};
use crate::report::{Span, TextId, Texts};

use super::super::{Options, documents};

/// A recipe, and the texts that it points into: those are counted by their place in it, whatever was read before them.
pub(super) struct Subject<'a> {
    texts: Vec<(TextId, &'a str, &'a str)>,
    words: String,
}

impl<'a> Subject<'a> {
    pub(super) fn of(recipe: &Recipe, texts: &'a Texts) -> Self {
        let mut subject = Self { texts: Vec::new(), words: String::new() };
        subject.add(&format!("{recipe:?}"), texts);
        subject
    }

    /// Takes over what a recipe is, with its own numbers for texts. `Debug` names every field, also those to come;
    /// inside of strings it has no quote without a backslash, so that these are passed over.
    fn add(&mut self, words: &str, texts: &'a Texts) {
        const MARK: &str = "TextId(";
        let (mut rest, mut in_string) = (words, false);
        while let Some(at) = rest.find(['"', '\\', 'T']) {
            self.words.push_str(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with('\\') {
                let two = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
                self.words.push_str(&rest[..two]);
                rest = &rest[two..];
            } else if let Some((number, after)) =
                rest.strip_prefix(MARK).filter(|_| !in_string).and_then(|rest| rest.split_once(')'))
            {
                let place = number.parse().ok().and_then(|number| self.place_of(number, texts));
                let _ = write!(self.words, "{MARK}{place:?})");
                rest = after;
            } else {
                in_string ^= rest.starts_with('"');
                self.words.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
        self.words.push_str(rest);
        self.words.push('\n');
    }

    fn place_of(&mut self, number: u32, texts: &'a Texts) -> Option<usize> {
        let id = texts.id(number)?;
        Some(self.texts.iter().position(|(known, ..)| *known == id).unwrap_or_else(|| {
            self.texts.push((id, texts.name(id), texts.text(id)));
            self.texts.len() - 1
        }))
    }

    /// A span with the text's place in this recipe.
    pub(super) fn place(&self, span: Span) -> Option<(usize, u32, u32)> {
        let place = self.texts.iter().position(|(known, ..)| *known == span.text)?;
        Some((place, span.start, span.end))
    }

    /// The span of such a place.
    pub(super) fn span(&self, (place, start, end): (usize, u32, u32)) -> Option<Span> {
        let (text, _, content) = self.texts.get(place)?;
        content.get(start as usize..end as usize)?;
        Some(Span { text: *text, start, end })
    }

    /// The words with the texts that they point into.
    fn put(&self, key: &mut KeyMaker) {
        key.put(self.words.as_bytes());
        for (_, name, text) in &self.texts {
            key.put(name.as_bytes());
            key.put(text.as_bytes());
        }
    }

    /// `None` when something of it can't be read.
    pub(super) fn key(
        &self,
        (recipe, others): (&Recipe, Option<&Others>),
        compressions: &[Compression],
        options: &Options,
        tool: &str,
    ) -> Option<Key> {
        // Every option is named, so that a new one has to be thought of.
        let Options {
            threads: _,
            created,
            ci,
            suggestions,
            debug_twin,
            file_hashes: _,
            locks,
            signer,
            durability: _,
            cache: _,
            remote: _,
            temporary: _,
            watch: _,
            today,
        } = options;
        if is_judged_anew(&recipe.policy) {
            return None;
        }
        let mut key = KeyMaker::new("image").with(tool.as_bytes()).with(&layer::FORMAT.to_le_bytes());
        key.put(format!("{created} {ci} {suggestions} {debug_twin} {:?} {compressions:?}", locks.mode()).as_bytes());
        key.put(format!("{:?}", signer.as_ref().map(|key| key.public().fingerprint())).as_bytes());
        for waiver in waivers(&recipe.policy) {
            key.put(&[u8::from(waiver.has_ended(*today))]);
        }
        for file in &recipe.vex {
            key.put(documents::vex(file).ok()?.bytes());
        }
        // Who may read what depends on who asks.
        let groups = rustix::process::getgroups().ok()?;
        let user = (rustix::process::geteuid(), rustix::process::getegid(), groups);
        key.put(format!("{user:?}").as_bytes());
        if let Some(place) = &recipe.lock {
            match std::fs::read(&place.file) {
                Ok(lock) => key.put(&lock),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(_) => return None,
            }
        }
        self.put(&mut key);
        if let Some(Others(others)) = others {
            key.put(others);
        }
        Some(key.finish())
    }
}

/// Whether verdicts hang on more than the recipe and what it takes: on what packages say of their licences.
fn is_judged_anew(policy: &Policy) -> bool {
    let of = |policy: &Policy| !policy.deny_licenses.is_empty() || policy.allow_licenses.is_some();
    of(policy) || policy.floor.as_ref().is_some_and(|floor| of(&floor.policy))
}

/// The waivers of a policy and of what is below it.
fn waivers(policy: &Policy) -> impl Iterator<Item = &Waiver> {
    policy.waivers.iter().chain(policy.floor.iter().flat_map(|floor| &floor.policy.waivers))
}

/// The recipes with which others share layers, as part of a key: made once for all of them.
#[derive(Debug, Clone)]
pub struct Others(Key);

impl Others {
    /// Of all members of a workspace.
    pub fn of(members: &[Recipe], texts: &Texts) -> Self {
        let mut key = KeyMaker::new("members");
        for member in members {
            Subject::of(member, texts).put(&mut key);
        }
        Self(key.finish())
    }
}
