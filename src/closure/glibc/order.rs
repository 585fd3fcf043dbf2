//! The order in which symbols are looked up, which is also that in which dependencies are mapped.

/// The order of lookup while it is made.
pub(super) struct Order {
    pub(super) list: Vec<usize>,
    /// Where the object stands that is looked at, or what was put before it.
    pub(super) place: usize,
    /// By object: whether its dependencies were mapped, whether it stands in the list.
    done: Vec<bool>,
    listed: Vec<bool>,
}

impl Order {
    /// Begins with some objects; those below `loaded` are in other lists and were seen to before.
    pub(super) fn new(list: Vec<usize>, loaded: usize) -> Self {
        let mut order = Self { list, place: 0, done: vec![true; loaded], listed: vec![true; loaded] };
        for object in order.list.clone() {
            order.mark(object);
        }
        order
    }

    /// Takes note of an object that goes into the list, and tells whether it was not there.
    pub(super) fn mark(&mut self, object: usize) -> bool {
        if object >= self.listed.len() {
            self.listed.resize(object + 1, false);
            self.done.resize(object + 1, false);
        }
        !std::mem::replace(&mut self.listed[object], true)
    }

    /// The next object whose dependencies are to be mapped.
    pub(super) fn next(&mut self) -> Option<usize> {
        while let Some(&object) = self.list.get(self.place) {
            if !std::mem::replace(&mut self.done[object], true) {
                return Some(object);
            }
            self.place += 1;
        }
        None
    }

    /// Puts an object before the one that it filters. False when it stands earlier already.
    pub(super) fn insert(&mut self, place: usize, object: usize, is_new: bool) -> bool {
        if !is_new {
            let later = self.list.iter().skip(place + 1).position(|&listed| listed == object);
            let Some(later) = later else { return false };
            self.list.remove(place + 1 + later);
        }
        self.list.insert(place, object);
        true
    }
}
