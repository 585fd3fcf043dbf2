//! Values that several tests need and that are made once, by the first test that asks; the others wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

pub(crate) struct Once<T>(Mutex<BTreeMap<String, Arc<OnceLock<T>>>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Once<T> {
    /// The value of `key`. When `make` panics, the next one that asks tries again.
    pub(crate) fn value(&self, key: &str, make: impl FnOnce() -> T) -> T {
        let cell =
            Arc::clone(self.0.lock().expect("nothing panics under this lock").entry(key.to_owned()).or_default());
        cell.get_or_init(make).clone()
    }
}
