//! What files say of themselves, for all images that hold them: each file is searched once for the same texts.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::bringing::Around;
use super::distribution;
use super::scan::{Hit, scan};
use crate::source::{Content, Stamp};

/// What was learnt of files, each as it was when it was looked at. Made once, and shown to the rules with each image.
#[derive(Default)]
pub struct Learnt {
    texts: Answers<Vec<&'static Around>, Arc<Texts>>,
    glibc: Answers<(), Option<(u32, u32)>>,
}

/// What was found of each text.
pub(super) type Texts = BTreeMap<&'static Around, Hit>;

/// Answers by file and question.
type Answers<Q, A> = Mutex<HashMap<(Stamp, Q), A>>;

impl Learnt {
    /// What a file holds of some texts.
    pub(super) fn texts(&self, content: &Content, wanted: Vec<&'static Around>) -> io::Result<Arc<Texts>> {
        once(&self.texts, content, wanted.clone(), || {
            let hits = scan(content, &wanted)?;
            Ok(Arc::new(wanted.into_iter().zip(hits).collect()))
        })
    }

    /// The version that a libc.so.6 states, if it is glibc's.
    pub(super) fn glibc(&self, libc: &Content) -> io::Result<Option<(u32, u32)>> {
        once(&self.glibc, libc, (), || distribution::glibc_version(libc))
    }
}

/// The answer for a file, found out at the first question. Bytes made here have no stamp, and are few.
fn once<Q: Eq + Hash, A: Clone>(
    answers: &Answers<Q, A>,
    content: &Content,
    question: Q,
    find: impl FnOnce() -> io::Result<A>,
) -> io::Result<A> {
    let Some(stamp) = content.stamp() else { return find() };
    content.note_read();
    let lock = || answers.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (stamp, question);
    if let Some(known) = lock().get(&key) {
        return Ok(known.clone());
    }
    let found = find()?;
    lock().insert(key, found.clone());
    Ok(found)
}
