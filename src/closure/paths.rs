//! Every path that an image must contain for a closure, with who needs it and why.

use std::sync::Arc;

use super::{Bytes, Closure, Found, Resolution};

/// A path that the image must contain, with every link on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededPath {
    /// The path, spelled as it is opened.
    pub path: Bytes,
    /// The resolution that needs it: an index into [`Closure::resolutions`].
    pub resolution: usize,
    /// What needs it there.
    pub reason: PathReason,
}

/// Why the image must contain a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathReason {
    /// It was asked for.
    Requested,
    /// It is the program's interpreter.
    Interpreter,
    /// The interpreter reads in it where to search.
    PathFile,
    /// An object is opened by it: an index into [`Resolution::objects`].
    Object(usize),
    /// An object is opened by it once more, under another name: an index into [`Resolution::aliases`].
    Alias(usize),
    /// A processor of this variant opens it: indices into [`Resolution::variants`] and its objects.
    Variant(usize, usize),
    /// A processor of this variant opens it once more, under another name: as before, for its aliases.
    VariantAlias(usize, usize),
    /// It is a script's interpreter: an index into [`super::Script::interpreters`].
    ScriptInterpreter(usize),
    /// `env` of a script starts it.
    EnvProgram,
}

impl Closure {
    /// Every path that the image must contain, with who needs it and why; one line for each need.
    pub fn paths(&self) -> Vec<NeededPath> {
        self.resolutions.iter().enumerate().flat_map(|(index, resolution)| resolution.paths(index)).collect()
    }
}

impl Resolution {
    fn paths(&self, resolution: usize) -> Vec<NeededPath> {
        let needed = |path: &Bytes, reason| NeededPath { path: Arc::clone(path), resolution, reason };
        let mut paths = Vec::new();
        if self.real.is_some() {
            paths.push(needed(&self.path, PathReason::Requested));
        }
        if let (Some(interp), Some(loader)) = (&self.interp, &self.loader) {
            paths.push(needed(interp, PathReason::Interpreter));
            // gcompat's loader is started first, and starts musl's.
            paths.extend((*interp != loader.path).then(|| needed(&loader.path, PathReason::Interpreter)));
        }
        let path_file = self.loader.as_ref().and_then(|loader| loader.path_file.as_ref());
        paths.extend(path_file.map(|path| needed(path, PathReason::PathFile)));
        for (index, object) in self.objects.iter().enumerate().skip(self.own) {
            let is_named =
                object.found == Found::Requested || (self.interp.is_some() && object.found == Found::Interpreter);
            let is_loader_unused = object.found == Found::Interpreter && !self.order.contains(&index);
            if !is_named && !is_loader_unused && object.path != self.path {
                paths.push(needed(&object.path, PathReason::Object(index)));
            }
        }
        for (index, alias) in self.aliases.iter().enumerate() {
            paths.extend(alias.path.as_ref().map(|path| needed(path, PathReason::Alias(index))));
        }
        for (which, variant) in self.variants.iter().enumerate() {
            let all = variant.objects.iter().enumerate();
            paths.extend(all.map(|(index, object)| needed(&object.path, PathReason::Variant(which, index))));
            for (index, alias) in variant.aliases.iter().enumerate() {
                let reason = PathReason::VariantAlias(which, index);
                paths.extend(alias.path.as_ref().map(|path| needed(path, reason)));
            }
        }
        if let Some(script) = &self.script {
            let all = script.interpreters.iter().enumerate();
            paths.extend(all.map(|(index, step)| needed(&step.opened, PathReason::ScriptInterpreter(index))));
            let programs = script.env.iter().flat_map(|env| env.through.iter().chain(&env.path));
            paths.extend(programs.map(|path| needed(path, PathReason::EnvProgram)));
        }
        paths
    }
}
