//! A graph as SVG: columns from left to right, each vertex one column right of the last that needs it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Graph;
use super::svg::{self, LETTER, escape, number};
use crate::report::megabytes;

/// The height of a box, and from one to the next.
const HEIGHT: f64 = 24.0;
const STEP: f64 = 32.0;
/// Between two columns.
const GAP: f64 = 56.0;
/// Around the picture, and for its title.
const MARGIN: f64 = 16.0;
const TITLE: f64 = 30.0;
/// The size of letters.
const LETTERS: f64 = 12.0;
/// How often columns are put into a better order.
const SWEEPS: usize = 12;

impl Graph {
    /// The graph as SVG.
    pub fn svg(&self, title: &str) -> String {
        let columns = self.columns();
        let tallest = columns.iter().map(Vec::len).max().unwrap_or(0);
        let mut places = vec![(0.0, 0.0, 0.0); self.vertices.len()];
        let mut left = MARGIN;
        for column in &columns {
            let width = column.iter().map(|&vertex| self.width(vertex)).fold(0.0, f64::max);
            let top = TITLE + (real(tallest) - real(column.len())) * STEP / 2.0;
            for (row, &vertex) in column.iter().enumerate() {
                places[vertex] = (left, top + real(row) * STEP, width);
            }
            left += width + GAP;
        }
        let width = (left - GAP + MARGIN).max(320.0);
        let height = TITLE + real(tallest) * STEP + 28.0;
        let mut out = svg::open(width, height, &format!("{title}: who needs whom"));
        svg::text(&mut out, "head", (MARGIN, 19.0), title);
        for &(from, to) in &self.edges {
            let ((x, y, wide), (end, end_y, _)) = (places[from], places[to]);
            let (x, y, end_y) = (x + wide, y + HEIGHT / 2.0, end_y + HEIGHT / 2.0);
            let middle = f64::midpoint(x, end);
            let [x, y, end, end_y, middle] = [x, y, end, end_y, middle].map(number);
            let _ = writeln!(out, "<path class=\"edge\" d=\"M{x} {y}C{middle} {y} {middle} {end_y} {end} {end_y}\"/>");
        }
        for (vertex, &(x, y, wide)) in self.vertices.iter().zip(&places) {
            let size = vertex.size.map_or_else(String::new, |size| format!(", {}", megabytes(size)));
            let class = match (vertex.size, vertex.is_program) {
                (None, _) => "c2",
                (_, true) => "program",
                (_, false) => "box",
            };
            let [left, top, wide, high] = [x, y, wide, HEIGHT].map(number);
            let _ = write!(
                out,
                "<g><title>{}{size}</title><rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" rx=\"4\"/>",
                escape(&vertex.name)
            );
            svg::text(&mut out, "name", (x + 8.0, y + 16.0), &vertex.label());
            out.push_str("</g>\n");
        }
        let note = "• needs the C library and its loader, which are not drawn; edges that others imply are left out";
        svg::text(&mut out, "note", (MARGIN, height - 9.0), note);
        out.push_str("</svg>\n");
        out
    }

    fn width(&self, vertex: usize) -> f64 {
        real(self.vertices[vertex].label().chars().count()) * LETTERS * LETTER + 18.0
    }

    /// The vertices by columns, each in an order in which few edges cross.
    fn columns(&self) -> Vec<Vec<usize>> {
        let ranks = self.ranks();
        let mut columns = vec![Vec::new(); ranks.iter().max().map_or(0, |last| last + 1)];
        for (vertex, &rank) in ranks.iter().enumerate() {
            columns[rank].push(vertex);
        }
        for sweep in 0..SWEEPS {
            let order: Vec<usize> =
                if sweep % 2 == 0 { (0..columns.len()).collect() } else { (0..columns.len()).rev().collect() };
            for column in order {
                let places = rows(&columns, self.vertices.len());
                let mut keyed: Vec<(f64, usize)> = columns[column]
                    .iter()
                    .map(|&vertex| (self.middle(vertex, sweep % 2 == 0, &places), vertex))
                    .collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(places[a.1].total_cmp(&places[b.1])));
                columns[column] = keyed.into_iter().map(|(_, vertex)| vertex).collect();
            }
        }
        columns
    }

    /// Where the neighbours of a vertex stand in the middle; where it stands itself when it has none.
    fn middle(&self, vertex: usize, is_forward: bool, places: &[f64]) -> f64 {
        let neighbours: Vec<f64> = if is_forward {
            self.edges.iter().filter(|(_, to)| *to == vertex).map(|(from, _)| places[*from]).collect()
        } else {
            self.below(vertex).map(|to| places[to]).collect()
        };
        if neighbours.is_empty() { places[vertex] } else { neighbours.iter().sum::<f64>() / real(neighbours.len()) }
    }

    /// The column of each vertex: the longest way that leads to it. Edges that close a circle count nothing.
    fn ranks(&self) -> Vec<usize> {
        let mut ranks = vec![0; self.vertices.len()];
        for vertex in self.order() {
            for to in self.below(vertex) {
                ranks[to] = ranks[to].max(ranks[vertex] + 1);
            }
        }
        // In a circle, the last edge leads back to what has its column already.
        let used: BTreeSet<usize> = ranks.iter().copied().collect();
        let dense: Vec<usize> = used.into_iter().collect();
        ranks.iter().map(|rank| dense.binary_search(rank).unwrap_or(0)).collect()
    }

    /// Vertices, who needs before what is needed.
    fn order(&self) -> Vec<usize> {
        let mut order = Vec::new();
        let mut seen = vec![false; self.vertices.len()];
        for start in 0..self.vertices.len() {
            // Each with whether all that it needs was passed already.
            let mut open = vec![(start, false)];
            while let Some((vertex, is_done)) = open.pop() {
                if is_done {
                    order.push(vertex);
                } else if !std::mem::replace(&mut seen[vertex], true) {
                    open.push((vertex, true));
                    open.extend(self.below(vertex).filter(|&to| !seen[to]).map(|to| (to, false)));
                }
            }
        }
        order.reverse();
        order
    }
}

/// The row of each vertex, measured from the middle of its column.
fn rows(columns: &[Vec<usize>], count: usize) -> Vec<f64> {
    let mut rows = vec![0.0; count];
    for column in columns {
        for (row, &vertex) in column.iter().enumerate() {
            rows[vertex] = real(row) - real(column.len()) / 2.0;
        }
    }
    rows
}

#[expect(clippy::cast_precision_loss, reason = "numbers of boxes are small")]
fn real(number: usize) -> f64 {
    number as f64
}
