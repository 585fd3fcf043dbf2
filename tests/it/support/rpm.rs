//! Headers of rpm's packages, as its database keeps them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should fail")]

/// A header of texts, lists of texts and numbers.
pub(crate) fn header(tags: &[(u32, &[&str])], numbers: &[(u32, &[u32])]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    let mut entry = |tag: u32, kind: u32, count: usize, at: usize| {
        let words = [tag, kind, u32::try_from(at).unwrap(), u32::try_from(count).unwrap()];
        index.extend(words.map(u32::to_be_bytes).concat());
    };
    for (tag, texts) in tags {
        entry(*tag, if texts.len() == 1 && *tag < 1100 && *tag != 1035 { 6 } else { 8 }, texts.len(), data.len());
        texts.iter().for_each(|text| data.extend([text.as_bytes(), b"\0"].concat()));
    }
    for (tag, values) in numbers {
        data.resize(data.len().next_multiple_of(4), 0);
        entry(*tag, 4, values.len(), data.len());
        values.iter().for_each(|value| data.extend(value.to_be_bytes()));
    }
    let sizes = [tags.len() + numbers.len(), data.len()].map(|size| u32::try_from(size).unwrap().to_be_bytes());
    [sizes.concat(), index, data].concat()
}

/// The header of a package of this name and version, epoch 1 and release `1.fc40`, with files: folder, name, digest.
/// What is in `/etc/` is configuration.
pub(crate) fn package(name: &str, version: &str, files: &[(&str, &str, &str)]) -> Vec<u8> {
    let folders: Vec<&str> = files.iter().map(|(folder, _, _)| *folder).collect();
    let names: Vec<&str> = files.iter().map(|(_, name, _)| *name).collect();
    let digests: Vec<&str> = files.iter().map(|(_, _, digest)| *digest).collect();
    let source = format!("{name}-src-{version}-1.fc40.src.rpm");
    let places: Vec<u32> = (0..u32::try_from(files.len()).unwrap()).collect();
    let flags: Vec<u32> = folders.iter().map(|folder| u32::from(*folder == "/etc/")).collect();
    header(
        &[
            (1000, &[name]),
            (1001, &[version]),
            (1002, &["1.fc40"]),
            (1011, &["Example Project"]),
            (1014, &["MIT AND Zlib"]),
            (1022, &["x86_64"]),
            (1044, &[&source]),
            (1118, &folders),
            (1117, &names),
            (1035, &digests),
        ],
        &[(1003, &[1]), (1116, &places), (1037, &flags), (5011, &[8])],
    )
}
