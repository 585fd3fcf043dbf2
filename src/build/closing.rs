//! The closure and the rules, in turns, until neither brings anything new.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rayon::prelude::*;

use crate::closure::diagnose;
use crate::closure::{
    self, Because, Closure, FatalReason, Headers, Libc, Missing, Privilege, Resolution, Role, Wanted, Warning,
};
use crate::elf::Machine;
use crate::needs::{self, Addition, Distribution, Finder, Learnt, Suggestion, Want};
use crate::path::{ImagePath, show};
use crate::policy;
use crate::recipe::{self, Recipe, Verdict};
use crate::report::{Diagnostic, Error, IO, Level, Result, Span, plain};
use crate::rootfs::{self, additions};
use crate::select::{NOT_A_PROGRAM, Selection};
use crate::source::{Content, Source, resolve};
use crate::tree::{Overlay, Tree};

use super::LEFT_OUT;
use super::evidence::{Evidence, Look};

/// More rounds than any chain of rules has; a table that goes on adding is a bug.
const MOST_ROUNDS: usize = 16;

/// A tree that is being closed.
pub(super) struct Closing<'a> {
    recipe: &'a Recipe,
    root: &'a dyn Source,
    options: closure::Options,
    /// What was read of ELF files, for all closures of the build.
    headers: &'a Headers,
    /// What rules learnt of files, for all images of the session.
    learnt: &'a Learnt,
    pub(super) tree: Tree,
    pub(super) wanted: Vec<Wanted>,
    pub(super) closure: Closure,
    pub(super) notes: Vec<Diagnostic>,
    /// What the loaders' rules have to say, and does not stop the image.
    remarks: Vec<Diagnostic>,
}

impl<'a> Closing<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        root: &'a dyn Source,
        selection: &Selection,
        (headers, learnt): (&'a Headers, &'a Learnt),
    ) -> Self {
        let wanted = wanted(selection);
        let (options, tree) = (options(recipe), selection.tree.clone());
        Self {
            recipe,
            root,
            options,
            headers,
            learnt,
            tree,
            wanted,
            closure: Closure::default(),
            notes: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Closes over what the recipe names, then over what rules add, until nothing new comes.
    pub(super) fn run(&mut self, host: &dyn Source, owner: (u32, u32), command: &[String]) -> Result<Finder> {
        let recipe = self.recipe;
        let (extras, certificates, root) = (&recipe.extras, &recipe.certificates, self.root);
        let mounts: Vec<ImagePath> = recipe.mounts.iter().map(|mount| mount.value.clone()).collect();
        let request = needs::Request { extras, certificates, mounts: &mounts, command, owner, root, host };
        let mut finder = Finder::new(&request)?;
        self.close()?;
        for _ in 0..MOST_ROUNDS {
            let needs = self.look(|seen| finder.find(seen))?;
            self.notes.extend(needs.notes);
            if needs.additions.is_empty() {
                return Ok(finder);
            }
            self.add(&needs.additions)?;
        }
        Err(Error::internal("the rules go on adding"))
    }

    /// Runs the loader's rules over everything that is wanted, and brings what they load. Everything that stops the
    /// image, as missing libraries do, is said in one go.
    fn close(&mut self) -> Result<()> {
        let view = Overlay { tree: &self.tree, base: self.root };
        self.closure = closure::close_sharing(&view, &self.wanted, &self.options, self.headers);
        let without_line = self.without_interpreter_line();
        if !without_line.is_empty() {
            return Err(Error(without_line));
        }
        let (problems, remarks): (Vec<_>, Vec<_>) = diagnose::diagnose(&self.closure, &self.wanted, &self.options)
            .into_iter()
            .filter_map(|said| self.by_policy(said))
            .map(|said| self.with_platform(said))
            .partition(|said| said.level == Level::Error);
        if !problems.is_empty() {
            return Err(Error(problems));
        }
        self.remarks = remarks;
        let spans: Vec<Option<Span>> = self.wanted.iter().map(|wanted| wanted.span).collect();
        rootfs::add_closure(&mut self.tree, self.root, &self.closure, &spans)
    }

    /// With the place that names the platform, where a file is for another one.
    fn with_platform(&self, said: Diagnostic) -> Diagnostic {
        match &self.recipe.platform {
            Some(platform) if said.code == diagnose::WRONG_MACHINE => said.and_at(platform.span, "this platform"),
            _ => said,
        }
    }

    /// What becomes of a finding when the policy has a rule about it.
    fn by_policy(&self, said: Diagnostic) -> Option<Diagnostic> {
        let rule = match said.code {
            diagnose::VERSION_MISSING if said.level == Level::Error => &policy::SYMBOL_VERSIONS,
            diagnose::FOREIGN => &policy::FOREIGN_ELF,
            _ => return Some(said),
        };
        let (verdict, set_at) = policy::verdict(&self.recipe.policy, rule);
        let level = match verdict {
            Verdict::Allow => return None,
            Verdict::Warn => Level::Warning,
            Verdict::Deny => Level::Error,
        };
        let code = if level == Level::Error && set_at.is_some() { rule.code } else { said.code };
        let said = Diagnostic { level, code, ..said };
        Some(match set_at {
            Some(span) => said.and_at(span, "rule set here"),
            None => said,
        })
    }

    /// Programs of the recipe that are neither ELF files nor scripts: a shell might run them, an engine does not.
    fn without_interpreter_line(&self) -> Vec<Diagnostic> {
        let programs = self.wanted.iter().zip(&self.closure.resolutions);
        let bad = programs.filter(|(wanted, found)| {
            wanted.role == Role::Program && found.warnings.contains(&Warning::NoInterpreterLine)
        });
        let error = |wanted: &Wanted| {
            let path = show(&wanted.path);
            Diagnostic::error(NOT_A_PROGRAM, format!("`{path}` is neither an ELF program nor a script"))
                .at_some(wanted.span, "wanted as a program")
                .note("a script begins with `#!` and its interpreter; the kernel starts nothing else")
        };
        bad.map(|(wanted, _)| error(wanted)).collect()
    }

    /// Warnings and notes of the loaders' rules.
    pub(super) fn remarks(&self, selection: &Selection) -> Vec<Diagnostic> {
        let mut remarks = self.remarks.clone();
        let mut copied: BTreeMap<Option<Span>, Vec<&Resolution>> = BTreeMap::new();
        for (wanted, resolution) in self.wanted.iter().zip(&self.closure.resolutions) {
            copied.entry(wanted.span).or_default().push(resolution);
        }
        for (span, files) in copied {
            let folder = selection.copied.iter().find(|(_, copied)| Some(*copied) == span);
            let from = folder.map_or(b"/".as_slice(), |(folder, _)| folder.as_bytes());
            // All files of the folder: what leaves the foreign ones out must not match others.
            let below = folder.into_iter().flat_map(|(folder, _)| selection.tree.below(folder));
            let others: Vec<&[u8]> =
                below.filter(|(_, entry)| !entry.is_directory()).map(|(path, _)| path.as_bytes()).collect();
            remarks.extend(diagnose::foreign_note(from, span, &files, &others).and_then(|note| self.by_policy(note)));
        }
        remarks
    }

    /// Closes over the ELF files of additions, leaves out those that can't load and may be missing, brings the rest.
    fn add(&mut self, additions: &[Addition]) -> Result<()> {
        let candidates = self.candidates(additions)?;
        let left_out = self.try_out(candidates);
        for addition in additions {
            let leave_out = |path: &ImagePath| left_out.contains(path.as_bytes());
            additions::add(&mut self.tree, self.root, &addition.want, &addition.reason, &leave_out)?;
        }
        self.close()?;
        self.credit(additions);
        Ok(())
    }

    /// What a rule had loaded carries the rule among its reasons, beside the object that loads it.
    fn credit(&mut self, additions: &[Addition]) {
        for addition in additions {
            let Want::Load { name, .. } = &addition.want else { continue };
            let is_it = |object: &&closure::Loaded| {
                matches!(object.because, Because::Dlopen | Because::Requested)
                    && (*object.path == **name || object.names.iter().any(|known| **known == **name))
            };
            for object in self.closure.resolutions.iter().flat_map(|found| &found.objects).filter(is_it) {
                if let Some(entry) = self.tree.get_mut(&object.real)
                    && !entry.reasons.contains(&addition.reason)
                {
                    entry.reasons.push(addition.reason.clone());
                }
            }
        }
    }

    /// The ELF files of additions, each with whether programs fail without it.
    fn candidates(&self, additions: &[Addition]) -> Result<Vec<(Candidate, bool)>> {
        let view = Overlay { tree: &self.tree, base: self.root };
        let mut candidates = Vec::new();
        for addition in additions {
            for (path, content) in additions::files_of(&view, &addition.want, &addition.reason)? {
                if self.headers.object(&content).map_err(|error| unreadable(&path, &error))?.is_some() {
                    let mut wanted = Wanted::plugin(path.as_bytes(), self.host(addition.by.as_ref()));
                    wanted.span = addition.reason.span;
                    candidates.push((Candidate::File(wanted), addition.required));
                }
            }
            if let Want::Load { name, by } = &addition.want {
                let candidate = match self.host(by.as_ref()) {
                    Some(host) => Candidate::Dlopen { host, name: name.clone() },
                    None => Candidate::File(Wanted { span: addition.reason.span, ..Wanted::library(name.clone()) }),
                };
                candidates.push((candidate, addition.required));
            }
        }
        Ok(candidates)
    }

    /// Adds what can load, or must, to what is wanted. What can't load and may be absent is returned.
    fn try_out(&mut self, candidates: Vec<(Candidate, bool)>) -> BTreeSet<Vec<u8>> {
        let view = Overlay { tree: &self.tree, base: self.root };
        let mut trial = self.wanted.clone();
        let places: Vec<usize> = candidates.iter().map(|(candidate, _)| candidate.want(&mut trial)).collect();
        let closure = closure::close_sharing(&view, &trial, &self.options, self.headers);
        let mut left_out = BTreeSet::new();
        for ((candidate, required), place) in candidates.into_iter().zip(places) {
            let why = candidate.cannot_load(&closure.resolutions[place]);
            if let (false, Some(why)) = (required, why) {
                let title = format!("`{}` was left out: {why}", show(candidate.name()));
                self.notes.push(Diagnostic::note_of(LEFT_OUT, title).note("a rule would add it"));
                left_out.insert(candidate.name().to_vec());
            } else {
                candidate.want(&mut self.wanted);
            }
        }
        left_out
    }

    /// The program in whose context something is loaded: the first that loads `by`, or the first that has a loader.
    fn host(&self, by: Option<&ImagePath>) -> Option<usize> {
        let programs = || (0..self.wanted.len()).filter(|index| self.wanted[*index].role == Role::Program);
        let loads = |index: &usize| {
            by.is_some_and(|by| self.closure.resolutions[*index].objects.iter().any(|object| object.real == *by))
        };
        programs().find(loads).or_else(|| programs().find(|index| self.closure.resolutions[*index].loader.is_some()))
    }

    /// Variables that rules set in the image's configuration.
    pub(super) fn environment(&self, finder: &Finder) -> Result<BTreeMap<String, String>> {
        self.look(|seen| finder.environment(seen))
    }

    /// Optional rules that the image gives cause for.
    pub(super) fn suggestions(&self, finder: &mut Finder) -> Result<Vec<Suggestion>> {
        self.look(|seen| finder.suggestions(seen))
    }

    /// Shows the rules what the image holds.
    fn look<T>(&self, ask: impl FnOnce(&needs::Seen<'_>) -> Result<T>) -> Result<T> {
        let mut objects: BTreeMap<ImagePath, needs::Object> = BTreeMap::new();
        let mut contents: BTreeMap<ImagePath, Content> = BTreeMap::new();
        for loaded in self.closure.resolutions.iter().flat_map(|resolution| &resolution.objects) {
            let object = objects.entry(loaded.real.clone()).or_insert_with(|| needs::Object {
                real: loaded.real.clone(),
                names: Vec::new(),
                soname: loaded.elf.soname().map(|name| name.to_vec()),
            });
            for name in &loaded.names {
                if !object.names.iter().any(|known| **known == **name) {
                    object.names.push(name.to_vec());
                }
            }
            contents.entry(loaded.real.clone()).or_insert_with(|| loaded.content.clone());
        }
        let imports = |path: &ImagePath| {
            contents.get(path).map_or_else(|| Ok(closure::Imports::default()), |content| self.headers.imports(content))
        };
        let distribution = Distribution::of(self.root)
            .map_err(|error| Diagnostic::error(IO, format!("cannot read os-release of the root: {}", plain(&error))))?;
        let objects: Vec<needs::Object> = objects.into_values().collect();
        // Sooner or later the rules ask for the imports of each, one after the other.
        objects.par_iter().for_each(|object| drop(imports(&object.real)));
        ask(&needs::Seen {
            view: &Overlay { tree: &self.tree, base: self.root },
            image: &self.tree,
            objects: &objects,
            programs: &self.programs(),
            interpreters: &self.interpreters(),
            imports: &imports,
            learnt: self.learnt,
            libc: self.libc(),
            family: distribution.map_or(needs::Family::Other, |distribution| distribution.family()),
            env: &self.recipe.config.env,
        })
    }

    fn programs(&self) -> Vec<ImagePath> {
        let programs = self.wanted.iter().zip(&self.closure.resolutions);
        programs
            .filter(|(wanted, _)| wanted.role == Role::Program)
            .filter_map(|(_, found)| found.real.clone())
            .collect()
    }

    /// What scripts are run by: the programs that their resolutions lead to.
    fn interpreters(&self) -> Vec<ImagePath> {
        let scripts = self.closure.resolutions.iter().filter_map(|resolution| resolution.script.as_ref());
        let run_by = scripts.flat_map(|script| &script.resolutions);
        let all: BTreeSet<ImagePath> =
            run_by.filter_map(|index| self.closure.resolutions.get(*index)?.real.clone()).collect();
        all.into_iter().collect()
    }

    fn libc(&self) -> Option<Libc> {
        self.closure.resolutions.iter().find_map(|resolution| resolution.loader.as_ref()).map(|loader| loader.libc)
    }

    /// Resolves everything once more in the finished tree alone: an image that would load other files is refused.
    pub(super) fn self_check(&self, tree: &Tree) -> Result<()> {
        let again = closure::close_sharing(tree, &self.wanted, &self.options, self.headers);
        let errors = diagnose::self_check(&self.closure, &again);
        if errors.is_empty() { Ok(()) } else { Err(Error(errors)) }
    }

    /// What objects of the finished tree may load by name, and what the recipe ignores of it for nothing.
    pub(super) fn evidence(&self, tree: &Tree) -> Result<(Vec<Evidence>, Vec<Diagnostic>)> {
        let look = Look {
            tree,
            root: self.root,
            closure: &self.closure,
            wanted: &self.wanted,
            options: &self.options,
            headers: self.headers,
            ignored: &self.recipe.policy.ignore_dlopen,
        };
        let evidence = look.evidence()?;
        let remarks = look.ignored_for_nothing(&evidence);
        Ok((evidence, remarks))
    }

    /// The cache of libraries that the image needs, where its loaders would not find them without.
    pub(super) fn cache(&self, tree: &Tree) -> Option<Vec<u8>> {
        closure::cache::for_image(&self.closure, self.root, tree, self.headers)
    }
}

/// Something that a rule would have loaded.
enum Candidate {
    /// A file, closed over by itself or as a plugin.
    File(Wanted),
    /// A name that a program looks up at run time.
    Dlopen {
        /// The program: an index into what is wanted.
        host: usize,
        /// The name.
        name: Vec<u8>,
    },
}

impl Candidate {
    fn name(&self) -> &[u8] {
        match self {
            Self::File(wanted) => &wanted.path,
            Self::Dlopen { name, .. } => name,
        }
    }

    /// Adds it to what is wanted; where its resolution will be.
    fn want(&self, wanted: &mut Vec<Wanted>) -> usize {
        match self {
            Self::File(file) => {
                if let Some(known) = wanted.iter().position(|known| known.path == file.path) {
                    return known;
                }
                wanted.push(file.clone());
                wanted.len() - 1
            }
            Self::Dlopen { host, name } => {
                if !wanted[*host].dlopen.contains(name) {
                    wanted[*host].dlopen.push(name.clone());
                }
                *host
            }
        }
    }

    /// Why it can't be loaded, if so.
    fn cannot_load(&self, resolution: &Resolution) -> Option<String> {
        match self {
            Self::File(_) => {
                if let Some(fatal) = &resolution.fatal {
                    if matches!(fatal.reason, FatalReason::Unreadable(_)) {
                        // Whether it can load is not known: that stops the image, and is said when it is closed.
                        return None;
                    }
                    return Some(format!("`{}`: {}", show(&fatal.path), fatal.reason));
                }
                // What another file of the image provides is loaded before, as the JVM's libraries find libjvm.so.
                let nowhere = resolution.missing.iter().find(|missing| missing.provided_by.is_none());
                nowhere.map(|missing| format!("`{}` is not in the root", show(&missing.name)))
            }
            Self::Dlopen { name, .. } => {
                if resolution.missing.iter().any(|missing| *missing.name == **name) {
                    return Some("it is not in the root".to_owned());
                }
                let nowhere =
                    |missing: &&Missing| missing.provided_by.is_none() && needed_through(resolution, missing, name);
                let missing = resolution.missing.iter().find(nowhere);
                missing.map(|missing| format!("`{}` is not in the root", show(&missing.name)))
            }
        }
    }
}

/// Whether a missing library was asked for by what is loaded under `name`, or by what that needs.
fn needed_through(resolution: &Resolution, missing: &Missing, name: &[u8]) -> bool {
    let asker = |index: &usize| resolution.objects.get(*index).and_then(|object| object.needed_by);
    let chain = std::iter::successors(Some(missing.needed_by), asker).take(resolution.objects.len());
    let mut objects = chain.filter_map(|index| resolution.objects.get(index));
    objects.any(|object| *object.path == *name || object.names.iter().any(|known| **known == *name))
}

fn unreadable(path: &ImagePath, error: &io::Error) -> Error {
    Diagnostic::error(IO, format!("cannot read `{path}`: {}", plain(error))).into()
}

/// What the recipe wants closed over: its programs first, so that the others have a program to be loaded by.
fn wanted(selection: &Selection) -> Vec<Wanted> {
    let mut all = Vec::new();
    for program in &selection.programs {
        let mut wanted = Wanted::program(program.path.as_bytes());
        wanted.dlopen = program.dlopen.iter().map(|name| name.value.as_bytes().to_vec()).collect();
        wanted.span = Some(program.span);
        let special = resolve(&selection.tree, program.path.as_bytes())
            .ok()
            .and_then(|found| selection.tree.get(&found.real))
            .is_some_and(|entry| entry.mode & 0o6000 != 0 || !entry.xattrs.is_empty());
        wanted.privilege = if special { Privilege::Secure } else { Privilege::Ordinary };
        all.push(wanted);
    }
    // What lies in a virtual environment is loaded by its interpreter.
    let mut hosts = Vec::new();
    for program in &selection.interpreters {
        let venv = program.path.parent().and_then(|bin| bin.parent());
        hosts.extend(venv.map(|venv| (venv, all.len())));
        all.push(Wanted { span: Some(program.span), ..Wanted::program(program.path.as_bytes()) });
    }
    for name in &selection.libraries {
        all.push(Wanted { span: Some(name.span), ..Wanted::library(name.value.as_bytes()) });
    }
    let first = (!selection.programs.is_empty() || !selection.interpreters.is_empty()).then_some(0);
    for object in &selection.objects {
        let path = object.path.as_bytes();
        let venv = hosts.iter().find(|(venv, _)| object.path.is_within(venv));
        let host = venv.map(|(_, index)| *index).or(first);
        let wanted = if object.named && host.is_none() { Wanted::library(path) } else { Wanted::plugin(path, host) };
        all.push(Wanted { span: Some(object.span), ..wanted });
    }
    all
}

fn options(recipe: &Recipe) -> closure::Options {
    let env = |name: &str| recipe.config.env.get(name).map(|value| value.value.as_bytes().to_vec());
    closure::Options {
        isa: match &recipe.isa {
            recipe::Isa::Baseline => closure::Isa::Baseline,
            recipe::Isa::Level(level) => closure::Isa::Level(level.clone()),
            recipe::Isa::All => closure::Isa::All,
        },
        library_path: env("LD_LIBRARY_PATH").unwrap_or_default(),
        preload: env("LD_PRELOAD").unwrap_or_default(),
        workdir: recipe.config.workdir.as_ref().map_or_else(|| b"/".to_vec(), |path| path.as_bytes().to_vec()),
        path: env("PATH").unwrap_or_else(|| closure::DEFAULT_PATH.to_vec()),
        machine: recipe.platform.as_ref().and_then(|platform| Machine::of_architecture(&platform.architecture)),
        ignore_missing: recipe.ignore_missing.iter().map(|name| name.value.as_bytes().to_vec()).collect(),
        ..closure::Options::default()
    }
}
