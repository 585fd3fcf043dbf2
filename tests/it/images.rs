//! What `inspect` and `verify` print of an image that was built: exact text.

use snapbox::str;

use super::commands::{prints, sandbox};
use super::sandbox::Run;

/// What was printed, without the digests: these are the business of other tests.
fn without_digests(mut run: Run) -> Run {
    for text in [&mut run.stdout, &mut run.stderr] {
        let mut parts = text.split("sha256:");
        let mut clean = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            clean.push_str("sha256:HEX");
            clean.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        }
        *text = clean;
    }
    run
}

#[test]
fn images_that_were_written_are_told() {
    let sandbox = sandbox();
    let build = sandbox.run(&["build", "-q", "server.toml", "-o", "server.oci", "-o", "server.tar"]);
    assert_eq!(build.code, 0, "{}", build.stderr);
    prints(
        &without_digests(sandbox.run(&["inspect", "server.oci"])),
        0,
        str![[r#"
latest
  digest      sha256:HEX
  id          sha256:HEX
  platform    linux/amd64
  created     1970-01-01T00:00:00Z
  user        65532:65532
  entrypoint  ["/bin/server"]
  workdir     /
  env         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  label       org.opencontainers.image.created=1970-01-01T00:00:00Z
              org.opencontainers.image.title=server
              org.opencontainers.image.version=latest
  layers      3, 1.3 kB
     1      551 B  zstd  sha256:HEX  mkimage: runtime
     2      282 B  zstd  sha256:HEX  mkimage: extras
     3      445 B  zstd  sha256:HEX  mkimage: application

"#]],
    );
    prints(
        &sandbox.run(&["inspect", "root"]),
        1,
        str![[r#"
error[E0274]: `root` is no OCI layout and no archive of an image

"#]],
    );
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.run(&["inspect", "--format=json", "server.oci"]).stdout).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["images"][0]["platform"], "linux/amd64");
}

#[test]
fn files_of_layers_are_listed() {
    let sandbox = sandbox();
    sandbox.run(&["build", "-q", "server.toml", "-o", "server.tar"]);
    prints(
        &without_digests(sandbox.run(&["inspect", "--files", "server.tar"])),
        0,
        str![[r#"
latest
  digest      sha256:HEX
  id          sha256:HEX
  platform    linux/amd64
  created     1970-01-01T00:00:00Z
  user        65532:65532
  entrypoint  ["/bin/server"]
  workdir     /
  env         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  label       org.opencontainers.image.created=1970-01-01T00:00:00Z
              org.opencontainers.image.title=server
              org.opencontainers.image.version=latest
  layers      3, 1.5 kB
     1      586 B  gzip  sha256:HEX  mkimage: runtime
     2      393 B  gzip  sha256:HEX  mkimage: extras
     3      514 B  gzip  sha256:HEX  mkimage: application

  layer 1, 16 entries
  d0755  0:0                      /dev
  d0755  0:0                      /etc
  -0644  0:0                  43  /etc/group
  d0755  0:0                      /etc/ld.so.conf.d
  -0644  0:0                 148  /etc/nsswitch.conf
  -0644  0:0                  24  /etc/os-release
  -0644  0:0                 149  /etc/passwd
  d0755  0:0                      /home
  d0700  65532:65532              /home/nonroot
  d0755  0:0                      /proc
  d0700  0:0                      /root
  d0755  0:0                      /run
  d0755  0:0                      /sys
  d1777  0:0                      /tmp
  d0755  0:0                      /var
  d1777  0:0                      /var/tmp

  layer 2, 15 entries
  d0755  0:0              /usr
  d0755  0:0              /usr/share
  d0755  0:0              /usr/share/zoneinfo
  -0644  0:0         100  /usr/share/zoneinfo/Zone0
  -0644  0:0         100  /usr/share/zoneinfo/Zone1
  -0644  0:0         100  /usr/share/zoneinfo/Zone10
  -0644  0:0         100  /usr/share/zoneinfo/Zone11
  -0644  0:0         100  /usr/share/zoneinfo/Zone2
  -0644  0:0         100  /usr/share/zoneinfo/Zone3
  -0644  0:0         100  /usr/share/zoneinfo/Zone4
  -0644  0:0         100  /usr/share/zoneinfo/Zone5
  -0644  0:0         100  /usr/share/zoneinfo/Zone6
  -0644  0:0         100  /usr/share/zoneinfo/Zone7
  -0644  0:0         100  /usr/share/zoneinfo/Zone8
  -0644  0:0         100  /usr/share/zoneinfo/Zone9

  layer 3, 16 entries
  l0777  0:0                      /bin -> usr/bin
  d0755  0:0                      /etc
  d0755  0:0                      /etc/server
  d0755  0:0                      /etc/server/conf.d
  -0644  0:0                  11  /etc/server/conf.d/extra.conf
  -0644  0:0                  10  /etc/server/main.conf
  d0755  0:0                      /usr
  d0755  0:0                      /usr/bin
  -0755  0:0                 128  /usr/bin/server
  d0755  0:0                      /usr/share
  d0755  0:0                      /usr/share/server
  l0777  0:0                      /usr/share/server/current -> index.html
  -0644  0:0                   7  /usr/share/server/index.html
  d0755  0:0                      /var
  d0755  0:0                      /var/cache
  d0755  65532:65532              /var/cache/server

"#]],
    );
}

#[test]
fn verify_tells_what_is_sound_and_fails_for_what_is_not() {
    let sandbox = sandbox();
    sandbox.run(&["build", "-q", "server.toml", "-o", "server.oci", "-o", "server.tar"]);
    prints(
        &sandbox.run(&["verify", "server.oci", "server.tar"]),
        0,
        str![[r#"
server.oci: sound, 1 image, 5 blobs of 3.1 kB, 47 entries in layers
server.tar: sound, 1 image, 5 blobs of 3.3 kB, 47 entries in layers

"#]],
    );
    let looked: serde_json::Value =
        serde_json::from_str(&sandbox.run(&["inspect", "--format=json", "server.oci"]).stdout).unwrap();
    let digest = looked["images"][0]["layers"][0]["digest"].as_str().unwrap();
    let hex = digest.trim_start_matches("sha256:");
    let layer = sandbox.at("server.oci/blobs/sha256").join(hex);
    let mut bytes = std::fs::read(&layer).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&layer, bytes).unwrap();
    let mut run = without_digests(sandbox.run(&["verify", "server.oci"]));
    run.stderr = run.stderr.replace(hex, "LAYER");
    prints(
        &run,
        4,
        str![[r#"
error[E0275]: blob `LAYER` has the digest sha256:HEX

error[E0275]: layer 1 of `latest` is no sound zstd stream: data corruption detected

"#]],
    );
    assert_eq!(sandbox.run(&["verify", "server.oci", "server.tar"]).code, 4);
    assert_eq!(sandbox.run(&["verify", "server.oci", "root"]).code, 1);
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.run(&["verify", "--format=json", "server.oci"]).stdout).unwrap();
    assert_eq!(json["checked"][0]["sound"], false);
}

#[test]
fn a_small_init_starts_the_program() {
    let sandbox = sandbox();
    sandbox.file("init.toml", "root = 'root'\ninit = true\nbinaries = ['server']\ncmd = ['-v']\n");
    let without = sandbox.run(&["build", "-q", "init.toml"]);
    assert_eq!(without.code, 1);
    assert!(without.stderr.contains("error[E0200]: no init is in the root"), "{}", without.stderr);
    assert!(without.stderr.contains("install `tini` or `catatonit` in the root"), "{}", without.stderr);
    std::fs::create_dir_all(sandbox.at("root/usr/bin")).unwrap();
    std::fs::copy(sandbox.at("root/bin/server"), sandbox.at("root/usr/bin/catatonit")).unwrap();
    let build = sandbox.run(&["build", "-q", "init.toml", "-o", "init.oci"]);
    assert_eq!(build.code, 0, "{}", build.stderr);
    let shown = sandbox.run(&["inspect", "init.oci"]).stdout;
    assert!(shown.contains("entrypoint  [\"/usr/bin/catatonit\",\"--\",\"/usr/bin/server\"]"), "{shown}");
    sandbox.file("own.toml", "root = 'root'\ninit = true\nbinaries = ['server']\nentrypoint = ['server', '-x']\n");
    sandbox.run(&["build", "-q", "own.toml", "-o", "own.oci"]);
    let shown = sandbox.run(&["inspect", "own.oci"]).stdout;
    assert!(shown.contains("[\"/usr/bin/catatonit\",\"--\",\"/usr/bin/server\",\"-x\"]"), "{shown}");
}
