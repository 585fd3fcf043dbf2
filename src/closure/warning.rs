//! Warnings in words.

use super::{Resolution, Warning};
use crate::path::show;

impl Resolution {
    /// A warning of this resolution as a sentence.
    pub fn in_words(&self, warning: &Warning) -> String {
        let path = |object: &usize| self.objects.get(*object).map(|object| show(&object.path)).unwrap_or_default();
        match warning {
            Warning::NoVersions { of, required_by } => {
                format!("`{}` has no symbol versions, and `{}` asks for some", path(of), path(required_by))
            }
            Warning::RelativePath { object, path: element } => {
                let element =
                    if element.is_empty() { "an empty element".into() } else { format!("`{}`", show(element)) };
                format!("`{}` searches the working directory: {element} in its path", path(object))
            }
            Warning::PlatformToken { object } => {
                format!("`{}` searches a directory that differs from processor to processor", path(object))
            }
            Warning::SecureOrigin { object, path: element } => {
                let element = show(element);
                format!("`{}` has `{element}` in its path, which a setuid or privileged program drops", path(object))
            }
            Warning::NeedsLevel { object, level } => format!("`{}` needs a processor of level {level}", path(object)),
            Warning::LoaderMismatch { libc } => format!("`{}` is of another version than the loader", path(libc)),
            Warning::NotExecutable => "has no permission to be executed".to_owned(),
            Warning::NoInterpreterLine => "has no `#!` line; only shells start it, by /bin/sh".to_owned(),
            Warning::TruncatedLine => "has a `#!` line of which the kernel reads 255 bytes only".to_owned(),
            Warning::CarriageReturn => "has a carriage return in its `#!` line, which counts as part of it".to_owned(),
        }
    }
}
