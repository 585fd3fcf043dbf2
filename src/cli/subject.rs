//! What a command is to look at: a recipe, or an image that was written, by the words of the command line.

use std::path::{Path, PathBuf};

use mkimage::build::{Options, Session};
use mkimage::oci::{Encoding, has_tag, is_tag};
use mkimage::output::Destination;
use mkimage::recipe::{Compression, Platform, Recipe};
use mkimage::report::{Result, Texts};
use mkimage::survey::Survey;

use super::check::options;
use super::console::Console;
use super::recipes::{RecipeArgs, usage};
use super::registries::RegistryArgs;
use super::{environment, images};

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A recipe, or a folder with one.
    Recipe(PathBuf),
    /// A layout, an archive or a name in a registry, and the tag of the image in it that is meant.
    Written(PathBuf, Option<String>),
}

impl Subject {
    /// From a word: `recipe.toml`, a folder, a file, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE`,
    /// `docker://NAME`.
    pub(super) fn parse(text: &str) -> Self {
        for kind in ["oci:", "oci-archive:", "docker-archive:"] {
            if let Some(rest) = text.strip_prefix(kind) {
                return match rest.rsplit_once(':') {
                    Some((path, tag)) if !path.is_empty() && is_tag(tag) => {
                        Self::Written(path.into(), Some(tag.to_owned()))
                    }
                    _ => Self::Written(rest.into(), None),
                };
            }
        }
        let path = PathBuf::from(text);
        let is_recipe = text == "-" || is_toml(&path) || (path.join("mkimage.toml").is_file() && !is_layout(&path));
        if is_recipe { Self::Recipe(path) } else { Self::Written(path, None) }
    }

    /// The compression of its layers where it is an image that was written: for a recipe that is compared with it.
    pub(super) fn compression(surveys: &[Survey]) -> Option<Compression> {
        match surveys.first()?.layers.first()?.encoding {
            Encoding::None => Some(Compression::None),
            Encoding::Gzip => Some(Destination::DockerArchive(PathBuf::new()).compression(None)),
            Encoding::Zstd => None,
        }
    }

    /// Looks at it: all of its images, those of one platform where that is asked for.
    ///
    /// # Errors
    /// When it can't be built or read, or has no such image.
    pub(super) fn look(
        &self,
        platform: Option<&Platform>,
        compression: Option<Compression>,
        registries: &RegistryArgs,
        console: &Console,
        texts: &mut Texts,
    ) -> Result<Vec<Survey>> {
        match self {
            Self::Recipe(path) => {
                let loaded = RecipeArgs::for_platform(path, platform).asking(registries).load(texts)?;
                let options = looking()?;
                let recipes: Vec<&Recipe> = loaded.iter().flat_map(|loaded| &loaded.recipes).collect();
                let session = Session::new(recipes.len());
                let look = |recipe: &Recipe| {
                    let progress = console.building(&recipe.name.value);
                    Survey::of_recipe(recipe, compression, texts, &options, &session, &progress)
                };
                recipes.into_iter().map(look).collect()
            }
            Self::Written(path, tag) => {
                let mut surveys = Survey::of_written(&images::open_for(path, platform, registries, console)?)?;
                surveys.retain(|survey| tag.as_ref().is_none_or(|tag| has_tag(&survey.name, tag)));
                surveys.retain(|survey| platform.is_none_or(|platform| survey.platform == platform.to_string()));
                if surveys.is_empty() {
                    let which = [tag.clone(), platform.map(ToString::to_string)];
                    let which = which.into_iter().flatten().collect::<Vec<_>>().join(" for ");
                    let what = if which.is_empty() { "no image".to_owned() } else { format!("no image `{which}`") };
                    return Err(usage(format!("`{}` holds {what}", path.display())));
                }
                Ok(surveys)
            }
        }
    }
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml")
}

fn is_layout(path: &Path) -> bool {
    path.join("index.json").is_file()
}

/// What a build for a look needs to know.
fn looking() -> Result<Options> {
    let created = environment::source_date_epoch()
        .map_err(|text| usage(format!("SOURCE_DATE_EPOCH is `{text}`, not a number of seconds since 1970")))?;
    Ok(Options { created, suggestions: false, ..options() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let written = |path: &str, tag: Option<&str>| Subject::Written(path.into(), tag.map(str::to_owned));
        let cases = [
            ("a.toml", Subject::Recipe("a.toml".into())),
            ("-", Subject::Recipe("-".into())),
            ("a.tar", written("a.tar", None)),
            ("a.oci", written("a.oci", None)),
            ("oci:a.oci:1.2", written("a.oci", Some("1.2"))),
            ("oci:a.oci", written("a.oci", None)),
            ("docker://h.example/a:1", written("docker://h.example/a:1", None)),
            ("docker-archive:a.tar", written("a.tar", None)),
            ("oci-archive:a:b/c", written("a:b/c", None)),
        ];
        for (text, expected) in cases {
            assert_eq!(Subject::parse(text), expected, "{text}");
        }
    }
}
