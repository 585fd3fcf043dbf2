//! How what a closure loads is hardened: the files one by one, and the processes that they make.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Closure, Kind, Role, Wanted};
use crate::elf::{Features, Hardening, Object};
use crate::path::ImagePath;

/// An ELF file of an image.
#[derive(Debug, Clone)]
pub struct Hardened {
    /// Where it is.
    pub path: ImagePath,
    /// What its headers say.
    pub object: Arc<Object>,
    /// How it is hardened.
    pub hardening: Hardening,
    /// What gives it more rights than its caller has: `setuid`, `setgid`, `setcap`.
    pub privileges: Vec<&'static str>,
}

/// A program with what its process is protected by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// The program.
    pub path: ImagePath,
    /// How many objects its process starts with.
    pub objects: usize,
    /// What every one of them asks for.
    pub features: Features,
}

impl Closure {
    /// Every ELF file that is loaded or started: its path, and what its headers say.
    pub fn files(&self) -> BTreeMap<&ImagePath, &Object> {
        let loaded = self.resolutions.iter().flat_map(|resolution| &resolution.objects);
        let loaded = loaded.map(|it| (&it.real, &*it.elf));
        // Programs without a loader load nothing, not even themselves.
        let alone = self.resolutions.iter().filter(|it| matches!(it.kind, Kind::Static | Kind::StaticPie));
        let alone = alone.filter_map(|it| Some((it.real.as_ref()?, it.elf.as_deref()?)));
        loaded.chain(alone).collect()
    }

    /// What the processes of programs are protected by. Scripts run in those of their interpreters.
    pub fn protected(&self, wanted: &[Wanted]) -> Vec<Protected> {
        let is_program = |index: usize| wanted.get(index).is_none_or(|wanted| wanted.role == Role::Program);
        let programs = self.resolutions.iter().enumerate().filter(|(index, _)| is_program(*index));
        let mut all: Vec<Protected> = programs
            .filter_map(|(_, resolution)| {
                let path = resolution.real.clone()?;
                let objects: Vec<&Object> = match resolution.kind {
                    Kind::Static | Kind::StaticPie => vec![resolution.elf.as_deref()?],
                    Kind::Dynamic | Kind::Library => resolution.objects.iter().map(|loaded| &*loaded.elf).collect(),
                    Kind::Absent | Kind::Data | Kind::Script | Kind::Foreign(_) => return None,
                };
                let features = objects.iter().fold(Features::ALL, |all, object| all & object.features());
                Some(Protected { path, objects: objects.len(), features })
            })
            .collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all.dedup_by(|a, b| a.path == b.path);
        all
    }
}
