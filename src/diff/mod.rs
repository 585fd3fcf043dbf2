//! What differs between two images: in go two surveys, out comes a [`Difference`], by what a person would ask of it.
//!
//! Two builds of the same thing have none. Nothing is read here but the surveys.

use std::collections::{BTreeMap, BTreeSet};

use crate::oci::{DiffId, Digest};
use crate::output::Fact;
use crate::path::ImagePath;
use crate::recipe::Verdict;
use crate::survey::{Finding, Layer, Survey, package_name};

mod condition;
mod files;
mod hardening;
mod json;
mod markdown;
mod text;
mod words;

pub use condition::{BadCondition, Condition};
pub use hardening::{HardeningChange, HardeningFact, facts};
pub use words::{became, led, percent, signed};

/// What differs between two images.
#[derive(Debug)]
pub struct Difference {
    /// The two images, the older one first.
    pub sides: [Side; 2],
    /// Packages, by name.
    pub packages: Vec<PackageChange>,
    /// Files, links and folders, by path.
    pub files: Vec<FileChange>,
    /// What objects need, by object and name.
    pub needs: Vec<NeedChange>,
    /// Libraries that objects name for loading: the object, the name, and whether it is new.
    pub dlopen: Vec<(ImagePath, String, bool)>,
    /// How ELF files that both have are hardened.
    pub hardening: Vec<HardeningChange>,
    /// Settings of the configuration and annotations: the name, and the two values.
    pub settings: Vec<(String, [Option<String>; 2])>,
    /// What breaks a rule.
    pub policy: Vec<PolicyChange>,
    /// Bytes of files by package, what changed most first.
    pub by_package: Vec<Growth>,
    /// Bytes of files by what brings them, what changed most first.
    pub by_reason: Vec<Growth>,
    /// The layers.
    pub layers: Layers,
}

/// One of the images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// As it was written on the command line.
    pub given: String,
    /// The digest of its manifest.
    pub digest: Option<Digest>,
    /// Its ID.
    pub id: Digest,
    /// Its platform.
    pub platform: String,
    /// Bytes of its files.
    pub size: u64,
    /// Bytes of its layers, compressed.
    pub download: u64,
    /// Entries that are no folders.
    pub files: usize,
    /// Packages.
    pub packages: usize,
}

/// A package in one or both of the images. The versions are equal only when it is among those whose files changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageChange {
    /// Its name; with the architecture where the image has it in two.
    pub name: String,
    /// Its versions.
    pub versions: [Option<String>; 2],
    /// The source packages that it comes from, with their versions.
    pub sources: [Option<(String, String)>; 2],
    /// Bytes of its files.
    pub sizes: [u64; 2],
}

/// A path that is not the same in both images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The path.
    pub path: ImagePath,
    /// What stands there in each.
    pub sides: [Option<Fact>; 2],
    /// In what they differ, when both have it: `bytes`, `mode`, `owner`, `target`, `kind`, `mtime`, `xattrs`.
    pub what: Vec<&'static str>,
    /// The package that it belongs to, in the newer image where that has it.
    pub package: Option<String>,
}

/// A need of an object that only one of the images has, or that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeedChange {
    /// The object.
    pub by: ImagePath,
    /// The name that it needs.
    pub name: String,
    /// What is loaded for it in each image; none where the object does not need it.
    pub to: [Option<Led>; 2],
    /// Whether both images have the object.
    pub in_both: bool,
}

/// What a need leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Led {
    /// Nothing of this name is found.
    Nowhere,
    /// An object.
    To(ImagePath),
}

/// A broken rule that only one of the images breaks, or breaks there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChange {
    /// The rule.
    pub rule: &'static str,
    /// Its code.
    pub code: String,
    /// What follows.
    pub verdict: Verdict,
    /// Whether it is new.
    pub is_new: bool,
    /// What it is about: a path and what is the matter with it, or the finding in one line.
    pub what: String,
}

/// Bytes that something has in each image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// What.
    pub what: String,
    /// Bytes in each.
    pub bytes: [u64; 2],
}

impl Growth {
    /// How much more the newer image has.
    pub fn change(&self) -> i64 {
        change(self.bytes)
    }
}

/// How much the second number is above the first.
pub fn change([from, to]: [u64; 2]) -> i64 {
    let difference = i128::from(to) - i128::from(from);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

/// The layers of both images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layers {
    /// Those that both have, in the newer image's order.
    pub shared: Vec<Layer>,
    /// Those that only the newer image has: what who has the older one downloads.
    pub new: Vec<Layer>,
    /// Those that only the older image has.
    pub gone: Vec<Layer>,
    /// Those of the new ones that unpack to the same as one of the older image, and are only compressed otherwise.
    pub recompressed: usize,
}

impl Layers {
    /// Bytes that who has the older image downloads for the newer one.
    pub fn download(&self) -> u64 {
        self.new.iter().map(|layer| layer.size).sum()
    }
}

impl Difference {
    /// Compares two images. `given` is what a person called each.
    pub fn between(surveys: [&Survey; 2], given: [&str; 2]) -> Self {
        let sides = [0, 1].map(|index| side(surveys[index], given[index]));
        // Reasons compare only where both come from recipes, or both from images alone.
        let both_told = surveys.iter().all(|survey| survey.told.is_some());
        Self {
            packages: packages(surveys),
            files: files::files(surveys),
            needs: needs(surveys),
            dlopen: dlopen(surveys),
            hardening: hardening::hardening(surveys),
            settings: settings(surveys),
            policy: policy(surveys.map(|survey| if both_told { survey.verdicts() } else { &survey.findings })),
            by_package: growth(&surveys.map(by_package)),
            by_reason: growth(&surveys.map(|survey| by_reason(survey, both_told))),
            layers: layers(surveys),
            sides,
        }
    }

    /// Whether the images differ in anything but how their layers are compressed.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
            && self.files.is_empty()
            && self.needs.is_empty()
            && self.dlopen.is_empty()
            && self.hardening.is_empty()
            && self.settings.is_empty()
            && self.policy.is_empty()
            && self.layers.new.len() == self.layers.recompressed
            && self.layers.gone.len() == self.layers.recompressed
    }

    /// Bytes of files in each image.
    pub fn sizes(&self) -> [u64; 2] {
        [self.sides[0].size, self.sides[1].size]
    }

    /// Bytes of compressed layers in each image.
    pub fn downloads(&self) -> [u64; 2] {
        [self.sides[0].download, self.sides[1].download]
    }
}

fn side(survey: &Survey, given: &str) -> Side {
    Side {
        name: survey.name.clone(),
        given: given.to_owned(),
        digest: survey.digest,
        id: survey.id,
        platform: survey.platform.clone(),
        size: survey.size(),
        download: survey.download(),
        files: survey.count(),
        packages: survey.packages.len(),
    }
}

/// The keys of both maps, each once.
fn keys<K: Ord, V>(maps: [&BTreeMap<K, V>; 2]) -> BTreeSet<&K> {
    maps.into_iter().flat_map(BTreeMap::keys).collect()
}

fn packages(surveys: [&Survey; 2]) -> Vec<PackageChange> {
    let mut changes = Vec::new();
    for key in keys(surveys.map(|survey| &survey.packages)) {
        let sides = surveys.map(|survey| survey.packages.get(key));
        let versions = sides.map(|package| package.map(|package| package.version.clone()));
        if versions[0] == versions[1] {
            continue;
        }
        let named = surveys.into_iter().rev().find(|survey| survey.packages.contains_key(key));
        changes.push(PackageChange {
            name: named.map_or_else(|| key.0.clone(), |survey| package_name(&survey.packages, key)),
            versions,
            sources: sides.map(|package| package.map(|it| (it.source.clone(), it.source_version.clone()))),
            sizes: sides.map(|package| package.map_or(0, |package| package.size)),
        });
    }
    changes
}

fn needs(surveys: [&Survey; 2]) -> Vec<NeedChange> {
    let mut changes = Vec::new();
    for by in keys(surveys.map(|survey| &survey.objects)) {
        let objects = surveys.map(|survey| survey.objects.get(by));
        let none = BTreeMap::new();
        let needs = objects.map(|object| object.map_or(&none, |object| &object.needs));
        for name in keys(needs) {
            let led = |to: &Option<ImagePath>| to.clone().map_or(Led::Nowhere, Led::To);
            let to = needs.map(|needs| needs.get(name).map(led));
            if to[0] != to[1] {
                let in_both = objects.iter().all(Option::is_some);
                changes.push(NeedChange { by: by.clone(), name: name.clone(), to, in_both });
            }
        }
    }
    changes
}

fn dlopen(surveys: [&Survey; 2]) -> Vec<(ImagePath, String, bool)> {
    let named = |survey: &Survey| -> BTreeSet<(ImagePath, String)> {
        let names = |(path, object): (&ImagePath, &crate::survey::Object)| -> Vec<(ImagePath, String)> {
            object.dlopen.iter().map(|name| (path.clone(), name.clone())).collect()
        };
        survey.objects.iter().flat_map(names).collect()
    };
    let [from, to] = surveys.map(named);
    from.symmetric_difference(&to)
        .map(|(path, name)| (path.clone(), name.clone(), to.contains(&(path.clone(), name.clone()))))
        .collect()
}

fn settings(surveys: [&Survey; 2]) -> Vec<(String, [Option<String>; 2])> {
    let sides = |key: &str| surveys.map(|survey| survey.settings.get(key).cloned());
    // What `docker save` writes has no manifest, and so no annotations.
    let have_manifests = surveys.iter().all(|survey| survey.digest.is_some());
    let mut changes: Vec<(String, [Option<String>; 2])> = Vec::new();
    for key in keys(surveys.map(|survey| &survey.settings)) {
        let values = sides(key);
        let annotation = key.strip_prefix("annotation ");
        // Most annotations say again what a label says.
        let is_told = annotation.is_some_and(|name| sides(&format!("label {name}")) == values);
        if values[0] != values[1] && !is_told && (annotation.is_none() || have_manifests) {
            changes.push((key.clone(), values));
        }
    }
    changes
}

/// One line for each path that breaks a rule; for what is about no path, one for the finding.
fn policy(findings: [&[Finding]; 2]) -> Vec<PolicyChange> {
    let lines = |findings: &[Finding]| -> BTreeMap<(&'static str, String), (String, Verdict)> {
        let mut lines = BTreeMap::new();
        for finding in findings {
            let of_path = |(path, what): &(ImagePath, String)| match what.as_str() {
                "" => path.to_string(),
                what => format!("{path}: {what}"),
            };
            let whats: Vec<String> = finding.paths.iter().map(of_path).collect();
            let whats = if whats.is_empty() { vec![finding.summary.clone()] } else { whats };
            lines.extend(whats.into_iter().map(|what| ((finding.rule, what), (finding.code.clone(), finding.verdict))));
        }
        lines
    };
    let lines = findings.map(lines);
    let mut changes = Vec::new();
    for key in keys([&lines[0], &lines[1]]) {
        let sides = [lines[0].get(key), lines[1].get(key)];
        if let Some((is_new, (code, verdict))) = match sides {
            [None, Some(new)] => Some((true, new)),
            [Some(gone), None] => Some((false, gone)),
            [Some(before), Some(after)] if before.1 < after.1 => Some((true, after)),
            _ => None,
        } {
            let (rule, what) = key.clone();
            changes.push(PolicyChange { rule, code: code.clone(), verdict: *verdict, is_new, what });
        }
    }
    changes
}

fn by_package(survey: &Survey) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for (path, fact) in &survey.files {
        let name = match survey.owners.get(path) {
            Some(key) => package_name(&survey.packages, key),
            None => "of no package".to_owned(),
        };
        *sizes.entry(name).or_default() += fact.size;
    }
    sizes
}

fn by_reason(survey: &Survey, told: bool) -> BTreeMap<String, u64> {
    let causes = if told { survey.best_web() } else { &survey.web }.causes();
    let mut sizes = BTreeMap::new();
    for (path, fact) in survey.files.iter().filter(|(_, fact)| fact.size > 0) {
        let cause = causes.get(path).map_or("for no known reason", String::as_str);
        *sizes.entry(cause.to_owned()).or_default() += fact.size;
    }
    sizes
}

/// What changed, the most first.
fn growth(sides: &[BTreeMap<String, u64>; 2]) -> Vec<Growth> {
    let bytes = |what: &String| [0, 1].map(|side: usize| sides[side].get(what).copied().unwrap_or(0));
    let all = keys([&sides[0], &sides[1]]).into_iter().map(|what| Growth { what: what.clone(), bytes: bytes(what) });
    let mut changed: Vec<Growth> = all.filter(|growth| growth.change() != 0).collect();
    changed.sort_by(|a, b| b.change().abs().cmp(&a.change().abs()).then_with(|| a.what.cmp(&b.what)));
    changed
}

fn layers(surveys: [&Survey; 2]) -> Layers {
    // What has no digest of its blob is known by what it unpacks to.
    let blobs = surveys.map(|survey| survey.layers.iter().map(|layer| (layer.digest, layer.diff_id)).collect());
    let has = |side: usize, layer: &Layer| {
        let blobs: &Vec<(Option<Digest>, Option<DiffId>)> = &blobs[side];
        blobs.iter().any(|(digest, diff_id)| match (digest, layer.digest) {
            (Some(other), Some(own)) => *other == own,
            _ => diff_id.is_some() && *diff_id == layer.diff_id,
        })
    };
    let [from, to] = surveys.map(|survey| &survey.layers);
    let (shared, new): (Vec<Layer>, Vec<Layer>) = to.iter().cloned().partition(|layer| has(0, layer));
    let gone: Vec<Layer> = from.iter().filter(|layer| !has(1, layer)).cloned().collect();
    let same = |layer: &&Layer| layer.diff_id.is_some() && gone.iter().any(|other| other.diff_id == layer.diff_id);
    let recompressed = new.iter().filter(same).count();
    Layers { shared, new, gone, recompressed }
}
