//! Layers that a registry keeps for all who build: what is asked of it, sent to it and believed of it.

use std::time::Duration;

use mkimage::oci::Digest;
use serde_json::Value;

use crate::registry_server::{Fault, LOST, Seen, Server};
use crate::sandbox::{Run, Sandbox};
use crate::support::root::Root;

/// A root, a recipe, and a registry in which `cache` keeps layers.
struct Shop {
    root: Root,
    sandbox: Sandbox,
    server: Server,
}

impl Shop {
    fn new() -> Self {
        let noise: Vec<String> = (0..40_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string()).collect();
        let noise = noise.concat();
        let root = Root::glibc(&format!(
            r"
            /usr/lib/x86_64-linux-gnu/liba.so.1 library libc.so.6
            /usr/bin/app program liba.so.1 libc.so.6
            /usr/share/data/one file {noise}
            /etc/os-release file ID=debian\nVERSION_ID=12\n"
        ));
        let sandbox = Sandbox::new();
        sandbox.file(
            "app.toml",
            "name = \"company/app\"\ntags = [\"1\"]\nbinaries = [\"/usr/bin/app\"]\nfiles = [\"/usr/share/data/\"]\n",
        );
        Self { root, sandbox, server: Server::new() }
    }

    /// Builds with a cache folder; the registry's cache is asked and added to as `how` says: `from`, `to`.
    fn build(&self, folder: &str, how: &str, args: &[&str]) -> Run {
        let root = self.root.host("/");
        let cache = self.server.name("cache");
        let mut all =
            vec!["build", "app.toml", "-vv", "--no-fsync", "--root", root.to_str().unwrap(), "--cache-dir", folder];
        for way in how.split_whitespace() {
            all.extend([if way == "from" { "--cache-from" } else { "--cache-to" }, &cache]);
        }
        let run = self.sandbox.run(&[&all, args].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        run
    }

    fn push(&self, folder: &str, how: &str, repository: &str) -> Run {
        let to = self.server.name(&format!("{repository}:1"));
        self.build(folder, how, &["-o", &to])
    }

    /// Fills the registry's cache, and forgets what was asked for it.
    fn filled() -> (Self, String) {
        let shop = Self::new();
        let digest = shop.push("first", "to", "team/first").stdout;
        assert!(shop.entries().len() > 1, "several layers");
        shop.server.state().seen.clear();
        (shop, digest)
    }

    /// The entries: tag and manifest.
    fn entries(&self) -> Vec<(String, Value)> {
        let state = self.server.state();
        let is_entry = |name: &str| !name.contains(':') && !name.contains("-last-");
        let of_cache = state.manifests.iter().filter(|((repository, name), _)| repository == "cache" && is_entry(name));
        of_cache.map(|((_, name), (_, bytes))| (name.clone(), serde_json::from_slice(bytes).unwrap())).collect()
    }

    /// Digests of the layers that the cache has.
    fn layers(&self) -> Vec<String> {
        self.entries().iter().map(|(_, entry)| entry["layers"][0]["digest"].as_str().unwrap().to_owned()).collect()
    }

    /// Uploads of layers.
    fn sent(&self) -> Vec<Seen> {
        let layers = self.layers();
        let is_layer = |seen: &Seen| layers.iter().any(|digest| seen.query.replace("%3A", ":").contains(digest));
        self.server.seen("PUT", "/blobs/uploads/").into_iter().filter(is_layer).collect()
    }

    /// Fetches of layers.
    fn fetched(&self) -> usize {
        let layers = self.layers();
        self.server
            .seen("GET", "/blobs/")
            .iter()
            .filter(|seen| layers.iter().any(|digest| seen.path.ends_with(digest)))
            .count()
    }

    /// Changes every entry.
    fn tamper(&self, change: impl Fn(&mut Value)) {
        for (tag, mut entry) in self.entries() {
            change(&mut entry);
            let (kind, bytes) = (entry["mediaType"].as_str().unwrap().to_owned(), entry.to_string().into_bytes());
            let digest = Digest::of(&bytes).to_string();
            let mut state = self.server.state();
            state.manifests.insert(("cache".to_owned(), digest), (kind.clone(), bytes.clone()));
            state.manifests.insert(("cache".to_owned(), tag), (kind, bytes));
        }
    }
}

#[test]
fn a_layer_is_taken_over_without_a_byte() {
    let (shop, digest) = Shop::filled();
    let count = shop.entries().len();
    let run = shop.push("second", "from to", "team/second");
    assert_eq!(run.stdout, digest);
    assert_eq!((shop.sent().len(), shop.fetched()), (0, 0), "layers were sent or fetched");
    assert!(
        run.stderr.contains(&format!(" {count} from a registry (")) && run.stderr.contains(" 0 compressed"),
        "{}",
        run.stderr
    );
    assert_eq!(shop.server.seen("PUT", "/v2/cache/").len(), 0, "an entry was written twice");
    let verified = shop.sandbox.run(&["verify", &shop.server.name("team/second:1")]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);

    shop.server.state().seen.clear();

    // Once more with what this machine knows now: nothing is read.
    std::thread::sleep(Duration::from_millis(120));
    for _ in 0..2 {
        let again = shop.push("second", "from to", "team/third");
        assert_eq!(again.stdout, digest);
    }
    let again = shop.push("second", "from", "team/fourth");
    assert_eq!(again.stdout, digest);
    assert!(again.stderr.contains("; 0 B read, 0 B hashed"), "{}", again.stderr);
    assert_eq!((shop.sent().len(), shop.fetched()), (0, 0));
}

#[test]
fn a_layer_is_fetched_where_its_bytes_are_wanted() {
    let (shop, digest) = Shop::filled();
    let count = shop.entries().len();
    let run = shop.build("second", "from", &["-o", "oci:app.oci"]);
    assert_eq!(run.stdout, digest);
    assert_eq!((shop.sent().len(), shop.fetched()), (0, count));
    assert!(run.stderr.contains("(0 B taken over there, ") && run.stderr.contains(" 0 compressed"), "{}", run.stderr);
    assert_eq!(shop.sandbox.run(&["verify", "app.oci"]).code, 0);
    // It is kept here like one that was packed, with its pieces.
    let warm = shop.build("second", "", &["-o", "oci:warm.oci"]);
    assert_eq!(warm.stdout, digest);
    assert!(warm.stderr.contains(" 0 compressed; ") && warm.stderr.contains(" 0 B written"), "{}", warm.stderr);
    assert!(shop.sandbox.run(&["cache", "verify", "--cache-dir", "second"]).stdout.contains("are sound"));

    // To several places at once, of which one wants the bytes.
    let to = shop.server.name("team/both:1");
    let both = shop.build("third", "from", &["-o", &to, "-o", "oci:both.oci"]);
    assert_eq!((both.stdout, shop.fetched()), (digest, 2 * count));
    assert_eq!(shop.sent().len(), 0, "it was fetched from where the repository can take it over");
    assert_eq!(shop.sandbox.run(&["verify", "both.oci"]).code, 0);
}

#[test]
fn gzip_is_fetched_and_compared_too() {
    let shop = Shop::new();
    let first = shop.build("first", "to", &["-o", "one.tar"]);
    let second = shop.build("second", "from", &["-o", "two.tar"]);
    assert_eq!(second.stdout, first.stdout);
    assert!(second.stderr.contains(" 0 compressed"), "{}", second.stderr);
    let read = |name: &str| std::fs::read(shop.sandbox.at(name)).unwrap();
    assert!(read("one.tar") == read("two.tar"));
    // Another compression is another layer.
    let third = shop.build("third", "from", &["-o", "oci:three.oci"]);
    assert!(!third.stderr.contains("from a registry"), "{}", third.stderr);
}

#[test]
fn a_change_is_packed_and_added() {
    let (shop, digest) = Shop::filled();
    let count = shop.entries().len();
    std::fs::write(shop.root.host("/usr/share/data/one"), "changed").unwrap();
    let changed = shop.push("second", "from to", "team/app");
    assert_ne!(changed.stdout, digest);
    assert!(changed.stderr.contains(&format!(" {} from a registry (", count - 1)), "{}", changed.stderr);
    assert!(changed.stderr.contains("cache: 1 layer added to registries, "), "{}", changed.stderr);
    assert_eq!(shop.sent().len(), 1, "to the image; the cache took it over");
    assert_eq!(shop.entries().len(), count + 1);
    // What is known only here is added, too.
    shop.push("third", "", "team/app");
    shop.server.state().manifests.retain(|(repository, _), _| repository != "cache");
    let added = shop.push("third", "to", "team/app");
    assert_eq!((added.stdout, shop.entries().len()), (changed.stdout, count));
}

#[test]
fn a_cache_that_is_broken_is_told_of_once() {
    let (shop, digest) = Shop::filled();
    let warned = |run: &Run| run.stderr.matches("warning[E0501]").count();
    let closed = ["--cache-from", "127.0.0.1:1/cache", "--cache-to", "127.0.0.1:1/cache"];
    let run = shop.build("second", "", &[&["-o", "oci:one.oci"], &closed[..]].concat());
    assert_eq!((run.stdout.as_str(), warned(&run)), (digest.as_str(), 2), "{}", run.stderr);
    assert!(run.stderr.contains("the layer cache `127.0.0.1:1/cache` is of no use here"), "{}", run.stderr);

    shop.server.plan("GET", "/v2/cache/manifests/", 9, Fault::Answer(403, Vec::new()));
    let run = shop.build("third", "from", &["-o", "oci:two.oci"]);
    assert_eq!((run.stdout.as_str(), warned(&run)), (digest.as_str(), 1), "{}", run.stderr);

    let shop = Shop::filled().0;
    shop.server.plan("GET", "/v2/cache/blobs/", 99, Fault::Flip);
    let run = shop.build("fourth", "from", &["-o", "oci:three.oci"]);
    assert_eq!((run.stdout.as_str(), warned(&run)), (digest.as_str(), 1), "{}", run.stderr);
}

#[test]
fn what_is_gone_is_packed_and_added_again() {
    let (shop, digest) = Shop::filled();
    let count = shop.entries().len();
    shop.server.state().blobs.clear();
    let run = shop.push("second", "from to", "team/second");
    assert_eq!(run.stdout, digest);
    assert!(!run.stderr.contains("E0501"), "cleaning up is no fault: {}", run.stderr);
    assert!(run.stderr.contains(&format!("cache: {count} layers added")), "{}", run.stderr);
    let third = shop.push("third", "from", "team/third");
    assert!(third.stderr.contains(&format!(" {count} from a registry (")), "{}", third.stderr);
}

#[test]
fn an_entry_of_other_files_is_refused() {
    let (shop, digest) = Shop::filled();
    // All entries give one layer, whose bytes are sound: whoever may write to the cache can do that.
    let (_, one) = shop.entries().remove(0);
    shop.tamper(|entry| entry["layers"] = one["layers"].clone());
    let run = shop.build("second", "from to", &["-o", "oci:app.oci"]);
    assert_eq!(run.stdout, digest);
    assert!(run.stderr.contains("is not of these files") && run.stderr.contains("E0501"), "{}", run.stderr);
    assert!(run.stderr.contains(" 1 from a registry ("), "the one that is right: {}", run.stderr);
    // The build that found it out put the right ones in their places.
    let third = shop.build("third", "from", &["-o", "oci:third.oci"]);
    assert!(!third.stderr.contains("E0501") && third.stderr.contains(" 0 compressed"), "{}", third.stderr);

    // A lie about the tar stream is found out without fetching.
    shop.tamper(|entry| entry["annotations"]["vnd.mkimage.layer.diff-id"] = Digest::of(b"").to_string().into());
    shop.server.state().seen.clear();
    let run = shop.push("fourth", "from to", "team/fourth");
    assert_eq!((run.stdout, shop.fetched()), (digest.clone(), 0));
    assert!(run.stderr.contains("is not of these files"), "{}", run.stderr);

    // One that says that it is larger than anything that the files could give.
    shop.tamper(|entry| entry["layers"][0]["size"] = (1_u64 << 40).into());
    shop.server.state().seen.clear();
    let run = shop.build("large", "from", &["-o", "oci:large.oci"]);
    assert_eq!((run.stdout, shop.server.seen("GET", "/blobs/").len()), (digest.clone(), 0));
    assert!(run.stderr.contains("is not of these files"), "{}", run.stderr);

    // An entry under another's key.
    shop.tamper(|entry| entry["annotations"]["vnd.mkimage.layer.key"] = "0".repeat(64).into());
    let run = shop.push("fifth", "from", "team/fifth");
    assert_eq!(run.stdout, digest);
    assert!(run.stderr.contains("is no entry for that layer"), "{}", run.stderr);
}

#[test]
fn a_layer_that_was_taken_over_is_held_against_the_files_by_whoever_unpacks_it() {
    let (shop, digest) = Shop::filled();
    let (_, one) = shop.entries().remove(0);
    shop.tamper(|entry| entry["layers"] = one["layers"].clone());
    // The build does not see the bytes, so that the image has another digest; its `diff_id`s are those of the files.
    let run = shop.push("second", "from", "team/second");
    assert_ne!(run.stdout, digest);
    let verified = shop.sandbox.run(&["verify", &shop.server.name("team/second:1")]);
    assert_eq!(verified.code, 4, "{}", verified.stderr);

    // Who trusts nobody fetches, and still sends only what was wrong.
    let to = shop.server.name("team/third:1");
    let run = shop.build("third", "from", &["-o", &to, "--cache-verify"]);
    assert_eq!(run.stdout, digest);
    assert!(
        run.stderr.contains("is not of these files") && run.stderr.contains(" 1 from a registry ("),
        "{}",
        run.stderr
    );
    assert_eq!(shop.sandbox.run(&["verify", &to]).code, 0);
    // What this machine knows now is no reason to believe it.
    let run = shop.build("second", "from", &["-o", &shop.server.name("team/fourth:1"), "--cache-verify"]);
    assert_eq!(run.stdout, digest);
}

#[test]
fn what_was_taken_over_goes_into_the_cache_of_another_registry() {
    let (shop, digest) = Shop::filled();
    let other = Server::new();
    let to = shop.server.name("team/second:1");
    let run = shop.build("second", "from", &["-o", &to, "--cache-to", &other.name("copies")]);
    assert_eq!(run.stdout, digest);
    let count = shop.entries().len();
    assert!(run.stderr.contains(&format!("cache: {count} layers added to registries")), "{}", run.stderr);
    assert_eq!(shop.fetched(), count, "only for that");
    let run = shop.build("third", "", &["-o", "oci:third.oci", "--cache-from", &other.name("copies")]);
    assert_eq!(run.stdout, digest);
    assert!(run.stderr.contains(" 0 compressed"), "{}", run.stderr);
}

#[test]
fn a_registry_that_takes_over_nothing_is_sent_what_was_fetched() {
    let (shop, digest) = Shop::filled();
    let count = shop.entries().len();
    shop.server.plan("POST", "mount=", 99, Fault::Answer(403, Vec::new()));
    let run = shop.push("second", "from", "team/second");
    assert_eq!((run.stdout, shop.fetched(), shop.sent().len()), (digest.clone(), count, count));
    assert!(run.stderr.contains(" 0 compressed"), "{}", run.stderr);

    // It takes them over, and has lost them when the manifest comes.
    let (shop, _) = Shop::filled();
    shop.server.plan("PUT", "/v2/team/third/manifests/", 1, Fault::Body(400, LOST.to_vec()));
    let run = shop.push("third", "from", "team/third");
    assert_eq!((run.stdout, shop.sent().len()), (digest, 0));
    assert_eq!(shop.sandbox.run(&["verify", &shop.server.name("team/third:1")]).code, 0);
}

#[test]
fn names_of_caches() {
    let (shop, digest) = Shop::filled();
    // A tag keeps entries apart, and is the beginning of theirs.
    let main = shop.server.name("cache:main");
    let run = shop.build("second", "", &["-o", "oci:one.oci", "--cache-from", &main, "--cache-to", &main]);
    assert_eq!(run.stdout, digest);
    assert!(!run.stderr.contains("from a registry"), "{}", run.stderr);
    let tags = |begin: &str| shop.entries().iter().filter(|(tag, _)| tag.starts_with(begin)).count();
    assert_eq!(tags("main-"), tags("mkimage-"));
    // The first that knows it is taken.
    let none = shop.server.name("none");
    let run = shop.build("third", "", &["-o", "oci:two.oci", "--cache-from", &none, "--cache-from", &main]);
    assert!(run.stderr.contains(" 0 compressed"), "{}", run.stderr);

    let bad = |name: String| {
        let run = shop.sandbox.run(&["build", "app.toml", "--cache-from", &name]);
        assert_eq!(run.code, 2, "{}", run.stderr);
        run.stderr
    };
    assert!(bad(format!("{none}@{}", Digest::of(b""))).contains("is no layer cache: it has a digest"));
    assert!(bad(format!("{none}:{}", "x".repeat(64))).contains("leaves no room for keys"));
    let both = shop.sandbox.run(&["build", "app.toml", "--no-cache", "--cache-to", &none]);
    assert_eq!(both.code, 2, "{}", both.stderr);
}

/// A shop whose largest layer has many pieces.
struct Large {
    shop: Shop,
    /// The size of that layer, as the first build packed it.
    size: u64,
    /// Its digest.
    digest: String,
}

const FILES: [&str; 5] = ["five", "four", "one", "three", "two"];

impl Large {
    /// Builds for the first time, to `output`.
    fn new(output: &str) -> Self {
        let shop = Shop::new();
        for (number, name) in (1..).zip(FILES) {
            write(&shop, name, number);
        }
        let run = shop.build("first", "to", &["-o", output]);
        let (mut size, mut digest) = (0, String::new());
        for (_, entry) in shop.entries() {
            let layer = &entry["layers"][0];
            if layer["size"].as_u64().unwrap() > size {
                (size, digest) = (layer["size"].as_u64().unwrap(), layer["digest"].as_str().unwrap().to_owned());
            }
        }
        assert!(size > 1 << 20, "{}", run.stderr);
        shop.server.state().seen.clear();
        Self { shop, size, digest }
    }

    /// What is asked for of the first build's layer: the bytes of each part, all for a request of the whole.
    fn asked(&self) -> Vec<u64> {
        let seen = self.shop.server.seen("GET", "/blobs/");
        let of_layer = seen.iter().filter(|seen| seen.path.ends_with(&self.digest));
        let size = |range: &str| -> Option<u64> {
            let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some(end.parse::<u64>().ok()? + 1 - start.parse::<u64>().ok()?)
        };
        of_layer.map(|seen| seen.range.as_deref().and_then(size).unwrap_or(self.size)).collect()
    }

    /// Changes a file, and says what an image of it is that was made without a cache.
    fn changed(&self, name: &str, output: &str) -> String {
        write(&self.shop, name, 99);
        self.shop.build(&format!("alone-{name}"), "", &["-o", output]).stdout
    }

    /// Changes the entry that moves, and its table.
    fn tamper(&self, change: impl Fn(&mut Value, &mut Value)) {
        let mut state = self.shop.server.state();
        let last: Vec<_> = state.manifests.keys().filter(|(_, name)| name.contains("-last-")).cloned().collect();
        for key in last {
            let (kind, bytes) = state.manifests[&key].clone();
            let mut entry: Value = serde_json::from_slice(&bytes).unwrap();
            let table = (key.0.clone(), entry["config"]["digest"].as_str().unwrap().to_owned());
            let mut table: Value = serde_json::from_slice(&state.blobs[&table]).unwrap();
            change(&mut entry, &mut table);
            let table = table.to_string().into_bytes();
            entry["config"]["digest"] = Digest::of(&table).to_string().into();
            entry["config"]["size"] = table.len().into();
            state.blobs.insert((key.0.clone(), Digest::of(&table).to_string()), table);
            state.manifests.insert(key, (kind, entry.to_string().into_bytes()));
        }
    }
}

/// Fills a file with noise, of a size from which it has a piece of its own.
fn write(shop: &Shop, name: &str, seed: u64) {
    let noise = (0..50_000_u64).map(|n| (n + seed * 1_000_003).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string());
    std::fs::write(shop.root.host(&format!("/usr/share/data/{name}")), noise.collect::<String>()).unwrap();
}

fn warnings(run: &Run) -> usize {
    run.stderr.matches("warning[E0501]").count()
}

#[test]
fn pieces_come_from_the_layer_that_was_added_last() {
    for (first, output) in [("oci:first.oci", "oci:second.oci"), ("first.tar", "second.tar")] {
        let large = Large::new(first);
        let expected = large.changed("one", &output.replace("second", "alone"));
        let run = large.shop.build("second", "from to", &["-o", output]);
        assert_eq!((run.stdout.as_str(), warnings(&run)), (expected.as_str(), 0), "{}", run.stderr);
        assert!(run.stderr.contains(" pieces from the cache, 5 from a registry ("), "{}", run.stderr);
        assert!(run.stderr.contains(" fetched), 2 compressed; "), "the changed one and the end: {}", run.stderr);
        let asked = large.asked();
        assert_eq!(asked.len(), 2, "what is before the changed piece, and what is behind it");
        assert!(asked.iter().sum::<u64>() < large.size - large.size / 8, "{asked:?} of {}", large.size);
        assert_eq!(large.shop.sandbox.run(&["verify", output.trim_start_matches("oci:")]).code, 0);
        assert!(
            large.shop.sandbox.run(&["cache", "verify", "--cache-dir", "second"]).stdout.contains("are sound"),
            "pieces are kept as those that were packed"
        );

        // The tag has moved, and the next one starts from there: two pieces are other ones than the first build's.
        large.shop.server.state().seen.clear();
        let expected = large.changed("two", &output.replace("second", "beside"));
        let run = large.shop.build("third", "from", &["-o", &output.replace("second", "third")]);
        assert_eq!((run.stdout, large.asked().len()), (expected, 0));
        assert!(run.stderr.contains(" fetched), 2 compressed; "), "{}", run.stderr);

        // What this machine has is not asked for.
        large.shop.server.state().seen.clear();
        let run = large.shop.build("second", "from", &["-o", &output.replace("second", "fourth")]);
        assert!(run.stderr.contains(" 2 compressed; ") && large.shop.server.seen("GET", "-last-").is_empty());
    }
}

#[test]
fn little_is_not_asked_for() {
    let large = Large::new("oci:first.oci");
    // Most of it is another one: what is left is less than half.
    for name in ["one", "two", "three"] {
        write(&large.shop, name, 99);
    }
    let run = large.shop.build("second", "from", &["-o", "oci:second.oci"]);
    assert_eq!((large.asked().len(), warnings(&run)), (0, 0), "{}", run.stderr);
    assert!(!run.stderr.contains("pieces from the cache, 1 from"), "{}", run.stderr);
}

#[test]
fn a_predecessor_that_lies_changes_nothing() {
    let large = Large::new("oci:first.oci");
    let expected = large.changed("one", "oci:alone.oci");
    let kept = large.shop.server.state().manifests.clone();
    let built = |folder: &str| {
        let run = large.shop.build(folder, "from", &["-o", &format!("oci:{folder}.oci")]);
        assert_eq!(run.stdout, expected, "{folder}");
        assert_eq!(large.shop.sandbox.run(&["verify", &format!("{folder}.oci")]).code, 0, "{folder}");
        large.shop.server.state().manifests = kept.clone();
        run
    };
    // Keys of these files, for pieces of others.
    large.tamper(|_, table| table["pieces"].as_array_mut().unwrap().rotate_right(1));
    let run = built("keys");
    assert!(run.stderr.contains("gives another one") && warnings(&run) == 1, "{}", run.stderr);
    assert!(!run.stderr.contains("pieces from the cache, 5 from"), "{}", run.stderr);

    // Pieces that are larger than any codec makes them: nothing is fetched.
    large.shop.server.state().seen.clear();
    large.tamper(|entry, table| {
        let sizes = table["segments"].as_array_mut().unwrap();
        for size in sizes.iter_mut() {
            *size = (1_u64 << 30).into();
        }
        entry["layers"][0]["size"] = (sizes.len() as u64 * (1 << 30)).into();
    });
    let run = built("sizes");
    assert_eq!((warnings(&run), large.asked().len()), (1, 0), "{}", run.stderr);

    // A table of another blob.
    large.tamper(|entry, _| entry["layers"][0]["size"] = 5.into());
    let run = built("table");
    assert_eq!((warnings(&run), large.asked().len()), (1, 0), "{}", run.stderr);
    assert!(run.stderr.contains("is no entry of such a layer"), "{}", run.stderr);

    // A blob that ends before its pieces do.
    let blob = ("cache".to_owned(), large.digest.clone());
    let whole = large.shop.server.state().blobs.get_mut(&blob).map(|bytes| bytes.split_off(1 << 10)).unwrap();
    let run = built("short");
    assert!(run.stderr.contains("has no ") && warnings(&run) == 1, "{}", run.stderr);
    large.shop.server.state().blobs.get_mut(&blob).unwrap().extend(whole);

    // Other bytes, and bytes of another place.
    let path: &'static str = large.digest.clone().leak();
    large.shop.server.plan("GET", path, 1, Fault::Flip);
    let run = built("bytes");
    assert!(run.stderr.contains("gives another one") && warnings(&run) == 1, "{}", run.stderr);
    large.shop.server.plan("GET", path, 1, Fault::Header("Content-Range", "bytes 7-8/9".to_owned()));
    let run = built("place");
    assert!(run.stderr.contains("from another byte") && warnings(&run) == 1, "{}", run.stderr);

    // Keys of other files are just another layer; one that is gone is no fault.
    large.tamper(|_, table| {
        table["pieces"].as_array_mut().unwrap().iter_mut().for_each(|key| *key = "0".repeat(64).into());
    });
    assert_eq!(warnings(&built("others")), 0);
    large.shop.server.state().blobs.remove(&blob);
    let run = built("gone");
    assert_eq!(warnings(&run), 0, "{}", run.stderr);
}

#[test]
fn a_registry_that_gives_parts_otherwise() {
    let large = Large::new("oci:first.oci");
    let expected = large.changed("one", "oci:alone.oci");
    // Less than it is asked for.
    large.shop.server.state().parts = Some(200 << 10);
    let run = large.shop.build("little", "from", &["-o", "oci:little.oci"]);
    assert_eq!((run.stdout.as_str(), warnings(&run)), (expected.as_str(), 0), "{}", run.stderr);
    assert!(run.stderr.contains(" fetched), 2 compressed; ") && large.asked().len() > 2, "{}", run.stderr);

    // None: all of it is read where most is wanted.
    large.shop.server.state().parts = None;
    large.shop.server.state().seen.clear();
    let run = large.shop.build("whole", "from", &["-o", "oci:whole.oci"]);
    assert_eq!((run.stdout.as_str(), warnings(&run)), (expected.as_str(), 0), "{}", run.stderr);
    assert!(run.stderr.contains(" fetched), 2 compressed; ") && large.asked().len() == 1, "{}", run.stderr);

    // And none of it where little is.
    let recipe = "name = \"company/app\"\ntags = [\"1\"]\nbinaries = [\"/usr/bin/app\"]\n\
                  files = [\"/usr/share/data/three\", \"/usr/share/data/two\"]\n";
    large.shop.sandbox.file("app.toml", recipe);
    let expected = large.shop.build("alone", "", &["-o", "oci:less.oci"]).stdout;
    let run = large.shop.build("less", "from", &["-o", "oci:lesser.oci"]);
    assert_eq!((run.stdout.as_str(), warnings(&run)), (expected.as_str(), 0), "{}", run.stderr);
    assert!(run.stderr.contains(" 0 pieces from the cache, 4 compressed; "), "{}", run.stderr);
    // With parts, these two and what stands before them are all that is fetched.
    large.shop.server.state().parts = Some(usize::MAX);
    let run = large.shop.build("parts", "from", &["-o", "oci:parts.oci"]);
    assert_eq!((run.stdout.as_str(), warnings(&run)), (expected.as_str(), 0), "{}", run.stderr);
    assert!(run.stderr.contains(" pieces from the cache, 3 from a registry ("), "{}", run.stderr);
}
