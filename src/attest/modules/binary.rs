//! Programs and libraries: Go's build information, the crates of `cargo auditable`, and `.note.package`.

use std::io::Read;

use serde::Deserialize;

use super::{Ecosystem, Found};
use crate::elf::{BuildRecords, GoModule, Object};

/// The most that a list of crates may be long, unpacked.
const LONGEST_LIST: u64 = 16 << 20;

pub(super) fn of_object(object: &Object, records: &BuildRecords) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(go) = &records.go {
        let module = |module: &GoModule, holds: bool| Found {
            ecosystem: Some(Ecosystem::Go),
            name: module.path.clone(),
            version: Some(module.version.clone()).filter(|version| version != "(devel)"),
            supplier: supplier(&module.path),
            holds,
            ..Found::default()
        };
        let first = found.len();
        found.extend(go.main.iter().map(|main| module(main, true)));
        let others = found.len();
        found.extend(go.modules.iter().map(|other| module(other, go.main.is_none())));
        let version = go.version.split(' ').next().unwrap_or_default().trim_start_matches("go").to_owned();
        let (ecosystem, supplier) = (Some(Ecosystem::Go), Some("The Go Authors".to_owned()));
        let standard =
            Found { ecosystem, name: "stdlib".to_owned(), version: Some(version), supplier, ..Found::default() };
        found.push(standard);
        if go.main.is_some() {
            found[first].needs = (others..found.len()).collect();
        }
    }
    found.extend(records.crates.as_deref().map(of_crates).unwrap_or_default().into_iter().map(|mut one| {
        // Places count from the first of the crates.
        let first = records.go.as_ref().map_or(0, |go| go.modules.len() + usize::from(go.main.is_some()) + 1);
        one.needs.iter_mut().for_each(|need| *need += first);
        one
    }));
    found.extend(object.notes.package.as_deref().and_then(of_note));
    found
}

/// The first two parts of a module's path: the host and who publishes there.
fn supplier(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').take(2).collect();
    parts.first().filter(|host| host.contains('.')).map(|_| parts.join("/"))
}

/// <https://docs.rs/auditable-serde>: crates with the places of those that they depend on.
fn of_crates(packed: &[u8]) -> Vec<Found> {
    #[derive(Deserialize)]
    struct List {
        packages: Vec<Crate>,
    }
    #[derive(Deserialize)]
    struct Crate {
        name: String,
        version: String,
        #[serde(default)]
        source: String,
        kind: Option<String>,
        #[serde(default)]
        dependencies: Vec<usize>,
        #[serde(default)]
        root: bool,
    }
    let mut text = Vec::new();
    let read = flate2::read::ZlibDecoder::new(packed).take(LONGEST_LIST).read_to_end(&mut text);
    let Ok(List { packages }) = read.map_err(drop).and_then(|_| serde_json::from_slice(&text).map_err(drop)) else {
        return Vec::new();
    };
    // What only the build ran is no part of the program.
    let mut places = Vec::with_capacity(packages.len());
    let mut count = 0;
    for one in &packages {
        let is_part = one.kind.as_deref() != Some("build");
        places.push(is_part.then_some(count));
        count += usize::from(is_part);
    }
    let parts = packages.iter().zip(&places).filter(|(_, place)| place.is_some());
    let found = |(one, _): (&Crate, _)| Found {
        ecosystem: Some(Ecosystem::Cargo),
        name: one.name.clone(),
        version: Some(one.version.clone()),
        supplier: (one.source != "local" && !one.source.is_empty()).then(|| format!("{} on {}", one.name, one.source)),
        needs: one.dependencies.iter().filter_map(|at| places.get(*at).copied().flatten()).collect(),
        holds: one.root,
        ..Found::default()
    };
    parts.map(found).collect()
}

/// <https://systemd.io/PACKAGE_METADATA_FOR_EXECUTABLE_FILES>
fn of_note(text: &str) -> Option<Found> {
    #[derive(Deserialize)]
    struct Note {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        version: Option<String>,
        os: Option<String>,
    }
    let note: Note = serde_json::from_str(text).ok()?;
    let is_kind =
        !note.kind.is_empty() && note.kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    is_kind.then(|| Found {
        ecosystem: Some(Ecosystem::Note(note.kind.to_ascii_lowercase(), note.os.clone().unwrap_or_default())),
        name: note.name,
        version: note.version,
        supplier: note.os,
        holds: true,
        ..Found::default()
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn crates_that_only_the_build_ran_are_left_out() {
        let text = r#"{"packages":[{"name":"a","version":"1.0.0","source":"registry"},
            {"name":"cc","version":"1.1.0","source":"registry","kind":"build"},
            {"name":"app","version":"0.1.0","source":"local","dependencies":[0,1,9],"root":true}]}"#;
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let found = of_crates(&packed);
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.holds, one.needs.clone())).collect();
        assert_eq!(names, [("a", false, vec![]), ("app", true, vec![0])]);
        for at in 0..packed.len() {
            let mut bytes = packed.clone();
            bytes[at] ^= 0xff;
            let _ = (of_crates(&bytes), of_crates(&packed[..at]));
        }
    }

    #[test]
    fn notes_name_a_package() {
        let note =
            of_note(r#"{"type":"rpm","name":"bash","version":"5.2-1.fc40","architecture":"x86_64","os":"fedora"}"#);
        let note = note.unwrap();
        assert_eq!(note.ecosystem, Some(Ecosystem::Note("rpm".to_owned(), "fedora".to_owned())));
        assert_eq!((note.name.as_str(), note.version.as_deref()), ("bash", Some("5.2-1.fc40")));
        assert!(of_note("{}").is_none() && of_note(r#"{"type":"a/b","name":"x"}"#).is_none());
    }
}
