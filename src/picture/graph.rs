//! Who needs whom, as a graph that a person can read: edges that others imply are left out, and the C library and the
//! loader, which nearly everything needs, are a mark on those that need them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::path::{ImagePath, show};
use crate::survey::{Node, Web};

/// What one vertex alone brings is drawn as one box when it is more than this.
const MOST_LEAVES: usize = 8;

/// Who needs whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// The vertices, askers first, then files by path.
    pub vertices: Vec<Vertex>,
    /// From who needs to what is needed, sorted.
    pub edges: BTreeSet<(usize, usize)>,
}

/// Something that needs or is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vertex {
    /// What it is called: the recipe's words, or a path.
    pub name: String,
    /// Its file's name alone.
    pub short: String,
    /// Its bytes; none for what is no file.
    pub size: Option<u64>,
    /// Whether it is started, and not only loaded.
    pub is_program: bool,
    /// Whether it needs the C library.
    pub needs_libc: bool,
}

/// What a graph asks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Its bytes.
    pub size: u64,
    /// What it is.
    pub role: Role,
}

/// What a file is to a loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An ELF program.
    Program,
    /// An ELF library.
    Library,
    /// No ELF file.
    Other,
}

impl Graph {
    /// The graph of programs, libraries and scripts, with what of the recipe brings them. `about` tells of each file.
    pub fn of(web: &Web, about: &dyn Fn(&ImagePath) -> About) -> Self {
        let is_object = |path: &ImagePath| about(path).role != Role::Other;
        let edges = web.below.iter().flat_map(|(node, edges)| edges.iter().map(move |edge| (node, &edge.to)));
        // What is no object, as a script, is drawn for what it needs.
        let links: BTreeSet<(&Node, &ImagePath)> = edges.filter(|(_, to)| is_object(to)).collect();
        let mut nodes: BTreeSet<Node> = BTreeSet::new();
        for (from, to) in &links {
            if !is_libc(to) {
                nodes.insert(Node::File((*to).clone()));
            }
            if !is_libc(to) || matches!(from, Node::File(_)) {
                nodes.insert((*from).clone());
            }
        }
        nodes.retain(|node| !matches!(node, Node::File(path) if is_libc(path)));
        let (mut graph, mut places) = (Self::default(), BTreeMap::new());
        for node in nodes {
            let vertex = match &node {
                Node::Asker(_, name) => Vertex::new(name.clone(), name.clone(), None, false),
                Node::File(path) => {
                    let About { size, role } = about(path);
                    Vertex::new(path.to_string(), show(path.name()), Some(size), role != Role::Library)
                }
            };
            places.insert(node, graph.vertices.len());
            graph.vertices.push(vertex);
        }
        for (from, to) in links {
            let Some(&from) = places.get(from) else { continue };
            if is_libc(to) {
                graph.vertices[from].needs_libc = true;
            } else if let Some(&to) = places.get(&Node::File(to.clone())) {
                graph.edges.insert((from, to));
            }
        }
        graph.reduce();
        graph.fold();
        graph
    }

    /// Gathers what one vertex alone brings, and what brings nothing, where that is much: plugins.
    fn fold(&mut self) {
        let mut askers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &(from, to) in &self.edges {
            askers.entry(to).or_default().push(from);
        }
        let mut leaves: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (to, from) in &askers {
            if let ([asker], None) = (from.as_slice(), self.below(*to).next()) {
                leaves.entry(*asker).or_default().push(*to);
            }
        }
        let mut gone = BTreeSet::new();
        for (asker, leaves) in leaves.into_iter().filter(|(_, leaves)| leaves.len() > MOST_LEAVES) {
            let names: Vec<&str> = leaves.iter().map(|&leaf| self.vertices[leaf].name.as_str()).collect();
            let size = leaves.iter().filter_map(|&leaf| self.vertices[leaf].size).sum();
            let short = format!("{} files, {}", leaves.len(), self.vertices[leaves[0]].short) + " ..";
            let mut folded = Vertex::new(names.join(", "), short, Some(size), false);
            folded.needs_libc = leaves.iter().any(|&leaf| self.vertices[leaf].needs_libc);
            self.edges.insert((asker, self.vertices.len()));
            self.vertices.push(folded);
            gone.extend(leaves);
        }
        self.edges.retain(|(_, to)| !gone.contains(to));
        let kept: Vec<usize> = (0..self.vertices.len()).filter(|vertex| !gone.contains(vertex)).collect();
        let place = |vertex: usize| kept.binary_search(&vertex).unwrap_or(0);
        self.edges = self.edges.iter().map(|&(from, to)| (place(from), place(to))).collect();
        self.vertices = kept.iter().map(|&vertex| self.vertices[vertex].clone()).collect();
    }

    /// Takes out every edge that a longer way replaces (transitive reduction).
    fn reduce(&mut self) {
        for edge in self.edges.clone() {
            self.edges.remove(&edge);
            if !self.leads(edge.0, edge.1) {
                self.edges.insert(edge);
            }
        }
    }

    /// Whether there is a way.
    fn leads(&self, from: usize, to: usize) -> bool {
        let (mut open, mut seen) = (vec![from], BTreeSet::new());
        while let Some(vertex) = open.pop() {
            if vertex == to {
                return true;
            }
            if seen.insert(vertex) {
                open.extend(self.below(vertex));
            }
        }
        false
    }

    /// What a vertex needs.
    pub(super) fn below(&self, vertex: usize) -> impl Iterator<Item = usize> {
        self.edges.range((vertex, 0)..(vertex + 1, 0)).map(|(_, to)| *to)
    }

    /// In the language of Graphviz.
    pub fn dot(&self, title: &str) -> String {
        let mut text = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(title));
        for (number, vertex) in self.vertices.iter().enumerate() {
            let shape = if vertex.size.is_none() { ", shape=plaintext" } else { "" };
            let style = if vertex.is_program { ", style=bold" } else { "" };
            let (label, path) = (quoted(&vertex.label()), quoted(&vertex.name));
            let _ = writeln!(text, "  n{number} [label={label}, tooltip={path}{shape}{style}];");
        }
        for (from, to) in &self.edges {
            let _ = writeln!(text, "  n{from} -> n{to};");
        }
        text + "}\n"
    }

    /// In the language of Mermaid, which forges draw in Markdown.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (number, vertex) in self.vertices.iter().enumerate() {
            let label = entities(&vertex.label());
            let [open, close] = match (vertex.size, vertex.is_program) {
                (None, _) => ["(", ")"],
                (_, true) => ["[[", "]]"],
                (_, false) => ["[", "]"],
            };
            let _ = writeln!(text, "  n{number}{open}\"{label}\"{close}");
        }
        for (from, to) in &self.edges {
            let _ = writeln!(text, "  n{from} --> n{to}");
        }
        text
    }
}

impl Vertex {
    fn new(name: String, short: String, size: Option<u64>, is_program: bool) -> Self {
        Self { name, short, size, is_program, needs_libc: false }
    }

    /// Its short name; a dot says that it needs the C library.
    pub(super) fn label(&self) -> String {
        let mark = if self.needs_libc { " •" } else { "" };
        format!("{}{mark}", self.short)
    }
}

/// Whether a file is a C library or a loader.
fn is_libc(path: &ImagePath) -> bool {
    let name = path.name();
    name == b"libc.so.6"
        || [b"ld-linux".as_slice(), b"ld-musl", b"ld64.so", b"ld.so", b"libc.musl"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// A quoted string of Graphviz.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

/// A text whose every sign that Mermaid or HTML would read is an entity, in Mermaid's form.
fn entities(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || " ./-_+:,@=~•()".contains(c);
    text.chars().map(|c| if is_plain(c) { c.to_string() } else { format!("#{};", u32::from(c)) }).collect()
}
