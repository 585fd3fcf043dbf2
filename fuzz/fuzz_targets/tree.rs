//! A tree in memory.

use std::collections::BTreeMap;
use std::io;

use mkimage::path::ImagePath;
use mkimage::source::{Content, Node, NodeKind, Source};

/// Files and the folders above them.
pub struct Tree(BTreeMap<ImagePath, Node>);

impl Tree {
    /// A tree of executable files.
    pub fn new(files: &[(&str, &[u8])]) -> Self {
        let node = |kind| Node { kind, mode: 0o755, uid: 0, gid: 0, mtime: 0 };
        let mut nodes = BTreeMap::new();
        for (path, bytes) in files {
            let path = ImagePath::new(path).expect("a path");
            nodes.extend(path.ancestors().map(|folder| (folder, node(NodeKind::Directory))));
            nodes.insert(path, node(NodeKind::File(Content::bytes(*bytes))));
        }
        Self(nodes)
    }
}

impl Source for Tree {
    fn node(&self, path: &ImagePath) -> io::Result<Option<Node>> {
        Ok(self.0.get(path).cloned())
    }

    fn list(&self, path: &ImagePath) -> io::Result<Vec<(Vec<u8>, Node)>> {
        let below = self.0.iter().filter(|(below, _)| below.parent().as_ref() == Some(path));
        Ok(below.map(|(below, node)| (below.name().to_vec(), node.clone())).collect())
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
