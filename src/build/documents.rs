//! Documents about an image that was just built: from what the build knows, with the digest that only packing gives.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::write::Variant;
use super::{Assembled, BAD_VEX, Options};
use crate::attest::sign::{self, PrivateKey, Statement};
use crate::attest::{self, BuildFacts, Contents, Document, Referrer, Sources, Subject, View};
use crate::image::Image;
use crate::oci::{self, MediaType, Reference};
use crate::recipe::{Compression, Recipe};
use crate::report::{Diagnostic, Error, Result, Spanned, plain};

/// The most that an OpenVEX document may be long.
const LARGEST_VEX: u64 = 16 << 20;

/// What is in an image, as its build knows it: reads and hashes every file.
///
/// # Errors
/// When a file can't be read, or is no longer what it was when it was looked at.
pub fn contents(assembled: &Assembled) -> Result<Contents> {
    Contents::of(&Sources {
        tree: &assembled.tree,
        packages: assembled.inventory.packages().map(|(package, paths)| (package, paths.to_vec())).collect(),
        needs: attest::needs(&assembled.closure),
        headers: &assembled.headers,
    })
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

/// Where an image comes from. `others` are the documents that were made beside it.
///
/// # Errors
/// When the lock file that it was held against can't be read.
pub fn provenance(
    recipe: &Recipe,
    (subject, contents): (&Subject, &Contents),
    (image, compression): (&Image, Compression),
    options: &Options,
    others: &[Document],
) -> Result<Document> {
    let facts = BuildFacts {
        recipe: recipe.texts.clone(),
        lock: options.locks.digest(recipe, &subject.platform)?,
        tags: recipe.tags.iter().map(|tag| tag.value.clone()).collect(),
        created: options.created,
        compression: compression.to_string(),
        layers: image.layers.iter().map(|layer| layer.name.clone()).collect(),
    };
    Ok(attest::provenance(subject, contents, &facts, others))
}

/// Makes the documents that a recipe asks for. What is in the image is found out once for all its outputs.
pub(super) struct Documents<'a> {
    recipe: &'a Recipe,
    assembled: &'a Assembled,
    options: &'a Options,
    contents: [Option<Contents>; 2],
}

impl<'a> Documents<'a> {
    pub(super) fn new(recipe: &'a Recipe, assembled: &'a Assembled, options: &'a Options) -> Self {
        Self { recipe, assembled, options, contents: [None, None] }
    }

    /// What refers to one image: the documents, and with a key the signatures of image and documents.
    pub(super) fn of(
        &mut self,
        variant: Variant,
        image: &Image,
        names: &[Reference],
        compression: Compression,
    ) -> Result<Vec<Referrer>> {
        let (recipe, options) = (self.recipe, self.options);
        let signer = options.signer.as_deref();
        let mut documents: Vec<Document> = Vec::new();
        let mut stated = Vec::new();
        let subject = subject(recipe, image, names)?;
        let provenance_wanted = recipe.provenance && signer.is_some();
        if !recipe.sbom.is_empty() || provenance_wanted {
            let contents = self.contents(variant)?;
            for format in &recipe.sbom {
                documents.push(attest::sbom(*format, &subject, contents)?);
            }
            if provenance_wanted {
                let about = (&subject, contents);
                stated.push(provenance(recipe, about, (image, compression), options, &documents)?);
            }
        }
        for file in &recipe.vex {
            documents.push(vex(file)?);
        }
        let mut referrers: Vec<Referrer> =
            documents.iter().map(|document| Referrer::new(&subject, document, &[])).collect();
        if let Some(key) = signer {
            stated.splice(0..0, documents);
            referrers.append(&mut signatures(&subject, names, &stated, key)?);
        }
        Ok(referrers)
    }

    /// What a person should know of documents that are made for no one.
    pub(super) fn notes(&self, has_place: bool) -> Vec<String> {
        let recipe = self.recipe;
        let mut notes = Vec::new();
        if recipe.provenance && self.options.signer.is_none() {
            notes.push("provenance is attached when it is signed: `--sign-key KEY`".to_owned());
        }
        if !has_place && (!recipe.sbom.is_empty() || !recipe.vex.is_empty() || self.options.signer.is_some()) {
            notes.push("SBOMs and signatures are put beside layouts and archives, and this output is none".to_owned());
        }
        notes
    }

    fn contents(&mut self, variant: Variant) -> Result<&Contents> {
        let assembled = match (variant, &self.assembled.debug) {
            (Variant::Debug, Some(twin)) => twin,
            _ => self.assembled,
        };
        match &mut self.contents[variant as usize] {
            Some(known) => Ok(known),
            unknown => Ok(unknown.insert(contents(assembled)?)),
        }
    }
}

/// The signatures of an image in both forms, and of what is stated about it.
fn signatures(
    subject: &Subject,
    names: &[Reference],
    documents: &[Document],
    key: &PrivateKey,
) -> Result<Vec<Referrer>> {
    let reference = names.first().map_or_else(|| subject.name.clone(), ToString::to_string);
    let mut all = vec![sign::sign_payload(subject, &reference, key), sign::sign_bundle(subject, key)];
    for document in documents {
        all.push(sign::bundle(subject, &Statement::of(document).map_err(Error::internal)?, key));
    }
    Ok(all)
}

fn vex(file: &Spanned<std::path::PathBuf>) -> Result<Document> {
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
