//! A closure as text for a person, and as JSON for a program.

mod json;
mod text;

pub use json::json_line;
pub use text::text;

use super::{Because, Bytes, Found, Kind, Loaded, Resolution};
use crate::closure::mapping::base_name;
use crate::path::show;

/// The name under which an object is listed: the first that it was asked for by; of a loader, its file name.
fn listed_name(object: &Loaded) -> Bytes {
    match object.names.first() {
        Some(name) if object.found != Found::Interpreter => Bytes::clone(name),
        _ => Bytes::from(base_name(&object.path)),
    }
}

/// The objects that are listed for a resolution: what is mapped at the start, without the file itself.
fn listed(resolution: &Resolution) -> impl Iterator<Item = &Loaded> {
    let objects = resolution.order.iter().filter_map(|&index| resolution.objects.get(index));
    objects.filter(|object| object.found != Found::Requested && object.path != resolution.path)
}

/// How an object was found, in words.
pub(super) fn found_in_words(resolution: &Resolution, found: &Found) -> String {
    let of = |object: &usize| {
        let path = resolution.objects.get(*object).map(|object| base_name(&object.path));
        show(path.unwrap_or_default())
    };
    match found {
        Found::Requested => "asked for".to_owned(),
        Found::Interpreter => "interpreter".to_owned(),
        Found::Path => "by its path".to_owned(),
        Found::Rpath(object) => format!("RPATH of {}", of(object)),
        Found::Runpath(object) => format!("RUNPATH of {}", of(object)),
        Found::LibraryPath => "LD_LIBRARY_PATH".to_owned(),
        Found::Cache => "ld.so.cache".to_owned(),
        Found::SystemDirectory => "system directory".to_owned(),
    }
}

/// Why an object was asked for, as a verb that its asker follows.
pub(super) fn because_in_words(because: Because) -> &'static str {
    match because {
        Because::Requested => "asked for by",
        Because::Needed => "needed by",
        Because::Filter => "filtee of",
        Because::Auxiliary => "auxiliary of",
        Because::Audit => "audits",
        Because::Preload => "preloaded by LD_PRELOAD for",
        Because::PreloadFile => "preloaded by ld.so.preload for",
        Because::Dlopen => "dlopened by",
        Because::DlopenNote => "noted for dlopen in",
    }
}

/// What a file is, in a word or two.
pub(super) fn kind_in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Absent => "not there",
        Kind::Data => "data",
        Kind::Static => "static",
        Kind::StaticPie => "static-pie",
        Kind::Dynamic => "dynamic",
        Kind::Library => "library",
        Kind::Script => "script",
        Kind::Foreign(super::Foreign::Machine) => "for another machine",
        Kind::Foreign(super::Foreign::Libc) => "for another libc",
    }
}
