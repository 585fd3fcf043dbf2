//! How fast layers are packed, and how much memory that takes.
//!
//! ```text
//! cargo bench --bench pack                         a made-up tree, every codec, one thread and all
//! cargo bench --bench pack -- FOLDER               a folder of this machine instead
//! cargo bench --bench pack -- FOLDER zstd:3 2      once, with the peak of memory: for comparing with other programs
//! ```
//!
//! The blobs are written and flushed as for a layout, in the temporary folder of cargo.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program for people who look at its figures"
)]

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use mkimage::layer::{Durability, Layer, Options, Staging, pack, plan};
use mkimage::path::ImagePath;
use mkimage::recipe::{Compression, Layers};
use mkimage::source::{Content, Folder, NodeKind, Source};
use mkimage::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

/// How often each case runs; the middle one counts.
const ROUNDS: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let tree = words.first().map_or_else(made_up, |folder| of_folder(Path::new(folder)));
    let all = std::thread::available_parallelism().unwrap();
    if let (Some(compression), Some(threads)) = (words.get(1), words.get(2)) {
        let (time, layers) = once(&tree, parse(compression), threads.parse().unwrap());
        return println!("{}", line(compression, threads.parse().unwrap(), time, &layers) + &peak());
    }
    for compression in ["none", "zstd:1", "zstd:3", "zstd:9", "gzip:1", "gzip:3", "gzip:6"] {
        for threads in [NonZeroUsize::MIN, all] {
            let mut rounds: Vec<_> = (0..ROUNDS).map(|_| once(&tree, parse(compression), threads)).collect();
            rounds.sort_by_key(|(time, _)| *time);
            let (time, layers) = &rounds[ROUNDS / 2];
            println!("{}", line(compression, threads, *time, layers));
        }
    }
}

fn line(compression: &str, threads: NonZeroUsize, time: Duration, layers: &[Layer]) -> String {
    let sum = |size: fn(&Layer) -> u64| layers.iter().map(size).sum::<u64>();
    let (unpacked, packed) = (sum(|layer| layer.unpacked), sum(|layer| layer.size));
    let speed = unpacked as f64 / 1e6 / time.as_secs_f64();
    let share = packed as f64 * 100.0 / unpacked as f64;
    format!("{compression:8} {threads:3} threads {time:9.3?} {speed:7.0} MB/s {packed:12} bytes {share:5.1} %")
}

/// The most memory that this process ever had.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("").trim();
    format!("  peak {peak}")
}

fn once(tree: &Tree, compression: Compression, threads: NonZeroUsize) -> (Duration, Vec<Layer>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let staging = Staging::new(folder, "bench".as_ref(), Durability::Synced).unwrap();
    let begin = Instant::now();
    let plans = plan(tree, &Layers::Single, &|_| None).unwrap();
    let layers = pack(tree, &plans, compression, &Options::new(threads), &staging).unwrap();
    (begin.elapsed(), layers)
}

fn parse(text: &str) -> Compression {
    match text.split_once(':') {
        Some(("zstd", level)) => Compression::Zstd(level.parse().unwrap()),
        Some(("gzip", level)) => Compression::Gzip(level.parse().unwrap()),
        _ => Compression::None,
    }
}

/// The tree of a folder of this machine, as it stands.
fn of_folder(folder: &Path) -> Tree {
    let source = Folder::open(folder).unwrap();
    let mut tree = Tree::default();
    let mut rest = vec![ImagePath::root()];
    while let Some(folder) = rest.pop() {
        for (name, node) in source.list(&folder).unwrap() {
            let path = folder.join(&name);
            let kind = match node.kind {
                NodeKind::File(content) => EntryKind::File(content),
                NodeKind::Symlink(target) => EntryKind::Symlink(target),
                NodeKind::Directory => {
                    rest.push(path.clone());
                    EntryKind::Directory
                }
                NodeKind::Special(_) => continue,
            };
            tree.place(path, entry(kind, node.mode)).unwrap();
        }
    }
    tree
}

/// Two thousand files of text and noise, of 100 bytes to 8 MiB: 90 MB in all.
fn made_up() -> Tree {
    let mut tree = Tree::default();
    let mut state = 1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for number in 0..2000u32 {
        let size = match number % 400 {
            0 => 8 << 20,
            1..=20 => 400_000,
            _ => 100 + usize::from(next().to_le_bytes()[0]) * 140,
        };
        let mut bytes = Vec::with_capacity(size + 16);
        while bytes.len() < size {
            let word = next();
            match word % 3 {
                0 => bytes.extend(word.to_le_bytes()),
                _ => bytes.extend(format!("word{} ", word % 499).into_bytes()),
            }
        }
        let path = ImagePath::new(format!("/usr/share/{}/{number}", number % 37)).unwrap();
        tree.place(path, entry(EntryKind::File(Content::bytes(bytes)), 0o644)).unwrap();
    }
    tree
}

fn entry(kind: EntryKind, mode: u32) -> Entry {
    Entry::new(kind, mode, Rank::Recipe, Reason::new(Cause::Key("files"), None))
}
