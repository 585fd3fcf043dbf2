//! Images of one run that go into one layout, put there together.
//!
//! In: images that are packed, in order. Out: those of them marked that are in their layout now, with what refers to
//! them. What a layout lists and holds is looked at once for all of them, and the time of many does not grow with the
//! square of their number.

use std::path::PathBuf;

use super::write::{Made, Packed, Place, Staged};
use crate::image::Images;
use crate::layer::Durability;
use crate::output::{self, Attaching, Destination};

/// An image that goes into a layout with others.
struct Joining<'a> {
    made: &'a mut Made,
    attaching: &'a mut Option<Attaching>,
    images: &'a Images,
    addition: output::Addition,
}

/// Those of one layout.
struct Group<'a> {
    path: PathBuf,
    to: Destination,
    durability: Durability,
    all: Vec<Joining<'a>>,
}

/// Puts images that go into the same layouts there together, with what refers to them, which takes one look at each
/// list, one lock and one wait for the disk. Where that fails, [`Packed::place`] does it one by one, and says why.
pub fn into_layouts<'a>(images: impl Iterator<Item = &'a mut Packed>) {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for Packed { names, ready, .. } in images {
        for Staged { place, variant, made, images, beside, attaching, durability } in ready {
            let (Place::Destination(to), Made::Staged(staging)) = (&*place, &*made) else { continue };
            // What refers to an index is attached by itself.
            if beside.referrers.is_empty() != attaching.is_none() {
                continue;
            }
            let Some((path, addition)) = output::addition(to, staging, images, &names[*variant as usize]) else {
                continue;
            };
            let joining = Joining { made, attaching, images, addition };
            match groups.iter_mut().find(|group| group.path == path) {
                Some(group) => group.all.push(joining),
                None => groups.push(Group { path, to: to.clone(), durability: *durability, all: vec![joining] }),
            }
        }
    }
    for Group { path, to, durability, all } in groups.into_iter().filter(|group| group.all.len() > 1) {
        let (mut made, mut attaching, mut images, mut additions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for one in all {
            made.push(one.made);
            attaching.extend(one.attaching.take());
            images.push(one.images);
            additions.push(one.addition);
        }
        // What refers to an image comes before it: to refer to nothing yet harms nobody.
        let place = || {
            let guard = Attaching::finish_together(attaching)?;
            let written = output::write_together(&path, &additions)?;
            output::prune(&to, images, durability, guard).map(|()| written)
        };
        if let Ok(written) = place() {
            made.into_iter().zip(written).for_each(|(made, written)| *made = Made::Together(written));
        }
    }
}
