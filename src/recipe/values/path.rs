//! Paths: where things come from and where they go.

use std::path::Path;

use super::{Invalid, Parsed, tick};
use crate::path::ImagePath;
use crate::recipe::{Destination, Origin};

/// What a text without any `/` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::recipe) enum BareWord {
    /// A name that is looked up.
    Name,
    /// A file beside the recipe.
    File,
}

/// Where something comes from; `folder` is that of the file that says so.
pub(in crate::recipe) fn origin(text: &str, folder: &Path, bare: BareWord) -> Parsed<Origin> {
    if text.is_empty() {
        return Err(Invalid::new("a path is empty", "nothing is named here"));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(format!("{} has a control character", tick(text)), "not in a path"));
    }
    if text == "~" || text.starts_with("~/") {
        return Err(Invalid::new(format!("{} begins with `~`", tick(text)), "a shell's word: write the folder"));
    }
    if text.contains("://") {
        let invalid = Invalid::new(format!("{} is a URL", tick(text)), "a path in the root or beside the recipe");
        return Err(invalid.help("nothing is fetched here: download it before the build"));
    }
    if text.starts_with('/') {
        let path = ImagePath::new(text)
            .map_err(|error| Invalid::new(format!("{} {error}", tick(text)), "a path in the root"))?;
        let mut bytes = path.as_bytes().to_vec();
        if text.ends_with('/') && !path.is_root() {
            bytes.push(b'/');
        }
        return Ok(Origin::Root(bytes));
    }
    if bare == BareWord::Name && !text.contains('/') && text != "." && text != ".." {
        return Ok(Origin::Name(text.to_owned()));
    }
    Ok(Origin::Beside { base: folder.to_owned(), text: text.as_bytes().to_vec() })
}

/// A path in the image.
pub(in crate::recipe) fn image_path(text: &str) -> Parsed<ImagePath> {
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(format!("{} has a control character", tick(text)), "not in a path"));
    }
    let path = ImagePath::new(text).map_err(|error| {
        let invalid = Invalid::new(format!("{} {error}", tick(text)), "an absolute path in the image");
        let relative = error == crate::path::BadPath::Relative && !text.is_empty() && !text.starts_with(['~', '.']);
        if relative { invalid.write(format!("/{text}")) } else { invalid }
    })?;
    // A layer's name for "this was deleted": an engine would delete in place of unpacking it.
    if path.components().any(|part| part.starts_with(b".wh.")) {
        return Err(Invalid::new(
            format!("{} has a name that begins with `.wh.`", tick(text)),
            "means a deletion in a layer",
        ));
    }
    Ok(path)
}

/// A path in the image to copy to; a folder when it ends in `/`.
pub(in crate::recipe) fn destination(text: &str) -> Parsed<Destination> {
    Ok(Destination { path: image_path(text)?, folder: text.ends_with('/') })
}

/// The text of a link.
pub(in crate::recipe) fn link_target(text: &str) -> Parsed<Vec<u8>> {
    if text.is_empty() || text.len() > 4095 || text.chars().any(char::is_control) {
        return Err(Invalid::new(
            format!("{} is not a link's target", tick(text)),
            "a path, absolute or from the link's folder",
        ));
    }
    Ok(text.as_bytes().to_vec())
}

/// A glob, checked.
pub(in crate::recipe) fn glob(text: &str) -> Parsed<String> {
    if text.is_empty() {
        return Err(Invalid::new("a glob is empty", "nothing is named here"));
    }
    match globset::Glob::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Invalid::new(format!("{} is not a glob", tick(text)), error.kind().to_string())),
    }
}

/// A glob of paths in the image, which begin with `/`.
pub(in crate::recipe) fn path_glob(text: &str) -> Parsed<String> {
    let glob = glob(text)?;
    if glob.starts_with(['/', '*']) {
        return Ok(glob);
    }
    Err(Invalid::new(format!("{} is not absolute", tick(text)), "paths in the image begin with `/`")
        .write(format!("/{text}")))
}
