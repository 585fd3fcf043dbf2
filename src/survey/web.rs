//! Who brings what, as edges: from what asks to what it gets, by words that can be shown.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Object;
use crate::closure::Closure;
use crate::explain::{Asker, Graph, called, needs};
use crate::oci::Kind;
use crate::output::{Contents, ImageInfo};
use crate::path::ImagePath;
use crate::recipe::Recipe;
use crate::report::Texts;
use crate::source::resolve;

/// Who brings what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Web {
    /// Everything that asks for something, sorted, with what it gets.
    pub below: BTreeMap<Node, Vec<Edge>>,
}

/// What asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// An entry of the recipe, a rule, a package; the number is its place among those.
    Asker(usize, String),
    /// A file of the image.
    File(ImagePath),
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The path.
    pub to: ImagePath,
    /// As what, where that is worth a word.
    pub note: String,
}

impl Web {
    /// As the recipe tells it.
    pub fn told(graph: &Graph<'_>, recipe: &Recipe, texts: &Texts) -> Self {
        let mut web = Self::default();
        for (number, (asker, bonds)) in graph.bonds().enumerate() {
            let node = match asker {
                Asker::File(path) => Node::File(path.clone()),
                asker => Node::Asker(number, called(recipe, texts, asker)),
            };
            for bond in bonds {
                web.add(&node, &bond.path, &bond.note);
                for link in &bond.links {
                    web.add(&node, link, "link");
                }
            }
        }
        web.settle();
        web
    }

    /// As the image alone tells it: what it starts, what its objects need, whose the rest is.
    pub(super) fn seen(
        info: &ImageInfo,
        contents: &Contents,
        closure: &Closure,
        owners: &BTreeMap<ImagePath, (String, String)>,
    ) -> Self {
        let mut web = Self::default();
        for need in closure.resolutions.iter().flat_map(needs) {
            web.add(&Node::File(need.by), &need.to, "");
        }
        for resolution in &closure.resolutions {
            let Some(real) = &resolution.real else { continue };
            let node = Node::File(real.clone());
            if let Some(loader) = resolution.loader.as_ref().filter(|_| resolution.interp.is_some()) {
                web.add(&node, &loader.real, "interpreter");
            }
            for interpreter in resolution.script.iter().flat_map(|script| &script.interpreters) {
                if let Some(interpreter) = &interpreter.real {
                    web.add(&node, interpreter, "interpreter");
                }
            }
        }
        for (path, entry) in contents.tree.iter() {
            let leads_to = matches!(entry.kind, crate::tree::EntryKind::Symlink(_))
                .then(|| resolve(&contents.tree, path.as_bytes()).ok().map(|found| found.real));
            if let Some(real) = leads_to
                .flatten()
                .filter(|real| contents.facts.get(real).is_some_and(|fact| fact.kind != Kind::Directory))
            {
                web.add(&Node::File(real), path, "link to it");
            }
        }
        let starts = ["Entrypoint", "Cmd"].into_iter().find_map(|key| info.config.get(key)?.get(0)?.as_str());
        let start = starts.and_then(|word| resolve(&contents.tree, word.as_bytes()).ok());
        if let Some(start) = &start {
            web.add(&Node::Asker(0, "entrypoint".to_owned()), &start.real, "");
        }
        web.settle();
        web.programs(closure);
        web.rest(contents, owners);
        web.settle();
        web
    }

    /// Programs that no other program starts.
    fn programs(&mut self, closure: &Closure) {
        let asked: BTreeSet<ImagePath> = self.targets();
        for resolution in closure.resolutions.iter().filter(|it| it.interp.is_some() || it.script.is_some()) {
            if let Some(real) = resolution.real.as_ref().filter(|real| !asked.contains(*real)) {
                self.add(&Node::Asker(1, "other programs".to_owned()), real, "");
            }
        }
    }

    /// What nothing leads to, by package.
    fn rest(&mut self, contents: &Contents, owners: &BTreeMap<ImagePath, (String, String)>) {
        let asked = self.targets();
        let rest = contents.facts.iter().filter(|(path, fact)| fact.kind != Kind::Directory && !asked.contains(*path));
        for (path, _) in rest {
            let node = match owners.get(path) {
                Some((package, _)) => Node::Asker(2, format!("package {package}")),
                None => Node::Asker(3, "of no package".to_owned()),
            };
            self.add(&node, path, "");
        }
    }

    fn targets(&self) -> BTreeSet<ImagePath> {
        self.below.values().flatten().map(|edge| edge.to.clone()).collect()
    }

    fn add(&mut self, from: &Node, to: &ImagePath, note: &str) {
        if *from != Node::File(to.clone()) {
            self.below.entry(from.clone()).or_default().push(Edge { to: to.clone(), note: note.to_owned() });
        }
    }

    fn settle(&mut self) {
        for edges in self.below.values_mut() {
            edges.sort();
            edges.dedup_by(|later, first| later.to == first.to);
        }
    }

    /// For each path the asker that reaches it first: over the fewest edges, of several the first one.
    pub fn causes(&self) -> BTreeMap<ImagePath, String> {
        let mut causes: BTreeMap<ImagePath, String> = BTreeMap::new();
        let mut open: VecDeque<(Node, &str)> = VecDeque::new();
        for node in self.below.keys() {
            if let Node::Asker(_, name) = node {
                open.push_back((node.clone(), name));
            }
        }
        while let Some((node, cause)) = open.pop_front() {
            for edge in self.below.get(&node).into_iter().flatten() {
                if !causes.contains_key(&edge.to) {
                    causes.insert(edge.to.clone(), cause.to_owned());
                    open.push_back((Node::File(edge.to.clone()), cause));
                }
            }
        }
        causes
    }
}

/// The needs of each object by name.
pub(super) fn needed(closure: &Closure, objects: &mut BTreeMap<ImagePath, Object>) {
    for need in closure.resolutions.iter().flat_map(needs) {
        if let Some(object) = objects.get_mut(&need.by) {
            object.needs.insert(crate::path::show(&need.name), Some(need.to));
        }
    }
}
