//! Pictures of what an image holds and why: who is needed by whom alone, as areas; who needs whom, as a graph.
//!
//! In: a survey. Out: trees, rectangles and text (SVG, DOT, Mermaid). The same survey gives the same bytes.

mod graph;
mod layered;
mod shares;
mod squarify;
mod svg;
mod treemap;

pub use crate::report::xml as escape;
pub use graph::{About, Graph, Role, Vertex};
pub use shares::{Share, Shares};
pub use squarify::{Rectangle, squarify};
pub use treemap::treemap;
