//! What came of a build, in a form that can be kept: documents, facts of layers, figures, everything that was said.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::key::Subject;
use super::replay::{Recalled, RecalledImage};
use super::{Assembled, Said};
use crate::attest;
use crate::build::documents::Beside;
use crate::build::{Figures, Variant};
use crate::cache::{hex, key_of_hex};
use crate::image::{Document, Image};
use crate::layer::Layer;
use crate::oci::{DiffId, Digest, MediaType};
use crate::policy::Detail;
use crate::recipe::Compression;
use crate::report::{Code, Diagnostic, Fix, Label, Level, Span};

/// The images of a build with what stands beside them: for each compression and variant.
pub(in crate::build) type Images<'a> = Vec<(Compression, Variant, &'a Image, &'a Beside)>;

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Outcome {
    notes: Vec<Remark>,
    brief: Vec<Remark>,
    full: Vec<Remark>,
    figures: (String, usize, u64, Vec<(String, u64)>),
    /// Folders of this machine that were copied, with the place that says so.
    folders: Vec<(PathBuf, Place)>,
    images: Vec<Kept>,
}

/// A span: the text's place in the recipe, start and end.
type Place = (usize, u32, u32);

/// A diagnostic.
#[derive(Clone, Serialize, Deserialize)]
struct Remark {
    level: u8,
    code: String,
    title: String,
    labels: Vec<(Place, String, bool)>,
    notes: Vec<String>,
    helps: Vec<String>,
    fixes: Vec<(String, Vec<(Place, String)>)>,
}

/// An image.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    compression: String,
    debug: bool,
    platform: String,
    config: String,
    manifest: String,
    layers: Vec<KeptLayer>,
    /// The documents that were made of it: media type, predicate type and digest.
    documents: Vec<(String, String, String)>,
    /// The digests of all that refers to it.
    referrers: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
struct KeptLayer {
    name: String,
    media_type: String,
    digest: String,
    diff_id: String,
    size: u64,
    unpacked: u64,
    files: u64,
    /// What caches know it by, in hexadecimal.
    #[serde(default)]
    content: Option<String>,
}

impl Outcome {
    /// `None` when something of it can't be kept.
    pub(super) fn of(subject: &Subject<'_>, assembled: &Assembled, images: &Images<'_>) -> Option<Self> {
        let remarks = |said: &[Diagnostic]| said.iter().map(|one| Remark::of(subject, one)).collect::<Option<Vec<_>>>();
        // What an image takes otherwise than its lock file says is told anew each time.
        if assembled.drift.as_ref().is_some_and(|drift| !drift.is_empty()) {
            return None;
        }
        let Figures { platform, files, size, largest } = assembled.figures();
        let folders =
            assembled.selection.folders.iter().map(|(path, span)| Some((path.clone(), subject.place(*span)?)));
        Some(Self {
            notes: remarks(&assembled.notes)?,
            brief: remarks(&assembled.verdicts.warnings(Detail::Brief))?,
            full: remarks(&assembled.verdicts.warnings(Detail::Full))?,
            figures: (platform.to_string(), files, size, largest),
            folders: folders.collect::<Option<_>>()?,
            images: images.iter().map(Kept::of).collect::<Option<_>>()?,
        })
    }

    /// The digests of its layers.
    pub(super) fn layers(&self) -> impl Iterator<Item = Digest> {
        self.images.iter().flat_map(|image| &image.layers).filter_map(|layer| layer.digest.parse().ok())
    }

    /// What it was, with places in the texts of now.
    pub(super) fn recall(self, subject: &Subject<'_>) -> Option<Recalled> {
        let remarks = |said: Vec<Remark>| said.into_iter().map(|one| one.recall(subject)).collect::<Option<Vec<_>>>();
        let said = Said { notes: remarks(self.notes)?, brief: remarks(self.brief)?, full: remarks(self.full)? };
        let (platform, files, size, largest) = self.figures;
        let figures = Figures { platform: platform.parse().ok()?, files, size, largest };
        let folders = self.folders.into_iter().map(|(path, place)| Some((path, subject.span(place)?)));
        let folders = folders.collect::<Option<_>>()?;
        let images = self.images.into_iter().map(Kept::recall).collect::<Option<_>>()?;
        Some(Recalled { said, figures, folders, images })
    }
}

impl Remark {
    fn of(subject: &Subject<'_>, said: &Diagnostic) -> Option<Self> {
        let label = |label: &Label| Some((subject.place(label.span)?, label.text.clone(), label.primary));
        let edit = |(span, text): &(Span, String)| Some((subject.place(*span)?, text.clone()));
        let fix = |fix: &Fix| Some((fix.message.clone(), fix.edits.iter().map(edit).collect::<Option<_>>()?));
        Some(Self {
            level: said.level as u8,
            code: said.code.0.to_owned(),
            title: said.title.clone(),
            labels: said.labels.iter().map(label).collect::<Option<_>>()?,
            notes: said.notes.clone(),
            helps: said.helps.clone(),
            fixes: said.fixes.iter().map(fix).collect::<Option<_>>()?,
        })
    }

    fn recall(self, subject: &Subject<'_>) -> Option<Diagnostic> {
        let level = [Level::Error, Level::Warning, Level::Note].into_iter().find(|level| *level as u8 == self.level)?;
        let mut said = Diagnostic { level, ..Diagnostic::error(code(self.code), self.title) };
        for (place, text, primary) in self.labels {
            said.labels.push(Label { span: subject.span(place)?, text, primary });
        }
        for (message, edits) in self.fixes {
            let edits = edits.into_iter().map(|(place, text)| Some((subject.span(place)?, text)));
            said.fixes.push(Fix { message, edits: edits.collect::<Option<_>>()? });
        }
        Some(Diagnostic { notes: self.notes, helps: self.helps, ..said })
    }
}

fn described(document: &attest::Document) -> (String, String, String) {
    (document.media_type.clone(), document.predicate_type.clone(), document.digest().to_string())
}

/// Codes live as long as the program: each is made once.
fn code(text: String) -> Code {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(code) = known.get(text.as_str()) {
        return Code(code);
    }
    let code: &'static str = text.leak();
    known.insert(code);
    Code(code)
}

impl Kept {
    fn of((compression, variant, image, beside): &(Compression, Variant, &Image, &Beside)) -> Option<Self> {
        let text = |document: &Document| String::from_utf8(document.bytes.clone()).ok();
        let layer = |layer: &Layer| KeptLayer {
            name: layer.name.clone(),
            media_type: layer.media_type.to_string(),
            digest: layer.digest.to_string(),
            diff_id: layer.diff_id.to_string(),
            size: layer.size,
            unpacked: layer.unpacked,
            files: layer.files,
            content: layer.content.as_ref().map(hex),
        };
        Some(Self {
            compression: format!("{compression:?}"),
            debug: *variant == Variant::Debug,
            platform: image.platform.to_string(),
            config: text(&image.config)?,
            manifest: text(&image.manifest)?,
            layers: image.layers.iter().map(layer).collect(),
            documents: beside.documents.iter().map(described).collect(),
            referrers: beside.referrers.iter().map(|one| one.digest().to_string()).collect(),
        })
    }

    fn recall(self) -> Option<RecalledImage> {
        let document = |text: String| Document { digest: Digest::of(text.as_bytes()), bytes: text.into_bytes() };
        let layer = |layer: KeptLayer| {
            Some(Layer {
                name: layer.name,
                media_type: MediaType::from(layer.media_type.as_str()),
                digest: layer.digest.parse().ok()?,
                size: layer.size,
                diff_id: layer.diff_id.parse::<DiffId>().ok()?,
                unpacked: layer.unpacked,
                files: layer.files,
                blob: PathBuf::new(),
                elsewhere: None,
                content: layer.content.as_deref().and_then(key_of_hex),
                pieces: Vec::new(),
                lineage: None,
                effort: crate::layer::Effort::default(),
                hashes: Vec::default(),
            })
        };
        let image = Image {
            platform: self.platform.parse().ok()?,
            config: document(self.config),
            manifest: document(self.manifest),
            layers: self.layers.into_iter().map(layer).collect::<Option<_>>()?,
        };
        let document =
            |(media_type, predicate_type, digest): (String, String, String)| -> Option<(String, String, Digest)> {
                Some((media_type, predicate_type, digest.parse().ok()?))
            };
        Some(RecalledImage {
            compression: self.compression,
            variant: if self.debug { Variant::Debug } else { Variant::Plain },
            image,
            documents: self.documents.into_iter().map(document).collect::<Option<_>>()?,
            referrers: self.referrers.iter().map(|digest| digest.parse().ok()).collect::<Option<_>>()?,
        })
    }
}
