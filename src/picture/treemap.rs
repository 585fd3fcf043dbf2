//! The shares of an image as nested rectangles.

use std::fmt::Write as _;

use super::squarify::{Rectangle, squarify};
use super::svg::{self, escape, fitting, number};
use super::{Share, Shares};
use crate::report::{counted, megabytes};

/// How many colours there are; the last one is of what several need.
const COLOURS: usize = 8;
/// Smaller areas are drawn together, as one.
const SMALLEST: f64 = 90.0;
/// How deep rectangles are nested.
const DEEPEST: usize = 6;
/// The height of a group's heading.
const HEADING: f64 = 17.0;
/// The size of letters.
const LETTERS: f64 = 12.0;

/// A treemap as SVG: what would go with what, as area. `title` is told above it.
pub fn treemap(shares: &Shares, title: &str, width: f64, height: f64) -> String {
    let mut out = svg::open(width, height, &format!("{title}: what brings how many bytes"));
    let image = &shares.0[0];
    svg::text(&mut out, "head", (8.0, 17.0), title);
    let sum = format!("{} in {} files", megabytes(image.total), image.files);
    #[expect(clippy::cast_precision_loss, reason = "a number of letters")]
    let beside = 8.0 + title.chars().count() as f64 * LETTERS * 0.62 + 12.0;
    svg::text(&mut out, "note", (beside, 17.0), &sum);
    let within = Rectangle { x: 4.0, y: 26.0, width: width - 8.0, height: height - 30.0 };
    let mut drawing = Drawing { shares, out: &mut out };
    let groups: Vec<usize> = image.below.iter().copied().filter(|&index| shares.0[index].total > 0).collect();
    let mut colour = 0;
    for (cell, rectangle) in drawing.cells(&groups, 0, within) {
        let is_grey = match &cell {
            Cell::Share(index) => shares.0[*index].name == "made by mkimage",
            Cell::Own { .. } | Cell::Rest { .. } => true,
        };
        let own = if is_grey { COLOURS - 1 } else { colour % (COLOURS - 1) };
        colour += usize::from(!is_grey);
        drawing.draw(&cell, rectangle, own, 0);
    }
    out.push_str("</svg>\n");
    out
}

/// What a rectangle is of.
#[derive(Debug, Clone)]
enum Cell {
    /// A share.
    Share(usize),
    /// What a share has beside all that stands below it.
    Own { bytes: u64 },
    /// Several that are too small to be seen.
    Rest { count: usize, bytes: u64 },
}

struct Drawing<'a> {
    shares: &'a Shares,
    out: &'a mut String,
}

impl Drawing<'_> {
    /// Shares, the largest first, and the bytes of what they stand in, with their rectangles; those that would be too
    /// small as one.
    fn cells(&self, shares: &[usize], own: u64, within: Rectangle) -> Vec<(Cell, Rectangle)> {
        let total: u64 = shares.iter().map(|&index| self.shares.0[index].total).sum::<u64>() + own;
        let area = within.width * within.height;
        let large = |&index: &usize| weight(self.shares.0[index].total) / weight(total) * area >= SMALLEST;
        let seen = shares.iter().take_while(|index| large(index)).count();
        let (large, small) = shares.split_at(seen);
        let bytes: u64 = small.iter().map(|&index| self.shares.0[index].total).sum();
        let mut cells: Vec<(Cell, u64)> =
            large.iter().map(|&index| (Cell::Share(index), self.shares.0[index].total)).collect();
        if bytes > 0 {
            let rest = match small {
                [one] => Cell::Share(*one),
                small => Cell::Rest { count: small.len(), bytes },
            };
            let at = cells.partition_point(|(_, other)| *other >= bytes);
            cells.insert(at, (rest, bytes));
        }
        if own > 0 {
            let at = cells.partition_point(|(_, other)| *other >= own);
            cells.insert(at, (Cell::Own { bytes: own }, own));
        }
        let weights: Vec<f64> = cells.iter().map(|(_, bytes)| weight(*bytes)).collect();
        let rectangles = squarify(&weights, within);
        cells.into_iter().map(|(cell, _)| cell).zip(rectangles).collect()
    }

    fn draw(&mut self, cell: &Cell, at: Rectangle, colour: usize, depth: usize) {
        let Rectangle { x, y, width, height } = at;
        // A gap on all sides, and no rectangle thinner than can be seen.
        let (x, y, width, height) = (x + 1.0, y + 1.0, (width - 2.0).max(0.5), (height - 2.0).max(0.5));
        let (name, bytes, files) = match cell {
            Cell::Share(index) => {
                let share = &self.shares.0[*index];
                (called(share), share.total, share.files)
            }
            Cell::Own { bytes } => ("itself".to_owned(), *bytes, 1),
            Cell::Rest { count, bytes } => (format!("{count} more"), *bytes, *count),
        };
        let files = counted(files, "file");
        let size = megabytes(bytes);
        let full = match cell {
            Cell::Share(index) => format!("{}: {size}, {files}", self.shares.0[*index].name),
            Cell::Own { .. } | Cell::Rest { .. } => format!("{name}: {size}"),
        };
        let below: Vec<usize> = match cell {
            Cell::Share(index) => {
                let below = self.shares.0[*index].below.iter().copied();
                below.filter(|&index| self.shares.0[index].total > 0).collect()
            }
            Cell::Own { .. } | Cell::Rest { .. } => Vec::new(),
        };
        let is_group = !below.is_empty() && depth < DEEPEST && width > 44.0 && height > HEADING + 14.0;
        let class = if is_group { format!("c{colour} group") } else { format!("c{colour}") };
        let [left, top, wide, high] = [x, y, width, height].map(number);
        let _ = writeln!(
            self.out,
            "<g><title>{}</title><rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" rx=\"2\"/>",
            escape(&full)
        );
        self.label(&name, &size, Rectangle { x, y, width, height }, is_group);
        self.out.push_str("</g>\n");
        if !is_group {
            return;
        }
        let Cell::Share(index) = cell else { return };
        let inner = Rectangle { x: x + 2.0, y: y + HEADING, width: width - 4.0, height: height - HEADING - 2.0 };
        for (cell, rectangle) in self.cells(&below, self.shares.0[*index].own, inner) {
            self.draw(&cell, rectangle, colour, depth + 1);
        }
    }

    fn label(&mut self, name: &str, size: &str, at: Rectangle, is_group: bool) {
        let room = at.width - 8.0;
        if at.height < 15.0 {
            return;
        }
        if is_group || at.height < 30.0 {
            let whole = format!("{name}  {size}");
            // Headings are bold.
            let letters = if is_group { LETTERS * 1.1 } else { LETTERS };
            let words = if fitting(&whole, room, letters).as_deref() == Some(&whole) {
                Some(whole)
            } else {
                fitting(name, room, letters)
            };
            if let Some(words) = words {
                let class = if is_group { "head" } else { "name" };
                svg::text(self.out, class, (at.x + 4.0, at.y + 12.5), &words);
            }
            return;
        }
        if let Some(words) = fitting(name, room, LETTERS) {
            svg::text(self.out, "name", (at.x + 4.0, at.y + 13.5), &words);
            if let Some(size) = fitting(size, room, LETTERS).filter(|fits| fits == size) {
                svg::text(self.out, "small", (at.x + 4.0, at.y + 26.5), &size);
            }
        }
    }
}

/// What stands in a rectangle: the name of a file without its folder.
fn called(share: &Share) -> String {
    match &share.path {
        Some(path) => crate::path::show(path.name()),
        None => share.name.clone(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an area need not be exact to the byte")]
fn weight(bytes: u64) -> f64 {
    bytes as f64
}
