//! What a person is told after a build: layers, files, sizes, what is largest.

use std::fmt::Write as _;

use mkimage::build::{Assembled, Built, Figures, Said};
use mkimage::image::{Image, Images};
use mkimage::layer::{Effort, Layer};
use mkimage::policy::Detail;
use mkimage::recipe::Recipe;
use mkimage::report::Texts;
pub(super) use mkimage::report::megabytes;
use mkimage::source::Reread;
use mkimage::tree::{EntryKind, Tree};

use super::console::Console;

/// After a build: of each platform what it holds, in the order of the images.
pub(super) fn say(console: &Console, built: &Built, figures: &[Figures], places: &[String]) {
    for note in &built.notes {
        console.say(&format!("note: {note}"));
    }
    let names: Vec<String> = built.names.iter().map(ToString::to_string).collect();
    let mut text = String::new();
    let mut images = built.images.iter().flat_map(Images::iter);
    for figures in figures {
        let _ = writeln!(text, "{} ({})", names.join(", "), figures.platform);
        if let Some(image) = images.next() {
            layers(&mut text, image, figures);
        }
        let largest = figures.largest.iter().map(|(path, size)| format!("{path} {}", megabytes(*size)));
        let _ = writeln!(text, "  largest: {}", largest.collect::<Vec<_>>().join(", "));
    }
    let to = if places.is_empty() { "the engine".to_owned() } else { places.join(", ") };
    let _ = match figures.len() {
        1 => write!(text, "  written to {to}"),
        count => write!(text, "{} (index of {count} platforms)\n  written to {to}", names.join(", ")),
    };
    console.say(&text);
    if let Some(images) = built.images.as_ref().filter(|_| console.verbose > 1) {
        console.say(&effort(&images.layers().collect::<Vec<_>>()));
    }
}

/// What packing took.
fn effort(layers: &[&Layer]) -> String {
    let mut all = Effort::default();
    for layer in layers {
        all += layer.effort;
    }
    let remote = if all.layers_remote == 0 {
        String::new()
    } else {
        format!(
            " {} from a registry ({} taken over there, {} fetched),",
            all.layers_remote,
            megabytes(all.taken_over),
            megabytes(all.fetched)
        )
    };
    let pieces = if all.pieces_remote == 0 {
        String::new()
    } else {
        format!(" {} from a registry ({} fetched),", all.pieces_remote, megabytes(all.pieces_fetched))
    };
    format!(
        "packing: {} of {} layers from the cache,{remote} {} pieces from the cache,{pieces} {} compressed; \
         {} read, {} hashed, {} compressed, {} written",
        all.layers_known,
        layers.len(),
        all.pieces_known,
        all.pieces_packed,
        megabytes(all.read),
        megabytes(all.hashed),
        megabytes(all.compressed),
        megabytes(all.written)
    )
}

fn layers(text: &mut String, image: &Image, figures: &Figures) {
    for layer in &image.layers {
        let (size, unpacked) = (megabytes(layer.size), megabytes(layer.unpacked));
        let _ = writeln!(text, "  {:<18} {:>6} files {unpacked:>10} {size:>10} packed", layer.name, layer.files);
    }
    let packed: u64 = image.layers.iter().map(|layer| layer.size).sum();
    let _ = writeln!(
        text,
        "  {:<18} {:>6} files {:>10} {:>10} packed",
        "total",
        figures.files,
        megabytes(figures.size),
        megabytes(packed)
    );
}

/// After a check.
pub(super) fn checked(console: &Console, recipe: &Recipe, assembled: &Assembled, texts: &Texts) {
    let tree = &assembled.tree;
    let (count, size) = (files(tree), megabytes(size(tree)));
    console.say(&format!("{}: {count} files, {size} for {}", recipe.name.value, assembled.platform));
    for suggestion in &assembled.suggestions {
        console.say(&format!("  {} ({}): {}", suggestion.extra, suggestion.trigger, suggestion.note));
    }
    if console.verbose > 0 {
        for (path, entry) in tree.iter() {
            let kind = match &entry.kind {
                EntryKind::File(content) => format!("{:>10}", content.size()),
                EntryKind::HardLink(target) => format!("same as {target}"),
                EntryKind::Directory => format!("{:>10}", "folder"),
                EntryKind::Symlink(target) => format!("-> {}", mkimage::path::show(target)),
            };
            let place = entry.span().map_or_else(String::new, |span| texts.place(span));
            console.say(&format!("{:04o} {}:{} {kind} {path} {place}", entry.mode, entry.uid, entry.gid));
        }
    }
}

/// What finding the libraries took, for those who ask for figures.
pub(super) fn read(console: &Console, assembled: &Assembled) {
    let headers = &assembled.headers;
    figures(console, headers.files_read(), headers.bytes_read());
}

/// How much was read of ELF files.
pub(super) fn figures(console: &Console, files: usize, bytes: u64) {
    if console.verbose > 1 {
        console.say(&format!("closure: {files} files looked into, {} read", megabytes(bytes)));
    }
}

/// What was said when an image was built that is not built again.
pub(super) fn recalled(console: &Console, said: &Said, texts: &Texts) {
    console.show(&said.notes, texts);
    console.show(if console.detail() == Detail::Full { &said.full } else { &said.brief }, texts);
}

/// How much was read of files that are others than before, to find that they are the same.
pub(super) fn reread(console: &Console, looked_into: Reread, packed: u64) {
    if console.verbose > 1 {
        let Reread { files, bytes } = looked_into;
        let (bytes, packed) = (megabytes(bytes), megabytes(packed));
        console.say(&format!("inputs: {files} files read again, {bytes}; {packed} of layers"));
    }
}

/// How many entries are no folders.
pub(super) fn files(tree: &Tree) -> usize {
    tree.iter().filter(|(_, entry)| !entry.is_directory()).count()
}

/// Bytes of all files.
pub(super) fn size(tree: &Tree) -> u64 {
    tree.iter().filter_map(|(_, entry)| entry.content()).map(mkimage::source::Content::size).sum()
}
