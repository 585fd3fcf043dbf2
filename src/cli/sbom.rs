//! `mkimage sbom`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mkimage::attest::{self, Contents, Document, Subject};
use mkimage::build::{self, FileHashes, Options, Outputs, Session};
use mkimage::image::Image;
use mkimage::layer::Durability;
use mkimage::oci::{Store, StoredImage};
use mkimage::output::{self, Destination};
use mkimage::policy::{self, Verdicts};
use mkimage::recipe::{self, Platform, Recipe, SbomFormat};
use mkimage::registry::Remote;
use mkimage::report::{Diagnostic, Error, Result, Texts};

use super::console::Console;
use super::recipes::{RecipeArgs, USAGE, platform, usage};
use super::registries::RegistryArgs;
use super::run::not_here;
use super::{check, environment, images, interrupt};

/// Say what is in an image: packages, modules and files, as a bill of materials (SBOM).
///
/// Of a recipe: as the build knows it, what `sbom = [...]` in the recipe puts beside the image. Of an image that was
/// built: by the records in it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A recipe, or an image that was built: a layout or archive, PATH or oci:DIR:TAG for one of several images, or
    /// `docker://NAME`.
    #[arg(value_name = "RECIPE|IMAGE", default_value = "mkimage.toml")]
    image: String,
    /// The form.
    #[arg(long, value_enum, default_value_t = Form::Spdx, value_name = "FORM")]
    format: Form,
    /// The image for this platform. Default: this machine's, or the only one.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    registries: RegistryArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// SPDX 2.3 as JSON.
    Spdx,
    #[value(help = "CycloneDX 1.6 as JSON")]
    Cyclonedx,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match document(args, console, &mut texts) {
        Ok(bytes) => write(&bytes, args.output.as_deref(), console),
        Err(error) => console.fail(&error, &texts),
    }
}

fn document(args: &Args, console: &Console, texts: &mut Texts) -> Result<Vec<u8>> {
    let format = match args.format {
        Form::Spdx => SbomFormat::Spdx,
        Form::Cyclonedx => SbomFormat::CycloneDx,
    };
    let (subject, contents) = described(args, console, texts)?;
    Ok(attest::sbom(format, &subject, &contents)?.bytes().to_vec())
}

/// What an argument names, and what it holds.
fn described(args: &Args, console: &Console, texts: &mut Texts) -> Result<(Subject, Contents)> {
    let folder = temporary()?;
    let (store, tag) = if Remote::is_meant(&args.image) {
        (images::open_for(args.image.as_ref(), args.platform.as_ref(), &args.registries, console)?, None)
    } else if let Some((path, tag)) = image(&args.image)? {
        (output::open(&path)?, tag)
    } else {
        let recipes = RecipeArgs::for_platform(args.image.as_ref(), args.platform.as_ref()).asking(&args.registries);
        let recipe = only_recipe(&recipes, &args.image, texts)?;
        let built = built(&recipe, folder.path(), console)?;
        return Ok((built.subject, built.contents));
    };
    let found = images_for_here(&store, args.platform.as_ref())?;
    let stored = build::stored(&store, build::choose(store.name().as_ref(), &found, tag.as_deref())?, folder.path())?;
    Ok((stored.subject, stored.contents))
}

/// The images of a store that may be meant: of an index that was not asked for by platform, the one that runs here.
///
/// # Errors
/// When there is none for the platform.
pub(super) fn images_for_here(store: &Store, platform: Option<&Platform>) -> Result<Vec<StoredImage>> {
    let mut found = output::images_for(store, platform)?;
    let own = Platform::host().architecture;
    let of_one_index = found
        .first()
        .is_some_and(|first| first.index.is_some() && found.iter().all(|image| image.index == first.index));
    if platform.is_none() && of_one_index && found.iter().any(|image| image.config["architecture"] == own) {
        found.retain(|image| image.config["architecture"] == own);
    }
    Ok(found)
}

fn temporary() -> Result<tempfile::TempDir> {
    let parent = environment::temporary();
    let folder = tempfile::Builder::new().prefix(".mkimage.look.").tempdir_in(&parent);
    let folder = folder.map_err(|error| Error::io("write into", &parent, &error))?;
    interrupt::remember(folder.path());
    Ok(folder)
}

/// The path and tag of an image that was built; `None` for a recipe.
pub(super) fn image(argument: &str) -> Result<Option<(PathBuf, Option<String>)>> {
    let path = Path::new(argument);
    if path.is_dir() && path.join("index.json").is_file() {
        return Ok(Some((path.to_owned(), None)));
    }
    if path.is_dir() || path.extension().is_some_and(|ending| ending == "toml") {
        return Ok(None);
    }
    if path.is_file() {
        return Ok(Some((path.to_owned(), None)));
    }
    match Destination::parse(argument)? {
        Destination::Layout { path, tag } | Destination::Archive { path, tag } if path.exists() => {
            Ok(Some((path, tag)))
        }
        _ => Err(usage(format!("`{argument}` is no recipe and no layout or archive of an image"))),
    }
}

/// The one recipe that an argument names.
fn only_recipe(recipes: &RecipeArgs, argument: &str, texts: &mut Texts) -> Result<Recipe> {
    let loaded = recipes.load(texts)?;
    let recipes: Vec<Recipe> = loaded.into_iter().flat_map(|loaded| loaded.recipes).collect();
    if recipe::by_index(&recipes).count() != 1 {
        return Err(Diagnostic::error(USAGE, format!("`{argument}` is not one recipe"))
            .help("name the recipe of one image")
            .into());
    }
    // Each platform's image has documents of its own.
    match recipes.as_slice() {
        [only] => Ok(only.clone()),
        several => recipe::for_this_machine(several).cloned().ok_or_else(|| not_here(several)),
    }
}

/// Where a recipe's image comes from.
pub(super) fn provenance(
    argument: &str,
    registries: &RegistryArgs,
    console: &Console,
    texts: &mut Texts,
) -> Result<Vec<u8>> {
    let folder = temporary()?;
    let recipe = only_recipe(&RecipeArgs::of(argument.as_ref()).asking(registries), argument, texts)?;
    let built = built(&recipe, folder.path(), console)?;
    let others: Vec<Document> =
        recipe.sbom.iter().map(|form| attest::sbom(*form, &built.subject, &built.contents)).collect::<Result<_>>()?;
    let compression = built.destination.compression(recipe.compression.as_ref().map(|asked| asked.value));
    let about = (&built.subject, &built.contents);
    Ok(build::provenance(&recipe, about, (&built.image, compression, &built.verdicts), &built.options, &others)?
        .bytes()
        .to_vec())
}

/// A recipe's image, written to nowhere.
struct Looked {
    subject: Subject,
    contents: Contents,
    image: Image,
    destination: Destination,
    options: Options,
    verdicts: Verdicts,
}

/// A recipe's image is built as its layout would be, since documents name its digest. No policy stops a look.
fn built(judged: &Recipe, folder: &Path, console: &Console) -> Result<Looked> {
    let recipe = Recipe {
        policy: policy::allow_all(judged),
        sbom: Vec::new(),
        vex: Vec::new(),
        provenance: false,
        ..judged.clone()
    };
    let created = environment::source_date_epoch()
        .map_err(|text| usage(format!("SOURCE_DATE_EPOCH is `{text}`, not a number of seconds since 1970")))?;
    let options = check::options();
    let options = Options {
        suggestions: false,
        file_hashes: FileHashes::All,
        durability: Durability::Cached,
        created,
        ..options
    };
    let progress = console.building(&recipe.name.value);
    // What the policy lets pass stands in the provenance.
    let assembled = Session::new(1).examine(judged, &options, &progress)?;
    let destination = Destination::Layout { path: folder.join("image"), tag: None };
    let mut nowhere = std::io::sink();
    let outputs = Outputs { destinations: vec![destination.clone()], engine: None, push: None, stdout: &mut nowhere };
    let built = build::write(&recipe, &assembled, outputs, &options, &progress)?;
    let Some((names, image)) = built.into_iter().find_map(|built| Some((built.names, built.images?.first().clone())))
    else {
        return Err(Error::internal("an image was not written"));
    };
    let subject = build::subject(&recipe, &image, &names)?;
    let contents = build::contents(&assembled, &image.layers)?;
    Ok(Looked { subject, contents, image, destination, options, verdicts: assembled.verdicts })
}

/// Writes a document: a file appears whole, or not at all.
pub(super) fn write(bytes: &[u8], output: Option<&Path>, console: &Console) -> ExitCode {
    let Some(path) = output else {
        let mut stdout = std::io::stdout().lock();
        return match stdout.write_all(bytes).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => console.fail(&Error::io("write", Path::new("standard output"), &error), &Texts::default()),
        };
    };
    match mkimage::output::write_file(path, bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => console.fail(&error, &Texts::default()),
    }
}
