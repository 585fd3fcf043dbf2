//! Layers that a registry keeps for all who build: what is asked of it, sent to it and believed of it.

use std::time::Duration;

use mkimage::oci::Digest;
use serde_json::Value;

use crate::registry_server::{Fault, Seen, Server};
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
        let of_cache =
            state.manifests.iter().filter(|((repository, name), _)| repository == "cache" && !name.contains(':'));
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

/// What a registry says that lacks a blob.
const LOST: &[u8] = br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;

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
