//! The cache: it saves work, and never changes a byte, whatever happens to it.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mkimage::cache::{Cache, Keep, Stamp};
use mkimage::layer::{Durability, Effort, Layer, Options, Recheck, Staging, pack, parent_entry};
use mkimage::oci::{Digest, Hashes};
use mkimage::path::ImagePath;
use mkimage::recipe::Compression;
use mkimage::source::{Folder, NodeKind, Source};
use mkimage::tree::{EntryKind, Tree};

use crate::synthetic::{at, bytes, made, single};

/// Long after every file of a test was written.
const LATER: (i64, u32) = (1 << 40, 0);

/// A folder of files to pack, and a cache.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        for number in 0..60u64 {
            place.file(&format!("share/{number:02}"), &bytes(number, 9_000 + 700 * usize::try_from(number).unwrap()));
        }
        for number in 0..4 {
            place.file(&format!("lib/lib{number}.so.1"), &bytes(100 + number, 200_000));
        }
        place.file("lib/large", &bytes(200, 5_000_000));
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) {
        let path = self.at("root").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn tree(&self, root: &str) -> Tree {
        let source = Folder::open(self.at(root)).unwrap();
        let mut tree = Tree::default();
        for folder in ["/share", "/lib"] {
            for (name, node) in source.list(&at(folder)).unwrap() {
                if let NodeKind::File(content) = node.kind {
                    tree.place(at(folder).join(&name), made(EntryKind::File(content), 0o644)).unwrap();
                }
            }
        }
        tree
    }

    fn cache(&self) -> PathBuf {
        self.at("cache")
    }

    fn pack_with(
        &self,
        tree: &Tree,
        compression: Compression,
        cache: Option<&Path>,
        threads: usize,
    ) -> (Staging, Layer) {
        let staging = Staging::new(self.folder.path(), "test".as_ref(), Durability::Cached).unwrap();
        let cache = cache.map(|folder| Arc::new(Cache::open(folder, LATER).unwrap()));
        let options = Options { cache, ..Options::new(NonZeroUsize::new(threads).unwrap()) };
        let layer = pack(tree, &single(tree), compression, &options, &staging).unwrap().remove(0);
        let blob = fs::read(&layer.blob).unwrap();
        assert_eq!(
            (Digest::of(&blob), blob.len() as u64),
            (layer.digest, layer.size),
            "the blob is what it is said to be"
        );
        (staging, layer)
    }

    fn pack(&self, tree: &Tree) -> Layer {
        self.pack_with(tree, Compression::Zstd(3), Some(&self.cache()), 2).1
    }

    /// The files of the cache's folder below `part`.
    fn cached(&self, part: &str) -> Vec<PathBuf> {
        fn walk(folder: &Path, all: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().unwrap().is_dir() { walk(&entry.path(), all) } else { all.push(entry.path()) }
            }
        }
        let mut all = Vec::new();
        walk(&self.cache().join(part), &mut all);
        all.sort();
        all
    }
}

/// What a layer is, without what it took.
fn image(layer: &Layer) -> (Digest, u64, String, u64, u64) {
    (layer.digest, layer.size, layer.diff_id.to_string(), layer.unpacked, layer.files)
}

#[test]
fn the_same_layer_cold_warm_and_without() {
    for compression in [Compression::Zstd(3), Compression::Gzip(3), Compression::None] {
        let place = Place::new();
        let tree = place.tree("root");
        let (_staging, without) = place.pack_with(&tree, compression, None, 2);
        let (_staging, cold) = place.pack_with(&tree, compression, Some(&place.cache()), 2);
        let (_staging, warm) = place.pack_with(&tree, compression, Some(&place.cache()), 1);
        assert_eq!(image(&cold), image(&without), "{compression:?}");
        assert_eq!(image(&warm), image(&without), "{compression:?}");
        if compression == Compression::None {
            assert_eq!(place.cached("v1/blobs").len(), 0, "a layer as it is costs more to keep than to make");
        } else {
            assert_eq!(cold.effort.pieces_known, 0);
            assert_eq!(warm.effort, Effort { layers_known: 1, ..Effort::default() }, "{compression:?}");
        }
    }
}

#[test]
fn a_changed_file_has_its_own_piece_packed_and_no_other() {
    for compression in [Compression::Zstd(3), Compression::Gzip(3)] {
        let place = Place::new();
        let with = |cache: Option<PathBuf>| place.pack_with(&place.tree("root"), compression, cache.as_deref(), 2).1;
        with(Some(place.cache()));
        place.file("share/30", &bytes(7, 12_345));
        let (changed, without) = (with(Some(place.cache())), with(None));
        assert_eq!(image(&changed), image(&without));
        // Its own piece, and the end of the archive.
        assert_eq!(changed.effort.pieces_packed, 2, "{:?}", changed.effort);
        assert!(changed.effort.pieces_known > 6, "{:?}", changed.effort);
    }
}

#[test]
fn another_image_packs_no_shared_library_again() {
    let place = Place::new();
    place.pack(&place.tree("root"));
    let mut other = place.tree("root");
    let others: Vec<_> =
        other.iter().map(|(path, _)| path.clone()).filter(|path| path.is_within(&at("/share"))).collect();
    for path in others {
        other.remove(&path);
    }
    place.file("share/own", &bytes(9, 30_000));
    let own = place.tree("root").get(&at("/share/own")).unwrap().clone();
    other.place(at("/srv/own"), own).unwrap();
    let layer = place.pack(&other);
    assert_eq!(image(&layer), image(&place.pack_with(&other, Compression::Zstd(3), None, 2).1));
    // The end of the archive, and one piece for the folders and one for its own file at most.
    assert!(layer.effort.pieces_packed <= 3 && layer.effort.pieces_known >= 5, "{:?}", layer.effort);
}

#[test]
fn a_cache_restored_beside_a_new_checkout_compresses_nothing() {
    let place = Place::new();
    let first = place.pack(&place.tree("root"));
    // Copies have other inodes and times, of the cache as of the files.
    let copy = |from: &str, to: &str| {
        let done = std::process::Command::new("cp").arg("-r").arg(place.at(from)).arg(place.at(to)).status();
        assert!(done.unwrap().success());
    };
    copy("root", "checkout");
    copy("cache", "restored");
    let tree = place.tree("checkout");
    let (_staging, layer) = place.pack_with(&tree, Compression::Zstd(3), Some(&place.at("restored")), 2);
    assert_eq!(image(&layer), image(&first));
    assert_eq!((layer.effort.layers_known, layer.effort.compressed), (1, 0));
    assert!(layer.effort.read >= first.unpacked / 2);
    let (_staging, again) = place.pack_with(&tree, Compression::Zstd(3), Some(&place.at("restored")), 2);
    assert_eq!(again.effort, Effort { layers_known: 1, ..Effort::default() });
}

#[test]
fn files_are_held_against_what_was_packed_by_any_threads_or_not_at_all() {
    let place = Place::new();
    let first = place.pack(&place.tree("root"));
    let parent = parent_entry();
    let recheck = |threads: usize, stopped: bool| {
        let tree = place.tree("root");
        let layers: Vec<_> = single(&tree).into_iter().map(|plan| (plan, first.pieces.clone())).collect();
        let cache = Some(Arc::new(Cache::open(&place.at(&format!("cache-{threads}-{stopped}")), LATER).unwrap()));
        let options = Options { cache, ..Options::new(NonZeroUsize::MIN) };
        let again = || {
            let recheck = Recheck::new(&tree, &layers, &parent, Compression::Zstd(3), &options).unwrap();
            let stopped = AtomicBool::new(stopped);
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| recheck.work(&stopped));
                }
            });
            recheck.finish()
        };
        (again(), again())
    };
    let all = Some(first.unpacked - 1024);
    for threads in [1, 2, 5] {
        assert_eq!(recheck(threads, false), (all, Some(0)), "what was read once is known");
    }
    assert_eq!(recheck(2, true), (None, None), "nothing is known of what nobody read");
    assert_eq!(recheck(0, false), (None, None));
    place.file("share/17", &bytes(1, 9_000 + 700 * 17));
    assert_eq!(recheck(3, false), (None, None));
}

#[test]
fn a_restored_blob_is_checked_before_it_is_wanted() {
    let place = Place::new();
    let digest = place.pack(&place.tree("root")).digest;
    let blob = place.cached("v1/blobs").remove(0);
    let renew = |change: fn(&mut Vec<u8>)| {
        let mut content = fs::read(&blob).unwrap();
        change(&mut content);
        fs::remove_file(&blob).unwrap();
        fs::write(&blob, content).unwrap();
        fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    };
    let open = || Cache::open(&place.cache(), LATER).unwrap();
    renew(|_| {});
    open().ready_blob(&digest, false, 2);
    // What was readied is known by what `stat` says: what else would be found now is not looked for.
    let stamp = Stamp::of(&fs::metadata(&blob).unwrap());
    let known = || fs::read(place.cached("v1/values/blob").remove(0)).unwrap();
    assert!(known().windows(48).any(|bytes| bytes == stamp.bytes()));
    assert!(open().bring_blob(&digest, &place.at("brought"), false, 2).is_some());
    renew(|content| content[1000] ^= 1);
    open().ready_blob(&digest, false, 2);
    assert!(!blob.exists(), "it is not what it was");
}

#[test]
fn hashes_of_files_come_from_the_same_pass_and_are_remembered() {
    let place = Place::new();
    place.file("lib/empty", b"");
    let tree = place.tree("root");
    let with = |compression, cache: Option<PathBuf>, threads| {
        let staging = Staging::new(place.folder.path(), "test".as_ref(), Durability::Cached).unwrap();
        let cache = cache.map(|folder| Arc::new(Cache::open(&folder, LATER).unwrap()));
        let options = Options { cache, file_hashes: true, ..Options::new(NonZeroUsize::new(threads).unwrap()) };
        pack(&tree, &single(&tree), compression, &options, &staging).unwrap().remove(0)
    };
    let file = |path: &ImagePath| fs::read(place.at(&format!("root{path}"))).unwrap();
    let expected: Vec<(ImagePath, Hashes)> = tree
        .iter()
        .filter(|(_, entry)| entry.content().is_some())
        .map(|(path, _)| (path.clone(), Hashes::of(&file(path))))
        .collect();
    assert!(expected.len() > 60);
    for compression in [Compression::Zstd(3), Compression::Gzip(3), Compression::None] {
        for threads in [1, 3] {
            assert_eq!(with(compression, None, threads).hashes, expected, "{compression:?}, {threads} threads");
        }
        let cold = with(compression, Some(place.cache()), 2);
        assert_eq!(cold.hashes, expected);
        assert_eq!(with(compression, Some(place.cache()), 2).hashes, expected);
    }
    let stamp = Stamp::of(&fs::metadata(place.at("root/lib/large")).unwrap());
    let large = Hashes::of(&fs::read(place.at("root/lib/large")).unwrap());
    let known = Cache::open(&place.cache(), LATER).unwrap().file_hashes(&stamp);
    assert_eq!(known, Some(large));
    assert!(place.pack(&tree).hashes.is_empty(), "nobody asked");
}

#[test]
fn whatever_is_lost_is_made_again() {
    let place = Place::new();
    let tree = place.tree("root");
    let expected = image(&place.pack(&tree));
    let all = place.cached("v1");
    assert!(all.len() >= 4, "{all:?}");
    for (number, path) in all.iter().enumerate() {
        place.pack(&tree);
        fs::remove_file(path).unwrap();
        assert_eq!(image(&place.pack(&tree)), expected, "without {}", path.display());
        // And half of all.
        for path in place.cached("v1").iter().skip(number % 2).step_by(2) {
            fs::remove_file(path).unwrap();
        }
        assert_eq!(image(&place.pack(&tree)), expected);
    }
    fs::remove_dir_all(place.cache()).unwrap();
    assert_eq!(image(&place.pack(&tree)), expected);
}

#[test]
fn a_broken_cache_heals_and_changes_no_byte() {
    let place = Place::new();
    let tree = place.tree("root");
    let expected = image(&place.pack(&tree));
    for path in place.cached("v1") {
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / 11).max(1);
        for at in (0..whole.len()).step_by(step) {
            let mut broken = whole.clone();
            broken[at] ^= 0x10;
            // In place, as a program that opened it would: the blob may be an output's, too.
            fs::write(&path, &broken).unwrap();
            assert_eq!(image(&place.pack(&tree)), expected, "byte {at} of {}", path.display());
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(image(&place.pack(&tree)), expected, "half of {}", path.display());
        let healed = place.pack(&tree);
        assert_eq!(healed.effort.compressed, 0, "{:?}", healed.effort);
    }
}

#[test]
fn a_change_of_a_blob_whose_times_were_set_back_is_seen() {
    let place = Place::new();
    let tree = place.tree("root");
    let expected = image(&place.pack(&tree));
    let blob = place.cached("v1/blobs").remove(0);
    let before = fs::metadata(&blob).unwrap();
    let mut broken = fs::read(&blob).unwrap();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    fs::write(&blob, broken).unwrap();
    fs::File::open(&blob).unwrap().set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(image(&place.pack(&tree)), expected);
}

#[test]
fn a_blob_that_others_may_write_to_is_not_taken() {
    let place = Place::new();
    let tree = place.tree("root");
    let expected = image(&place.pack(&tree));
    let blob = place.cached("v1/blobs").remove(0);
    // As when an output that shares the file is opened to everybody.
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o666)).unwrap();
    let again = place.pack(&tree);
    assert_eq!(image(&again), expected);
    assert_eq!((again.effort.layers_known, again.effort.pieces_known), (0, 0));
    assert_eq!(place.pack(&tree).effort.layers_known, 1);
}

#[test]
fn what_changed_just_now_is_not_known_by_its_times() {
    let place = Place::new();
    let stamp = Stamp::of(&fs::metadata(place.at("root/share/01")).unwrap());
    let cache = Cache::open(&place.cache(), stamp.ctime).unwrap();
    assert!(!cache.is_settled(&stamp));
    cache.keep_file_digest(&stamp, Digest::from_bytes([1; 32]));
    assert_eq!(cache.file_digest(&stamp), None);
    let cache = Cache::open(&place.cache(), LATER).unwrap();
    cache.keep_file_digest(&stamp, Digest::from_bytes([1; 32]));
    drop(cache);
    assert_eq!(Cache::open(&place.cache(), LATER).unwrap().file_digest(&stamp), Some(Digest::from_bytes([1; 32])));
}

#[test]
fn values_are_had_as_they_were_put_and_no_others() {
    let place = Place::new();
    let cache = Cache::open(&place.cache(), LATER).unwrap();
    assert_eq!(cache.get("word", &[1; 32]), None);
    for value in [&b""[..], b"short", &bytes(1, 100_000)] {
        cache.put("word", &[1; 32], value);
        assert_eq!(cache.get("word", &[1; 32]).unwrap(), value);
    }
    assert_eq!(cache.get("other", &[1; 32]), None);
    // A value under another's name is not that other's.
    let path = place.cached("v1/values").remove(0);
    fs::rename(&path, path.with_file_name("02".repeat(32))).unwrap();
    assert_eq!(cache.get("word", &[2; 32]), None);
    assert!(place.cached("v1/values").is_empty(), "it is not asked again");
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    let place = Place::new();
    let folder = place.cache();
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(Cache::open(&folder, LATER).unwrap_err().to_string(), "others may write to it");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    Cache::open(&folder, LATER).unwrap();
    assert_eq!(fs::metadata(folder.join("v1/blobs")).unwrap().mode() & 0o777, 0o700);
    symlink("/nowhere/at/all", place.at("link")).unwrap();
    assert!(Cache::open(&place.at("link"), LATER).is_err());
    fs::write(place.at("file"), "").unwrap();
    assert!(Cache::open(&place.at("file"), LATER).is_err());
}

#[test]
fn verify_removes_what_is_broken_and_prune_what_is_old() {
    let place = Place::new();
    let tree = place.tree("root");
    place.pack(&tree);
    let cache = || Cache::open(&place.cache(), LATER).unwrap();
    assert_eq!(cache().verify().unwrap(), []);
    let usage = cache().usage().unwrap();
    assert_eq!(usage.blobs, 1);
    for part in ["v1/blobs", "v1/values", "v1/facts", "v1/places"] {
        let path = place.cached(part).first().cloned().unwrap_or_else(|| place.cache().join(part));
        let mut content = fs::read(&path).unwrap();
        content[20] ^= 1;
        fs::write(&path, content).unwrap();
        let damage: Vec<PathBuf> = cache().verify().unwrap().into_iter().map(|damage| damage.path).collect();
        assert_eq!(damage, [path]);
        assert_eq!(cache().verify().unwrap(), []);
        place.pack(&tree);
    }

    // Two layers; room for one, the one that was used last.
    place.pack_with(&tree, Compression::Gzip(3), Some(&place.cache()), 2);
    place.pack(&tree);
    let both = cache().usage().unwrap();
    assert_eq!(both.blobs, 2);
    assert_eq!(cache().prune(Keep::Bytes(u64::MAX)).unwrap().removed, 0);
    cache().prune(Keep::Bytes(both.blob_bytes / 2 + 100_000)).unwrap();
    assert_eq!(cache().usage().unwrap().blobs, 1);
    assert_eq!(place.pack(&tree).effort.layers_known, 1, "zstd was used last");

    // What a job of CI used.
    cache().prune(Keep::Used).unwrap();
    place.pack_with(&tree, Compression::Gzip(3), Some(&place.cache()), 2);
    cache().prune(Keep::Used).unwrap();
    assert_eq!(cache().usage().unwrap().blobs, 1);
    let (_staging, gzip) = place.pack_with(&tree, Compression::Gzip(3), Some(&place.cache()), 2);
    assert_eq!((gzip.effort.layers_known, gzip.effort.compressed), (1, 0));

    cache().prune(Keep::Nothing).unwrap();
    let left = cache().usage().unwrap();
    assert_eq!((left.blobs, left.values, left.value_bytes), (0, 0, 0));
}

#[test]
fn a_full_disk_or_a_cache_that_goes_away_is_a_slower_build() {
    let place = Place::new();
    let tree = place.tree("root");
    let expected = image(&place.pack(&tree));
    // What can't be written, as on a full disk: a folder in each file's place.
    fs::remove_dir_all(place.cache()).unwrap();
    drop(Cache::open(&place.cache(), LATER).unwrap());
    for part in ["blobs", "values", "tmp"] {
        fs::remove_dir(place.cache().join("v1").join(part)).unwrap();
        fs::write(place.cache().join("v1").join(part), "").unwrap();
    }
    for part in ["facts", "places"] {
        fs::create_dir(place.cache().join("v1").join(part)).unwrap();
    }
    let staging = Staging::new(place.folder.path(), "test".as_ref(), Durability::Cached).unwrap();
    let Ok(cache) = Cache::open(&place.cache(), LATER) else { return };
    let options = Options { cache: Some(Arc::new(cache)), ..Options::new(NonZeroUsize::MIN) };
    let layer = pack(&tree, &single(&tree), Compression::Zstd(3), &options, &staging).unwrap().remove(0);
    assert_eq!(image(&layer), expected);
}

#[test]
fn eight_at_once_agree() {
    let place = Place::new();
    let expected = image(&place.pack_with(&place.tree("root"), Compression::Zstd(3), None, 1).1);
    for round in 0..3 {
        let layers: Vec<Layer> = std::thread::scope(|scope| {
            let work = || place.pack(&place.tree("root"));
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(layers.iter().all(|layer| image(layer) == expected), "round {round}");
        if round == 1 {
            place.file("share/30", &bytes(30, 9_000 + 700 * 30));
        }
    }
    assert_eq!(Cache::open(&place.cache(), LATER).unwrap().verify().unwrap(), []);
}
