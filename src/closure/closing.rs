//! The steps of a closure: programs, the interpreters of scripts, then what is loaded by others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rayon::prelude::*;

use super::headers::Headers;
use super::mapping::base_name;
use super::start::{Engine, Process, Reference};
use super::tree::Tree;
use super::{Bytes, Closure, Fatal, FatalReason, Missing, Options, Privilege, Resolution, Role, Wanted, script};
use crate::source::Source;

/// Closes over everything that is wanted. The results stand in the order of `wanted`, whatever the number of threads.
pub fn close(source: &dyn Source, wanted: &[Wanted], options: &Options) -> Closure {
    close_sharing(source, wanted, options, &Headers::default())
}

/// As [`close`], with what earlier closures read of the same files.
pub fn close_sharing(source: &dyn Source, wanted: &[Wanted], options: &Options, headers: &Headers) -> Closure {
    let (files_before, bytes_before) = (headers.files_read(), headers.bytes_read());
    let tree = Tree::new(source, headers, &options.workdir);
    let engine = Engine::new(&tree, options);
    let mut closing = Closing { engine: &engine, wanted, found: vec![None; wanted.len()], processes: HashMap::new() };
    closing.close_programs();
    closing.close_scripts();
    closing.close_others();
    let mut closure = Closure {
        resolutions: closing.found.into_iter().flatten().collect(),
        files_read: headers.files_read() - files_before,
        bytes_read: headers.bytes_read() - bytes_before,
    };
    closure.find_providers(wanted);
    closure.ignore_missing(&options.ignore_missing);
    closure
}

/// The steps of a closure.
struct Closing<'a, 'w> {
    engine: &'a Engine<'a>,
    wanted: &'w [Wanted],
    /// By index of what is wanted; interpreters of scripts behind.
    found: Vec<Option<Resolution>>,
    /// Processes into which plugins are loaded.
    processes: HashMap<usize, Process<'a>>,
}

impl Closing<'_, '_> {
    fn close_programs(&mut self) {
        let hosts: BTreeSet<usize> = self.wanted.iter().filter_map(|wanted| wanted.role.host()).collect();
        let programs: Vec<usize> = self.with_role(|role| role == Role::Program);
        let engine = self.engine;
        let resolve = |&index: &usize| {
            let (resolution, process) = engine.resolve(&self.wanted[index], None, None);
            (index, resolution, process.filter(|_| hosts.contains(&index)))
        };
        let resolved: Vec<_> = programs.par_iter().map(resolve).collect();
        for (index, resolution, process) in resolved {
            self.found[index] = Some(resolution);
            self.processes.extend(process.map(|process| (index, process)));
        }
    }

    /// Resolves the interpreters of scripts, which may be scripts that need others again.
    fn close_scripts(&mut self) {
        let mut known: HashMap<Bytes, usize> = HashMap::new();
        for (index, wanted) in self.wanted.iter().enumerate() {
            if wanted.role == Role::Program && wanted.privilege == Privilege::Ordinary {
                known.entry(Arc::from(wanted.path.as_slice())).or_insert(index);
            }
        }
        let mut next = 0;
        while next < self.found.len() {
            let mut new: Vec<Bytes> = Vec::new();
            let found = self.found.len();
            for resolution in &mut self.found[next..] {
                let Some(resolution) = resolution.as_mut().filter(|it| it.fatal.as_ref().is_none_or(is_of_env)) else {
                    continue;
                };
                let Some(script) = &mut resolution.script else { continue };
                let interpreter = script.interpreters.last().filter(|last| last.real.is_some());
                let programs = script.env.iter().flat_map(|env| env.through.iter().chain(&env.path));
                for path in interpreter.map(|last| &last.opened).into_iter().chain(programs) {
                    let index = *known.entry(Arc::clone(path)).or_insert_with(|| {
                        new.push(Arc::clone(path));
                        found + new.len() - 1
                    });
                    script.resolutions.push(index);
                }
            }
            next = found;
            let resolve = |path: &Bytes| self.engine.resolve(&Wanted::program(path.to_vec()), None, None).0;
            let resolved: Vec<_> = new.par_iter().map(resolve).collect();
            self.found.extend(resolved.into_iter().map(Some));
        }
    }

    fn close_others(&mut self) {
        let reference = self.reference();
        let others = self.with_role(|role| role != Role::Program);
        let resolve = |&index: &usize| {
            let wanted = &self.wanted[index];
            let host = wanted.role.host().and_then(|host| self.processes.get(&host));
            let resolution = match &reference {
                Ok(reference) => self.engine.resolve(wanted, reference.as_ref(), host).0,
                Err(reason) => Resolution::stopped(&wanted.path, reason.clone()),
            };
            (index, resolution)
        };
        let resolved: Vec<_> = others.par_iter().map(resolve).collect();
        for (index, resolution) in resolved {
            self.found[index] = Some(resolution);
        }
    }

    fn with_role(&self, is_wanted: impl Fn(Role) -> bool) -> Vec<usize> {
        let all = self.wanted.iter().enumerate();
        all.filter(|(_, wanted)| is_wanted(wanted.role)).map(|(index, _)| index).collect()
    }

    /// The first program with a loader, or what the root has in its stead.
    fn reference(&self) -> Result<Option<Reference>, FatalReason> {
        let of_program = self.found.iter().flatten().find_map(|resolution| {
            let loader = resolution.loader.as_ref()?;
            let elf = Arc::clone(&resolution.objects.first()?.elf);
            Some(Reference { loader: Arc::clone(&loader.path), libc: loader.libc, elf })
        });
        match of_program {
            Some(reference) => Ok(Some(reference)),
            None => self.engine.own_reference(),
        }
    }
}

/// Whether what stands against a script is said by `env`, which was started then.
fn is_of_env(fatal: &Fatal) -> bool {
    matches!(fatal.reason, FatalReason::EnvProgramMissing(_) | FatalReason::EnvRefuses(_) | FatalReason::EnvLoop)
}

impl Closure {
    /// A library that is loaded by some program may need what that program has loaded before, as the JVM's libraries
    /// need libjvm.so: notes which file has the name.
    fn find_providers(&mut self, wanted: &[Wanted]) {
        let mut providers: HashMap<Bytes, Bytes> = HashMap::new();
        for resolution in &self.resolutions {
            for object in resolution.objects.iter().skip(resolution.own) {
                let file_name: Bytes = Arc::from(base_name(&object.path));
                for name in object.elf.soname().into_iter().cloned().chain([file_name]) {
                    providers.entry(name).or_insert_with(|| Arc::clone(&object.path));
                }
            }
        }
        let loaded_later = wanted.iter().map(|wanted| wanted.role != Role::Program);
        for (resolution, _) in self.resolutions.iter_mut().zip(loaded_later).filter(|(_, later)| *later) {
            for missing in &mut resolution.missing {
                missing.provided_by = providers.get(&missing.name).cloned();
            }
        }
    }

    /// What may be missing is optional, on whatever processor. What is asked for by a path is known by its file name.
    fn ignore_missing(&mut self, names: &[Vec<u8>]) {
        let ignored = |missing: &mut Missing| names.iter().any(|name| **name == *base_name(&missing.name));
        for resolution in &mut self.resolutions {
            for variant in &mut resolution.variants {
                variant.missing.retain_mut(|missing| !ignored(missing));
            }
            let optional: Vec<Missing> = resolution.missing.extract_if(.., ignored).collect();
            resolution.missing_optional.extend(optional);
        }
    }
}

/// The program of a name: a name with a slash is a path, another is looked up on the image's PATH.
pub fn locate(source: &dyn Source, name: &[u8], options: &Options) -> Option<Vec<u8>> {
    if name.starts_with(b"/") {
        return Some(name.to_vec());
    }
    let headers = Headers::default();
    let tree = Tree::new(source, &headers, &options.workdir);
    match script::find_program(&tree, name, &options.path, None) {
        Ok(found) => found.map(|path| path.to_vec()),
        // Whoever looks there next is told why it can't be read.
        Err(unreadable) => Some(unreadable.place.to_vec()),
    }
}
