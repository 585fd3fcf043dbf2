//! What each need costs: the dominator tree of who brings what.
//!
//! A node stands below another when every way to it, from the whole image, leads through that one: without the upper
//! one, all below it would not be in the image.

use std::collections::BTreeMap;

use petgraph::algo::dominators::simple_fast;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::oci::Kind;
use crate::path::ImagePath;
use crate::survey::{Node, Survey, Web};

/// The name of what no single entry brings.
const SEVERAL: &str = "needed by several";
/// The name of what nothing leads to.
const NOBODY: &str = "for no known reason";

/// The image, something that asks, or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// What it is called: a path, the words of the recipe.
    pub name: String,
    /// The path, when it is a file.
    pub path: Option<ImagePath>,
    /// Bytes of its own.
    pub own: u64,
    /// Bytes of it and of all that would go with it.
    pub total: u64,
    /// Files and links of these.
    pub files: usize,
    /// What stands directly below it, the largest first.
    pub below: Vec<usize>,
    /// What stands directly above it; itself for the image.
    pub above: usize,
}

/// The shares of an image; the first one is the image itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares(pub Vec<Share>);

impl Shares {
    /// The shares of an image that was looked at.
    pub fn of(survey: &Survey) -> Self {
        let files = survey.files.iter().filter(|(_, fact)| fact.kind != Kind::Directory);
        Self::among(&survey.name, survey.best_web(), files.map(|(path, fact)| (path, fact.size)))
    }

    /// The shares of files with their sizes, by who brings what.
    pub fn among<'a>(name: &str, web: &Web, all: impl Iterator<Item = (&'a ImagePath, u64)>) -> Self {
        let mut graph: DiGraph<(), ()> = DiGraph::new();
        let image = graph.add_node(());
        let mut shares = vec![Share::new(name.to_owned(), None, 0, 0)];
        let mut files: BTreeMap<&ImagePath, NodeIndex> = BTreeMap::new();
        for (path, size) in all {
            files.insert(path, graph.add_node(()));
            shares.push(Share::new(path.to_string(), Some(path.clone()), size, 1));
        }
        for (node, edges) in &web.below {
            let from = match node {
                Node::Asker(_, name) => {
                    let asker = graph.add_node(());
                    graph.add_edge(image, asker, ());
                    shares.push(Share::new(name.clone(), None, 0, 0));
                    asker
                }
                Node::File(path) => match files.get(path) {
                    Some(file) => *file,
                    None => continue,
                },
            };
            for to in edges.iter().filter_map(|edge| files.get(&edge.to)) {
                graph.add_edge(from, *to, ());
            }
        }
        let dominators = simple_fast(&graph, image);
        let above: Vec<Option<usize>> = (0..shares.len())
            .map(|index| dominators.immediate_dominator(NodeIndex::new(index)).map(NodeIndex::index))
            .collect();
        gather(&mut shares, &above);
        let mut shares = Self(shares);
        shares.sum();
        shares
    }

    /// Sums upwards, and sorts what is below each.
    fn sum(&mut self) {
        // Parents before what is below them.
        let mut order = vec![0];
        let mut next = 0;
        while let Some(&index) = order.get(next) {
            order.extend(&self.0[index].below);
            next += 1;
        }
        for &index in order.iter().rev() {
            let below = std::mem::take(&mut self.0[index].below);
            let (total, files) = below
                .iter()
                .fold((0, 0), |(total, files), &index| (total + self.0[index].total, files + self.0[index].files));
            let share = &mut self.0[index];
            share.total = share.own + total;
            share.files += files;
            let mut below = below;
            below.sort_by(|&a, &b| {
                let (a, b) = (&self.0[a], &self.0[b]);
                b.total.cmp(&a.total).then_with(|| a.name.cmp(&b.name))
            });
            self.0[index].below = below;
        }
    }
}

/// Puts each share below the one that dominates it. Files that several bring stand together.
fn gather(shares: &mut Vec<Share>, above: &[Option<usize>]) {
    let count = shares.len();
    let (several, nobody) = (count, count + 1);
    shares.push(Share::new(SEVERAL.to_owned(), None, 0, 0));
    shares.push(Share::new(NOBODY.to_owned(), None, 0, 0));
    for index in 1..count {
        let parent = match above[index] {
            None => nobody,
            Some(0) if shares[index].path.is_some() => several,
            Some(parent) => parent,
        };
        shares[parent].below.push(index);
        shares[index].above = parent;
    }
    for group in [several, nobody] {
        if !shares[group].below.is_empty() {
            shares[0].below.push(group);
        }
    }
}

impl Share {
    fn new(name: String, path: Option<ImagePath>, own: u64, files: usize) -> Self {
        Self { name, path, own, total: 0, files, below: Vec::new(), above: 0 }
    }
}
