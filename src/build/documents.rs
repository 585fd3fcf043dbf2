//! Documents about an image that was just built: from what the build knows, with the digest that only packing gives.

use std::io::Read;
use std::path::Path;

use rayon::prelude::*;
use serde_json::Value;

use super::write::Variant;
use super::{Assembled, BAD_VEX, Options};
use crate::attest::sign::{self, PrivateKey};
use crate::attest::{
    self, BuildFacts, Contents, Document, Outline, PROVENANCE, Referrer, Sources, Subject, View, WaivedFact,
};
use crate::image::{Image, Images};
use crate::layer::Layer;
use crate::oci::{self, MediaType, Reference};
use crate::policy::{Verdicts, Waived};
use crate::recipe::{Compression, Recipe, SbomFormat};
use crate::report::{Diagnostic, Error, Result, Spanned, plain};

/// The most that an OpenVEX document may be long.
const LARGEST_VEX: u64 = 16 << 20;

/// What is in an image, as its build knows it. Files are read and hashed, but for those that were when `layers` were
/// packed.
///
/// # Errors
/// When a file can't be read, or is no longer what it was when it was looked at.
pub fn contents(assembled: &Assembled, layers: &[Layer]) -> Result<Contents> {
    hashed(outline(assembled)?, layers)
}

fn outline(assembled: &Assembled) -> Result<Outline> {
    Outline::of(&Sources {
        tree: &assembled.tree,
        packages: assembled.inventory.packages().map(|(package, paths)| (package, paths.to_vec())).collect(),
        needs: attest::needs(&assembled.closure),
        headers: &assembled.headers,
    })
}

fn hashed(outline: Outline, layers: &[Layer]) -> Result<Contents> {
    // Of a path in two layers, the upper one has the file.
    let known = layers.iter().rev().flat_map(|layer| &layer.hashes);
    outline.hashed(known.map(|(path, hashes)| (path, *hashes)).collect())
}

/// The image that documents are about.
///
/// # Errors
/// When its configuration can't be read, which is a bug.
pub fn subject(recipe: &Recipe, image: &Image, names: &[Reference]) -> Result<Subject> {
    let config: Value = oci::read(&image.config.bytes).map_err(Error::internal)?;
    let vendor = config["config"]["Labels"][oci_spec::image::ANNOTATION_VENDOR].as_str().map(str::to_owned);
    let name = names.first();
    Ok(Subject {
        name: name.map_or_else(|| recipe.name.value.clone(), |name| name.name().to_owned()),
        version: name.map_or("latest", Reference::tag).to_owned(),
        digest: image.manifest.digest,
        size: image.manifest.bytes.len() as u64,
        media_type: MediaType::ImageManifest.to_string(),
        platform: image.platform.clone(),
        created: config["created"].as_str().unwrap_or_default().to_owned(),
        vendor,
        view: View::Build,
    })
}

/// Where an image comes from, and what of it the policy let pass. `others` are the documents that were made beside it.
///
/// # Errors
/// When the lock file that it was held against can't be read.
pub fn provenance(
    recipe: &Recipe,
    (subject, contents): (&Subject, &Contents),
    (image, compression, verdicts): (&Image, Compression, &Verdicts),
    options: &Options,
    others: &[Document],
) -> Result<Document> {
    let waived = |waived: &Waived| WaivedFact {
        rule: waived.rule.name.to_owned(),
        path: waived.hit.as_ref().map(|hit| hit.path.to_string()),
        summary: waived.summary.clone(),
        reason: waived.waiver.reason.clone(),
        until: waived.waiver.until.as_ref().map(|until| until.value.to_string()),
    };
    let facts = BuildFacts {
        recipe: recipe.texts.clone(),
        lock: options.locks.digest(recipe, &subject.platform)?,
        tags: recipe.tags.iter().map(|tag| tag.value.clone()).collect(),
        created: options.created,
        compression: compression.to_string(),
        layers: image.layers.iter().map(|layer| layer.name.clone()).collect(),
        waived: verdicts.waived.iter().map(waived).collect(),
    };
    Ok(attest::provenance(subject, contents, &facts, others))
}

/// Makes the documents that a recipe asks for. What is in the image is found out once for all its outputs.
pub(super) struct Documents<'a> {
    recipe: &'a Recipe,
    assembled: &'a Assembled,
    options: &'a Options,
    /// By variant.
    outlines: [Option<Outline>; 2],
    contents: [Option<Contents>; 2],
}

impl<'a> Documents<'a> {
    pub(super) fn new(recipe: &'a Recipe, assembled: &'a Assembled, options: &'a Options) -> Self {
        Self { recipe, assembled, options, outlines: [None, None], contents: [None, None] }
    }

    /// Finds out what can be known before an image is packed, while it is.
    ///
    /// # Errors
    /// When a file can't be read.
    pub(super) fn outline(&mut self, variants: impl Iterator<Item = Variant>) -> Result<()> {
        for variant in variants {
            self.outlines[variant as usize] = Some(outline(self.assembled_of(variant))?);
        }
        Ok(())
    }

    /// What stands beside one image: the documents, and with a key the signatures of image and documents.
    pub(super) fn of(
        &mut self,
        variant: Variant,
        image: &Image,
        names: &[Reference],
        compression: Compression,
    ) -> Result<Beside> {
        let (recipe, options) = (self.recipe, self.options);
        let subject = subject(recipe, image, names)?;
        let mut sboms: Vec<Document> = Vec::new();
        if !recipe.sbom.is_empty() {
            let contents = self.contents(variant, image)?;
            let sbom = |format: &SbomFormat| attest::sbom(*format, &subject, contents);
            sboms = recipe.sbom.par_iter().map(sbom).collect::<Result<_>>()?;
        }
        let assembled = self.assembled_of(variant);
        let signed = recipe.provenance && options.signer.is_some();
        let contents = if signed { Some(self.contents(variant, image)?) } else { None };
        let provenance = || {
            let state = |contents| {
                let (about, how) = ((&subject, contents), (image, compression, &assembled.verdicts));
                provenance(recipe, about, how, options, &sboms)
            };
            contents.map(state).transpose()
        };
        beside(recipe, (&subject, names), &sboms, provenance, options.signer.as_deref())
    }

    /// Whether what is in an image has to be found out.
    pub(super) fn list_files(recipe: &Recipe, options: &Options) -> bool {
        !recipe.sbom.is_empty() || recipe.provenance && options.signer.is_some()
    }

    fn assembled_of(&self, variant: Variant) -> &'a Assembled {
        match (variant, &self.assembled.debug) {
            (Variant::Debug, Some(twin)) => twin,
            _ => self.assembled,
        }
    }

    fn contents(&mut self, variant: Variant, image: &Image) -> Result<&Contents> {
        let assembled = self.assembled_of(variant);
        let outlined = self.outlines[variant as usize].take();
        match &mut self.contents[variant as usize] {
            Some(known) => Ok(known),
            unknown => {
                let outline = outlined.map_or_else(|| outline(assembled), Ok)?;
                Ok(unknown.insert(hashed(outline, &image.layers)?))
            }
        }
    }
}

/// What stands beside an image.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    /// What follows from the image and its recipe: SBOMs, and provenance where it is signed.
    pub(super) documents: Vec<Document>,
    /// What refers to it: these documents and those that came with the recipe, and signatures.
    pub(super) referrers: Vec<Referrer>,
}

/// What stands beside an image that was made before, with the documents that were made then.
pub(super) fn again(
    recipe: &Recipe,
    image: &Image,
    names: &[Reference],
    documents: Vec<Document>,
    key: Option<&PrivateKey>,
) -> Result<Beside> {
    let (provenance, sboms): (Vec<Document>, Vec<Document>) =
        documents.into_iter().partition(|document| document.predicate_type == PROVENANCE);
    let subject = subject(recipe, image, names)?;
    beside(recipe, (&subject, names), &sboms, || Ok(provenance.into_iter().next()), key)
}

fn beside(
    recipe: &Recipe,
    (subject, names): (&Subject, &[Reference]),
    sboms: &[Document],
    provenance: impl FnOnce() -> Result<Option<Document>> + Send,
    key: Option<&PrivateKey>,
) -> Result<Beside> {
    let mut documents = sboms.to_vec();
    let mut attached = sboms.to_vec();
    for file in &recipe.vex {
        attached.push(vex(file)?);
    }
    let mut referrers: Vec<Referrer> = attached.iter().map(|one| Referrer::new(subject, one, &[])).collect();
    let Some(key) = key else { return Ok(Beside { documents, referrers }) };
    // Documents are megabytes, and signing is hashing and encoding them.
    let (signatures, stated) = rayon::join(
        || signatures_of(subject, names, &attached, key),
        || -> Result<_> {
            let sign = |document: Document| (sign::bundle(subject, &document, key), document);
            Ok(provenance()?.map(sign))
        },
    );
    referrers.extend(signatures);
    if let Some((bundle, document)) = stated? {
        referrers.push(bundle);
        documents.push(document);
    }
    Ok(Beside { documents, referrers })
}

/// What a person should know of documents that are made for no one.
pub(super) fn notes(recipe: &Recipe, options: &Options, has_place: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if recipe.provenance && options.signer.is_none() {
        notes.push("provenance is attached when it is signed: `--sign-key KEY`".to_owned());
    }
    if !has_place && (!recipe.sbom.is_empty() || !recipe.vex.is_empty() || options.signer.is_some()) {
        notes.push("SBOMs and signatures are put beside layouts and archives, and this output is none".to_owned());
    }
    notes
}

/// The signatures of an index; none of an image alone.
pub(super) fn index_signatures(images: &Images, names: &[Reference], key: &PrivateKey) -> Result<Vec<Referrer>> {
    let Some(index) = images.index() else { return Ok(Vec::new()) };
    let first = images.first();
    let config: Value = oci::read(&first.config.bytes).map_err(Error::internal)?;
    let name = names.first();
    let subject = Subject {
        name: name.map_or_else(|| "image".to_owned(), |name| name.name().to_owned()),
        version: name.map_or("latest", Reference::tag).to_owned(),
        digest: index.digest,
        size: index.bytes.len() as u64,
        media_type: images.descriptor().media_type().to_string(),
        platform: first.platform.clone(),
        created: config["created"].as_str().unwrap_or_default().to_owned(),
        vendor: None,
        view: View::Build,
    };
    Ok(signatures_of(&subject, names, &[], key))
}

/// The signatures of an image in both forms, and of what is stated about it.
fn signatures_of(subject: &Subject, names: &[Reference], documents: &[Document], key: &PrivateKey) -> Vec<Referrer> {
    let reference = names.first().map_or_else(|| subject.name.clone(), ToString::to_string);
    let (mut all, bundles) = rayon::join(
        || vec![sign::sign_payload(subject, &reference, key), sign::sign_bundle(subject, key)],
        || documents.par_iter().map(|document| sign::bundle(subject, document, key)).collect::<Vec<_>>(),
    );
    all.extend(bundles);
    all
}

/// A document that came with the recipe.
pub(super) fn vex(file: &Spanned<std::path::PathBuf>) -> Result<Document> {
    let path: &Path = file;
    let error = |why: &str| {
        Error::from(Diagnostic::error(BAD_VEX, format!("`{}` {why}", path.display())).at(file.span, "attached here"))
    };
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST_VEX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes: Vec<u8> = read().map_err(|found: std::io::Error| error(&format!("can't be read: {}", plain(&found))))?;
    if bytes.len() as u64 > LARGEST_VEX {
        return Err(error("is larger than 16 MiB"));
    }
    attest::vex(bytes).map_err(error)
}
