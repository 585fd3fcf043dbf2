//! What other processors load beside what the image's own does: the same program, loaded once for each of them.

use std::sync::Arc;

use super::glibc::Processor;
use super::machine::Port;
use super::mapping::Mapping;
use super::start::{Engine, Process, Run};
use super::{Alias, Bytes, Fatal, Isa, Resolution, Variant, VersionError};

impl<'a> Engine<'a> {
    /// Adds what other processors load, open or lack beyond the process that was resolved.
    pub(super) fn add_variants(&'a self, resolution: &mut Resolution, run: &Run<'a, '_>, base: &Process<'a>) {
        let Process::Glibc(process) = base else { return };
        let Some(port) = Port::of(&run.start.elf) else { return };
        let own = Processor::of(&self.options.isa, &port);
        let mut others: Vec<(Processor, &str)> = Vec::new();
        if self.options.isa == Isa::All {
            let best_last = port.levels.iter().rev().enumerate();
            others.extend(best_last.map(|(index, level)| (Processor { height: index + 1, ..own }, *level)));
        }
        if process.platform_met {
            let all = port.platforms.iter().enumerate().skip(1);
            others.extend(all.map(|(platform, name)| (Processor { platform, ..own }, *name)));
        }
        for (processor, name) in others {
            let Ok((other, fatal)) = run.on(Some(processor)) else { continue };
            let fatal = fatal.filter(|fatal| Some(fatal) != resolution.fatal.as_ref());
            resolution.variants.extend(variant(name, &process.map, other.map(), fatal, &resolution.variants));
        }
    }
}

/// What one processor has beyond the base and the variants before; None when that is nothing.
fn variant(name: &str, base: &Mapping, other: &Mapping, fatal: Option<Fatal>, before: &[Variant]) -> Option<Variant> {
    let opened: Vec<&Bytes> = paths(base).chain(before.iter().flat_map(Variant::opened)).collect();
    let is_new = |path: &Bytes| !opened.contains(&path);
    let objects: Vec<_> = other.objects.iter().filter(|object| is_new(&object.path)).cloned().collect();
    let is_new_alias = |alias: &&Alias| alias.path.as_ref().is_some_and(is_new);
    let aliases: Vec<_> = other.aliases.iter().filter(is_new_alias).cloned().collect();
    let known: Vec<_> = base.version_errors.iter().filter_map(|error| in_words(base, error)).collect();
    let is_new_error = |error: &&VersionError| in_words(other, error).is_some_and(|error| !known.contains(&error));
    let version_errors: Vec<_> = other.version_errors.iter().filter(is_new_error).cloned().collect();
    if objects.is_empty() && aliases.is_empty() && version_errors.is_empty() && fatal.is_none() {
        return None;
    }
    Some(Variant {
        name: name.to_owned(),
        loaded: other.objects.iter().map(|object| Arc::clone(&object.path)).collect(),
        objects,
        aliases,
        missing: other.missing.clone(),
        version_errors,
        fatal,
    })
}

/// Every path that is opened.
fn paths(map: &Mapping) -> impl Iterator<Item = &Bytes> {
    let aliases = map.aliases.iter().filter_map(|alias| alias.path.as_ref());
    map.objects.iter().map(|object| &object.path).chain(aliases)
}

fn in_words<'m>(map: &'m Mapping, error: &'m VersionError) -> Option<[&'m Bytes; 3]> {
    let path = |index: usize| map.objects.get(index).map(|object| &object.path);
    Some([&error.version, path(error.of)?, path(error.required_by)?])
}

impl Variant {
    /// Every path that only these processors open.
    fn opened(&self) -> impl Iterator<Item = &Bytes> {
        let aliases = self.aliases.iter().filter_map(|alias| alias.path.as_ref());
        self.objects.iter().map(|object| &object.path).chain(aliases)
    }
}
