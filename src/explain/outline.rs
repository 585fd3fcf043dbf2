//! A graph as an outline: lines with depths, each file opened once, sizes summed.

use std::collections::BTreeSet;

use crate::path::ImagePath;
use crate::tree::{EntryKind, Tree};

use super::graph::{Asker, Bond, Graph};

/// Of what a recipe's entry or a rule brings by itself, more files than this are summed in one line.
const MOST_LISTED: usize = 8;

/// One line of an outline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How far below the image it stands; 0 is the image or path itself.
    pub depth: usize,
    /// What the line is about.
    pub what: What,
    /// Bytes of its own: of the file, or of the files that it sums.
    pub own: u64,
    /// Bytes of it and of all lines below it, each file counted where it is shown first.
    pub total: u64,
    /// Files and links in it and below it, counted likewise.
    pub files: usize,
    /// Whether it was shown before, with what is below it.
    pub repeated: bool,
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The whole image.
    Image,
    /// An entry of the recipe, a rule, or mkimage itself; with what it brings in lines below, or in this one: the
    /// number of files that are not listed.
    Asker(Asker, usize),
    /// A file, link or folder of the image.
    File {
        /// What it is, and the links that lead to it.
        bond: Bond,
        /// What asks for it, where that has no line of its own.
        asker: Option<Asker>,
    },
}

/// What an outline does not list one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Files of one entry, rule or folder, when they are many.
    Summed,
    /// Nothing.
    Whole,
}

impl Graph<'_> {
    /// The outline from the recipe's entries down.
    pub fn outline(&self, listing: Listing) -> Vec<Line> {
        let mut writer = Writer { graph: self, listing, seen: BTreeSet::new(), lines: Vec::new(), open: Vec::new() };
        writer.lines.push(Line::new(0, What::Image));
        for asker in self.below.keys().filter(|asker| !matches!(asker, Asker::File(_))) {
            writer.top(asker);
        }
        writer.unexplained();
        total(&mut writer.lines);
        writer.lines
    }

    /// The outline from a path up to the recipe's entries: below each line, who asks for it.
    pub fn needers(&self, path: &ImagePath) -> Vec<Line> {
        let above = self.above();
        let mut lines: Vec<Line> = Vec::new();
        let mut seen: BTreeSet<ImagePath> = BTreeSet::new();
        let mut open = vec![(0, Asker::File(path.clone()), String::new())];
        while let Some((depth, asker, note)) = open.pop() {
            let Asker::File(path) = asker else {
                lines.push(Line::new(depth, What::Asker(asker, 0)));
                continue;
            };
            let first = seen.insert(path.clone());
            let askers = above.get(&path).filter(|_| first);
            open.extend(
                askers.into_iter().flatten().rev().map(|(asker, note)| (depth + 1, asker.clone(), note.clone())),
            );
            let mut line = Line::new(depth, What::File { bond: Bond { path, note, links: Vec::new() }, asker: None });
            if let What::File { bond, .. } = &line.what {
                line.own = size(self.tree, &bond.path);
            }
            (line.total, line.repeated) = (line.own, !first);
            lines.push(line);
        }
        lines
    }
}

impl Line {
    fn new(depth: usize, what: What) -> Self {
        Self { depth, what, own: 0, total: 0, files: 0, repeated: false }
    }
}

struct Writer<'a> {
    graph: &'a Graph<'a>,
    listing: Listing,
    /// Paths that have a line, or were summed in one.
    seen: BTreeSet<ImagePath>,
    lines: Vec<Line>,
    /// Files to write, the next one last.
    open: Vec<(usize, Bond, Option<Asker>)>,
}

impl Writer<'_> {
    fn bonds(&self, asker: &Asker) -> &[Bond] {
        self.graph.below.get(asker).map_or(&[], Vec::as_slice)
    }

    fn top(&mut self, asker: &Asker) {
        let bonds = self.bonds(asker).to_vec();
        if let [bond] = bonds.as_slice()
            && *asker != Asker::Generated
        {
            self.open.push((1, bond.clone(), Some(asker.clone())));
            return self.write();
        }
        let sum = self.listing == Listing::Summed && (bonds.len() > MOST_LISTED || *asker == Asker::Generated);
        let below = if sum { self.sum(asker, &bonds) } else { self.heading(asker, bonds) };
        self.open.extend(below.into_iter().rev().map(|bond| (2, bond, None)));
        self.write();
    }

    /// A line for an asker alone; what it brings has lines of its own.
    fn heading(&mut self, asker: &Asker, bonds: Vec<Bond>) -> Vec<Bond> {
        self.lines.push(Line::new(1, What::Asker(asker.clone(), 0)));
        bonds
    }

    /// A line for all that an asker brings; what these bring in turn has lines of its own.
    fn sum(&mut self, asker: &Asker, bonds: &[Bond]) -> Vec<Bond> {
        let own: BTreeSet<&ImagePath> = bonds.iter().map(|bond| &bond.path).collect();
        let mut line = Line::new(1, What::Asker(asker.clone(), bonds.len()));
        for bond in bonds {
            (line.own, line.files) = self.count(bond, line.own, line.files);
        }
        self.lines.push(line);
        let mut below: Vec<Bond> = Vec::new();
        for bond in bonds {
            for further in self.bonds(&Asker::File(bond.path.clone())) {
                if !own.contains(&further.path) {
                    below.push(further.clone());
                }
            }
        }
        below.sort_by(|a, b| a.path.cmp(&b.path));
        below.dedup_by(|a, b| a.path == b.path);
        below
    }

    /// Adds what of a bond was not counted before.
    fn count(&mut self, bond: &Bond, mut bytes: u64, mut files: usize) -> (u64, usize) {
        for path in std::iter::once(&bond.path).chain(&bond.links) {
            if self.seen.insert(path.clone()) {
                bytes += size(self.graph.tree, path);
                files += usize::from(self.graph.tree.get(path).is_some_and(|entry| !entry.is_directory()));
            }
        }
        (bytes, files)
    }

    /// Writes the open lines, and those below them.
    fn write(&mut self) {
        while let Some((depth, bond, asker)) = self.open.pop() {
            let repeated = self.seen.contains(&bond.path);
            let mut line = Line::new(depth, What::File { bond: bond.clone(), asker });
            (line.own, line.files) = self.count(&bond, 0, 0);
            if repeated {
                (line.own, line.repeated) = (size(self.graph.tree, &bond.path), true);
            } else {
                let below = self.bonds(&Asker::File(bond.path)).to_vec();
                self.open.extend(below.into_iter().rev().map(|bond| (depth + 1, bond, None)));
            }
            self.lines.push(line);
        }
    }

    /// Files that no entry leads to: there should be none, but no file is passed over.
    fn unexplained(&mut self) {
        let rest: Vec<Bond> = self
            .graph
            .tree
            .iter()
            .filter(|(path, entry)| !entry.is_directory() && !self.seen.contains(*path))
            .map(|(path, _)| Bond { path: path.clone(), note: String::new(), links: Vec::new() })
            .collect();
        if !rest.is_empty() {
            let below = self.heading(&Asker::Nobody, rest);
            self.open.extend(below.into_iter().rev().map(|bond| (2, bond, None)));
            self.write();
        }
    }
}

/// Sums sizes and counts upwards. A line that was shown before counts nothing.
fn total(lines: &mut [Line]) {
    let deepest = lines.iter().map(|line| line.depth).max().unwrap_or(0);
    let mut sums = vec![(0, 0); deepest + 2];
    for line in lines.iter_mut().rev() {
        let (bytes, files) = std::mem::take(&mut sums[line.depth + 1]);
        line.total = bytes + if line.repeated { 0 } else { line.own };
        line.files += files;
        sums[line.depth].0 += line.total;
        sums[line.depth].1 += line.files;
    }
}

/// Bytes of a file; those of a hard link are its target's.
fn size(tree: &Tree, path: &ImagePath) -> u64 {
    match tree.get(path).map(|entry| &entry.kind) {
        Some(EntryKind::File(content)) => content.size(),
        _ => 0,
    }
}
