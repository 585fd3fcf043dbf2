//! Trees of text with columns at the right.

use std::fmt::Write as _;

use super::environment;

/// Beyond this, a long line does not push the columns of all others to the right.
const WIDEST: usize = 100;

/// A line of a tree.
pub(super) struct Row {
    /// How far below the root it stands.
    pub(super) depth: usize,
    /// What it says.
    pub(super) text: String,
    /// What stands at the right, aligned at the right.
    pub(super) cells: Vec<String>,
}

/// Draws a tree: a row's children are the deeper rows that follow it.
pub(super) fn draw(rows: &[Row]) -> String {
    let guides = if environment::is_utf8() { ["│   ", "├── ", "└── "] } else { ["|   ", "|-- ", "`-- "] };
    let lines: Vec<String> =
        prefixes(rows, guides).into_iter().zip(rows).map(|(prefix, row)| prefix + &row.text).collect();
    let length = |line: &String| line.chars().count();
    let width = lines.iter().map(length).filter(|length| *length <= WIDEST).max().unwrap_or(0);
    let columns = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let cell_width = |column: usize| rows.iter().filter_map(|row| row.cells.get(column)).map(length).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(cell_width).collect();
    let mut text = String::new();
    for (mut line, row) in lines.into_iter().zip(rows) {
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(length(&line))));
        for (cell, width) in row.cells.iter().zip(&widths) {
            let _ = write!(line, "  {cell:>width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What stands before each row's text: the lines that lead to it.
fn prefixes(rows: &[Row], [through, branch, last]: [&str; 3]) -> Vec<String> {
    let deepest = rows.iter().map(|row| row.depth).max().unwrap_or(0);
    // For each depth, whether a row of that depth follows below the same parent.
    let mut follows = vec![false; deepest + 1];
    let mut prefixes = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        let mut prefix = String::new();
        for follows in follows.get(1..row.depth).unwrap_or_default() {
            prefix.push_str(if *follows { through } else { "    " });
        }
        if row.depth > 0 {
            prefix.push_str(if follows[row.depth] { branch } else { last });
        }
        follows[row.depth] = true;
        follows[row.depth + 1..].fill(false);
        prefixes.push(prefix);
    }
    prefixes.reverse();
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guides_lead_to_siblings_only() {
        let rows: Vec<Row> =
            [0, 1, 2, 3, 2, 1, 2].map(|depth| Row { depth, text: String::new(), cells: Vec::new() }).into();
        let drawn = prefixes(&rows, ["|   ", "|-- ", "`-- "]);
        assert_eq!(drawn, ["", "|-- ", "|   |-- ", "|   |   `-- ", "|   `-- ", "`-- ", "    `-- "]);
    }
}
