//! What a report shows, as compact JSON: paths and layers that images have in common stand there once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::diff::facts;
use crate::oci::Kind;
use crate::output::Fact;
use crate::path::{ImagePath, show};
use crate::picture::Shares;
use crate::survey::{Finding, Layer, Node, Object, Survey, package_name};

/// All surveys as one value. The script of the page says what each part is.
pub(super) fn data(surveys: &[Survey]) -> Value {
    let mut tables = Tables::default();
    let images: Vec<Value> = surveys.iter().map(|survey| tables.image(survey)).collect();
    json!({
        "folders": tables.folders.list,
        "paths": tables.paths.list,
        "notes": tables.notes.list,
        "layers": tables.layers.list,
        "images": images,
    })
}

/// Things that stand in a list once, known by a key.
struct Table<T> {
    list: Vec<T>,
    places: BTreeMap<Vec<u8>, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { list: Vec::new(), places: BTreeMap::new() }
    }
}

impl<T> Table<T> {
    fn place(&mut self, key: Vec<u8>, make: impl FnOnce() -> T) -> usize {
        let list = &mut self.list;
        *self.places.entry(key).or_insert_with(|| {
            list.push(make());
            list.len() - 1
        })
    }
}

#[derive(Default)]
struct Tables {
    folders: Table<String>,
    paths: Table<Value>,
    notes: Table<String>,
    layers: Table<Value>,
}

impl Tables {
    fn path(&mut self, path: &ImagePath) -> usize {
        let folder = path.parent().unwrap_or_else(ImagePath::root);
        let folder = self
            .folders
            .place(folder.as_bytes().to_vec(), || if folder.is_root() { String::new() } else { folder.to_string() });
        self.paths.place(path.as_bytes().to_vec(), || json!([folder, show(path.name())]))
    }

    fn layer(&mut self, layer: &Layer) -> usize {
        let key = match (layer.digest, layer.diff_id) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(diff_id)) => diff_id.to_string(),
            (None, None) => format!("{layer:?}"),
        };
        let digest = layer.digest.map(|digest| digest.to_string()).or(layer.diff_id.map(|id| id.to_string()));
        self.layers.place(key.into_bytes(), || {
            json!([layer.name, digest.unwrap_or_default(), layer.size, layer.unpacked, layer.files])
        })
    }

    fn image(&mut self, survey: &Survey) -> Value {
        let packages: Vec<&(String, String)> = survey.packages.keys().collect();
        let files: Vec<(&ImagePath, &Fact)> =
            survey.files.iter().filter(|(_, fact)| fact.kind != Kind::Directory).collect();
        let places: BTreeMap<&ImagePath, usize> =
            files.iter().enumerate().map(|(number, (path, _))| (*path, number)).collect();
        let rows: Vec<Value> = files
            .iter()
            .map(|(path, fact)| {
                let package = survey.owners.get(*path).and_then(|key| packages.binary_search(&key).ok());
                json!([self.path(path), fact.size, kind(fact), package, format!("{:o}", fact.mode), fact.layer])
            })
            .collect();
        json!({
            "name": survey.name,
            "digest": survey.digest.unwrap_or(survey.id),
            "platform": survey.platform,
            "told": survey.told.is_some(),
            "size": survey.size(),
            "files": rows,
            "shares": shares(survey, &places),
            "web": self.web(survey, &places),
            "packages": survey.packages.iter().map(|(key, package)| json!([
                package_name(&survey.packages, key),
                package.version,
                package.source,
                package.source_version,
                key.1,
            ])).collect::<Vec<_>>(),
            "findings": survey.verdicts().iter().map(finding).collect::<Vec<_>>(),
            "facts": facts_of(survey),
            "objects": survey.objects.iter().filter_map(|(path, object)| {
                Some(object_row(*places.get(path)?, object))
            }).collect::<Vec<_>>(),
            "settings": survey.settings.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>(),
            "layers": survey.layers.iter().map(|layer| self.layer(layer)).collect::<Vec<_>>(),
        })
    }

    /// Who brings what: askers with their places, then for each that asks the files that it gets and as what.
    fn web(&mut self, survey: &Survey, places: &BTreeMap<&ImagePath, usize>) -> Value {
        let web = survey.best_web();
        let (mut askers, mut edges) = (Vec::new(), Vec::new());
        for (node, below) in &web.below {
            let mut row: Vec<usize> = Vec::new();
            for edge in below {
                let Some(to) = places.get(&edge.to) else { continue };
                row.extend([*to, self.notes.place(edge.note.clone().into_bytes(), || edge.note.clone())]);
            }
            if row.is_empty() {
                continue;
            }
            match node {
                Node::Asker(_, name) => {
                    let place = survey.told.as_ref().and_then(|told| told.places.get(name));
                    askers.push(json!([name, place, row]));
                }
                Node::File(path) => edges.extend(places.get(path).map(|from| json!([from, row]))),
            }
        }
        json!({ "askers": askers, "edges": edges })
    }
}

/// The shares as a list, each above what is below it: its name or the number of its file, and the number of what is
/// above it.
fn shares(survey: &Survey, places: &BTreeMap<&ImagePath, usize>) -> Value {
    let Shares(shares) = Shares::of(survey);
    let (mut rows, mut open) = (Vec::new(), vec![(0, 0)]);
    while let Some((share, above)) = open.pop() {
        let own = rows.len();
        let file = shares[share].path.as_ref().and_then(|path| places.get(path));
        rows.push(match file {
            Some(file) => json!([file, above]),
            None => json!([shares[share].name, above]),
        });
        open.extend(shares[share].below.iter().rev().map(|&below| (below, own)));
    }
    Value::Array(rows)
}

/// One letter: a file, a link, a hard link, a device.
fn kind(fact: &Fact) -> &'static str {
    match fact.kind {
        Kind::File | Kind::Directory => "f",
        Kind::Symlink(_) => "l",
        Kind::HardLink(_) => "h",
        Kind::Special => "d",
    }
}

fn finding(finding: &Finding) -> Value {
    let paths: Vec<Value> = finding.paths.iter().map(|(path, what)| json!([path.to_string(), what])).collect();
    json!([finding.rule, finding.code, finding.verdict.to_string(), finding.summary, paths])
}

/// A file's number, then each fact as it reads and whether it is a weakness.
fn object_row(file: usize, object: &Object) -> Value {
    let facts = facts(&object.hardened);
    let cells: Vec<Value> = facts.iter().map(|fact| json!([fact.value, fact.is_weak])).collect();
    json!([file, cells])
}

/// What the facts of objects are called.
fn facts_of(survey: &Survey) -> Vec<&'static str> {
    let first = survey.objects.values().next();
    first.map_or_else(Vec::new, |object| facts(&object.hardened).iter().map(|fact| fact.name).collect())
}
