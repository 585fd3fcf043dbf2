//! A difference as text for people.

use std::fmt::Write as _;

use super::words::{became, led, percent, plain, short, sign};
use super::{Difference, Growth, change, signed};
use crate::report::{counted, megabytes};

/// Of what grew or shrank, as many lines are told without being asked.
const MOST_GROWTH: usize = 10;

impl Difference {
    /// The difference as text; `whole` leaves nothing out.
    pub fn text(&self, whole: bool) -> String {
        let [from, to] = &self.sides;
        if self.is_empty() {
            let mut text = "no difference\n".to_owned();
            if self.layers.recompressed > 0 {
                let [before, after] = self.downloads().map(megabytes);
                let _ = writeln!(text, "note: the layers are compressed otherwise, {before} -> {after}");
            }
            return text;
        }
        let mut text = String::new();
        for (mark, side) in [("---", from), ("+++", to)] {
            let digest = short(side.digest.unwrap_or(side.id));
            let _ = writeln!(text, "{mark} {} ({})  {digest}", plain(&side.name), plain(&side.platform));
        }
        let mut rows = Vec::new();
        for (what, sizes) in [("size", self.sizes()), ("download", self.downloads())] {
            let [before, after] = sizes.map(megabytes);
            let grown = change(sizes);
            let grown = if grown == 0 { String::new() } else { format!("{} {}", signed(grown), percent(sizes)) };
            rows.push(vec![format!("  {what}"), format!("{before} -> {after}"), grown]);
        }
        rows.push(vec!["  files".to_owned(), format!("{} -> {}", from.files, to.files), String::new()]);
        rows.push(vec!["  pull".to_owned(), self.pull(), String::new()]);
        text.push_str(&columns(&rows));
        self.sections(&mut text, whole);
        text
    }

    /// What who has the older image downloads.
    pub(super) fn pull(&self) -> String {
        let layers = counted(self.layers.new.len(), "new layer");
        format!("{} in {layers}, {} shared", megabytes(self.layers.download()), self.layers.shared.len())
    }

    fn sections(&self, text: &mut String, whole: bool) {
        let none = String::new;
        section(
            text,
            "packages",
            self.packages.iter().map(|package| {
                let version = |version: &Option<String>| version.as_deref().map_or_else(none, plain);
                let versions = match &package.versions {
                    [Some(from), Some(to)] => format!("{} -> {}", plain(from), plain(to)),
                    [from, to] => version(from) + &version(to),
                };
                vec![
                    format!("  {} {}", sign(&package.versions), plain(&package.name)),
                    versions,
                    signed(change(package.sizes)),
                ]
            }),
        );
        let files = self.files.iter().filter(|file| whole || !file.is_folder() || !file.what.is_empty());
        section(text, "files", files.map(|file| vec![format!("  {} {}", sign(&file.sides), file.path), became(file)]));
        let needs = self.needs.iter().filter(|need| whole || need.in_both);
        section(
            text,
            "needs",
            needs.map(|need| {
                let led = match &need.to {
                    [from @ Some(_), to @ Some(_)] => format!("{} -> {}", led(from.as_ref()), led(to.as_ref())),
                    [from, to] => led(from.as_ref().or(to.as_ref())),
                };
                vec![format!("  {} {}", sign(&need.to), need.by), format!("{} ({led})", plain(&need.name))]
            }),
        );
        section(
            text,
            "named for loading",
            self.dlopen.iter().map(|(object, name, is_new)| {
                vec![format!("  {} {object}", if *is_new { "+" } else { "-" }), plain(name)]
            }),
        );
        section(
            text,
            "hardening",
            self.hardening.iter().map(|it| {
                let weaker = if it.is_weaker { "weaker" } else { "" };
                let values = format!("{}: {} -> {}", it.fact, plain(&it.values[0]), plain(&it.values[1]));
                vec![format!("  ~ {}", it.path), values, weaker.to_owned()]
            }),
        );
        section(
            text,
            "configuration",
            self.settings.iter().map(|(name, values)| {
                let value = |value: &Option<String>| value.as_deref().map_or_else(none, plain);
                let shown = match values {
                    [Some(from), Some(to)] => format!("{} -> {}", plain(from), plain(to)),
                    [from, to] => value(from) + &value(to),
                };
                vec![format!("  {} {}", sign(values), plain(name)), shown]
            }),
        );
        section(
            text,
            "policy",
            self.policy.iter().map(|it| {
                let sign = if it.is_new { "+" } else { "-" };
                vec![format!("  {sign} {}", it.rule), format!("{} {}", it.verdict, it.code), plain(&it.what)]
            }),
        );
        growth(text, "size by package", &self.by_package, whole);
        growth(text, "size by reason", &self.by_reason, whole);
        let layer = |sign: &'static str| {
            move |layer: &crate::survey::Layer| vec![format!("  {sign} {}", plain(&layer.name)), megabytes(layer.size)]
        };
        let (gone, new) = (self.layers.gone.iter().map(layer("-")), self.layers.new.iter().map(layer("+")));
        section(text, "layers", gone.chain(new));
    }
}

fn growth(text: &mut String, title: &str, all: &[Growth], whole: bool) {
    let most = if whole { usize::MAX } else { MOST_GROWTH };
    section(
        text,
        title,
        all.iter().take(most).map(|growth| {
            let [from, to] = growth.bytes.map(megabytes);
            vec![format!("  {}", plain(&growth.what)), format!("{from} -> {to}"), signed(growth.change())]
        }),
    );
    if all.len() > most {
        let _ = writeln!(text, "  and {} more (-v shows all)", all.len() - most);
    }
}

fn section(text: &mut String, title: &str, rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        let _ = write!(text, "\n{title}\n{}", columns(&rows));
    }
}

/// Beyond this, a long cell does not push the next column of all others to the right.
const WIDEST: usize = 72;

/// Rows in columns, two spaces between, none at the end of a line.
fn columns(rows: &[Vec<String>]) -> String {
    let length = |cell: &String| cell.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(length);
        cells.filter(|width| *width <= WIDEST).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
