//! Why an image holds what it holds: from an assembled image, the tree of reasons, who needs a path, and everything
//! there is to say of one path.
//!
//! Everything comes from the reasons that the entries of the tree carry, and from what the objects themselves ask for.
//! Reads nothing but what is in memory already; the words are the command line's, but for those of the recipe.

use crate::report::Code;

mod graph;
mod outline;
mod lookup;
mod words;
mod why;

pub use graph::{Asker, Bond, Graph, Need, Reach, needs};
pub use lookup::find;
pub use outline::{Line, Listing, What};
pub use why::{Because, Explanation, explain};
pub use words::{called, words};

/// A path that is asked about is not in the image.
pub const NOT_IN_IMAGE: Code = Code("E0285");
/// A name that is asked about stands for several paths of the image.
pub const AMBIGUOUS: Code = Code("E0286");
