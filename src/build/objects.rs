//! How the programs and libraries of an image are hardened, one by one and as the processes that they make.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::Assembled;
use super::judge::objects;
use crate::closure::{Kind, Role};
use crate::elf::{Features, Hardening, Object};
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::tree::Entry;

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

impl Assembled {
    /// Every ELF file that a program of the image loads, and the programs, by path.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn hardened(&self) -> Result<Vec<Hardened>> {
        let of_file = |path: &&ImagePath| {
            let Some(entry) = self.tree.get(path) else { return Ok(None) };
            let Some(content) = entry.content() else { return Ok(None) };
            let read = || Ok((self.headers.object(content)?, self.headers.hardening(content)?));
            let read = read().map_err(|error| Error::io("read", Path::new(&path.to_string()), &error))?;
            let (Some(object), Some(hardening)) = read else { return Ok(None) };
            Ok(Some(Hardened { path: (*path).clone(), object, hardening, privileges: privileges(entry) }))
        };
        let paths: Vec<&ImagePath> = objects(&self.closure).into_keys().collect();
        let all: Vec<Option<Hardened>> = paths.par_iter().map(of_file).collect::<Result<_>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    /// What the processes of the image's programs are protected by. Scripts run in those of their interpreters.
    pub fn protected(&self) -> Vec<Protected> {
        let role = |index: usize| self.wanted.get(index).map_or(Role::Program, |wanted| wanted.role);
        let programs = self.closure.resolutions.iter().enumerate().filter(|(index, _)| role(*index) == Role::Program);
        let mut all: Vec<Protected> = programs
            .filter_map(|(_, resolution)| {
                let path = resolution.real.clone()?;
                let objects: Vec<&Object> = match resolution.kind {
                    Kind::Static | Kind::StaticPie => vec![resolution.elf.as_deref()?],
                    Kind::Dynamic | Kind::Library => resolution.objects.iter().map(|loaded| &*loaded.elf).collect(),
                    _ => return None,
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

fn privileges(entry: &Entry) -> Vec<&'static str> {
    let capable = entry.xattrs.iter().any(|(name, _)| name == "security.capability");
    let all = [(entry.mode & 0o4000 != 0, "setuid"), (entry.mode & 0o2000 != 0, "setgid"), (capable, "setcap")];
    all.into_iter().filter_map(|(has, word)| has.then_some(word)).collect()
}
