//! What `diff` says of two images: a security update of a library, and one image that differs in every way.

use std::path::Path;

use mkimage::diff::{Condition, Difference};
use mkimage::survey::Survey;
use serde_json::Value;
use snapbox::{assert_data_eq, str};

use super::commands::prints;
use super::sandbox::{Run, Sandbox};
use super::support::root::Root;

/// A root with a server that needs libssl, which is a package's.
pub(crate) fn root(version: &str, more: &str) -> Root {
    Root::glibc(&format!(
        "/usr/bin/web program libssl.so.3 libc.so.6 symbols=-__stack_chk_fail
        /usr/lib/x86_64-linux-gnu/libssl.so.3 library libc.so.6 data={version}
        /etc/os-release file ID=debian\\nVERSION_ID=12\\n
        {more}
        /var/lib/dpkg/status file Package: libssl3\\nStatus: install ok installed\\nSource: openssl\\nVersion: {version}\\nArchitecture: amd64\\n\\n
        /var/lib/dpkg/info/libssl3:amd64.md5sums file 0123456789abcdef0123456789abcdef  usr/lib/x86_64-linux-gnu/libssl.so.3\\n
        /var/lib/dpkg/info/libssl3:amd64.list file /usr/lib/x86_64-linux-gnu/libssl.so.3\\n"
    ))
}

/// A sandbox with a recipe for each of the roots: `old.toml`, `new.toml`.
pub(crate) fn sandbox(old: (&Root, &str), new: (&Root, &str)) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, (root, more)) in [("old", old), ("new", new)] {
        let root = root.host("/").display().to_string();
        let recipe =
            format!("name = \"registry.example/web\"\nroot = \"{root}\"\nbinaries = [\"/usr/bin/web\"]\n{more}");
        sandbox.file(&format!("{name}.toml"), recipe);
    }
    sandbox
}

/// What was printed, without the digits of digests.
fn without_digests(mut run: Run) -> Run {
    let mut parts = run.stdout.split("sha256:");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str("sha256:HEX");
        clean.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    run.stdout = clean;
    run
}

#[test]
fn a_security_update_shows_exactly_that() {
    let (old, new) = (root("3.0.15-1~deb12u1", ""), root("3.0.17-1~deb12u2", ""));
    let sandbox = sandbox((&old, ""), (&new, ""));
    prints(
        &without_digests(sandbox.run(&["diff", "old.toml", "new.toml"])),
        0,
        str![[r#"
--- registry.example/web:latest (linux/amd64)  sha256:HEX
+++ registry.example/web:latest (linux/amd64)  sha256:HEX
  size      2.4 kB -> 2.4 kB
  download  2.4 kB -> 2.4 kB
  files     13 -> 13
  pull      689 B in 2 new layers, 2 shared

packages
  ~ libssl3  3.0.15-1~deb12u1 -> 3.0.17-1~deb12u2  0 B

files
  ~ /usr/lib/x86_64-linux-gnu/libssl.so.3  other bytes, 376 B
  ~ /var/lib/dpkg/status.d/libssl3         other bytes, 79 B

layers
  - shared libraries  376 B
  - packages          313 B
  + shared libraries  376 B
  + packages          313 B

"#]],
    );
    let run = sandbox.run(&["diff", "--format=json", "old.toml", "new.toml"]);
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&json["version"], &json["differs"]), (&1.into(), &true.into()));
    let image = &json["images"][0];
    let paths: Vec<&str> = image["files"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/usr/lib/x86_64-linux-gnu/libssl.so.3", "/var/lib/dpkg/status.d/libssl3"]);
    assert_eq!(image["packages"].as_array().unwrap().len(), 1);
    assert_eq!(image["packages"][0]["source"], "openssl");
    for section in ["needs", "dlopen", "hardening", "config", "policy"] {
        assert_eq!(image[section], serde_json::json!([]), "{section}");
    }
}

#[test]
fn a_rebuild_shows_nothing() {
    let root = root("3.0.15", "");
    let sandbox = sandbox((&root, ""), (&root, ""));
    for output in ["a.oci", "b.oci", "a.tar", "docker-archive:c.tar"] {
        assert_eq!(sandbox.run(&["build", "-q", "old.toml", "-o", output]).code, 0);
    }
    for [old, new] in
        [["a.oci", "b.oci"], ["a.oci", "new.toml"], ["old.toml", "a.tar"], ["a.tar", "c.tar"], ["a.tar", "new.toml"]]
    {
        let run = sandbox.run(&["diff", "--exit-code", "--fail-on=any", old, new]);
        assert_eq!((run.code, run.stdout.as_str()), (0, "no difference\n"), "{old} {new}: {}", run.stderr);
    }
    // Compressed otherwise, but the same.
    let run = sandbox.run(&["diff", "--exit-code", "a.oci", "a.tar"]);
    assert_eq!(run.code, 0, "{}", run.stdout);
    assert!(run.stdout.starts_with("no difference\nnote: the layers are compressed otherwise"), "{}", run.stdout);
}

/// Images that differ in every way that is told.
fn everything() -> (Root, Root, Sandbox) {
    let old = root(
        "3.0.15",
        "/usr/bin/tool script #!/usr/bin/web\\n
        /srv/same file text
        /srv/gone file text
        /srv/data file some text
        /srv/link link data
        /srv/kind file text",
    );
    let new = root(
        "3.0.15",
        "/usr/lib/x86_64-linux-gnu/libnew.so.1 library libc.so.6
        /srv/same file text
        /srv/data file other text
        /srv/link link same
        /srv/new|name`<b> file text
        /srv/kind link same",
    );
    // The server itself needs more, and has a stack that may be executed.
    new.line("/usr/bin/web program libssl.so.3 libnew.so.1 libc.so.6 symbols=-dlopen data=libplugin.so.3");
    let more = |mode: &str, env: &str| {
        format!(
            "files = [\"/srv/\", {{ from = \"/srv/same\", to = \"/opt/mode\", mode = \"{mode}\" }}]\nports = [{env}]\n\
             [policy]\nsetuid = \"warn\"\n[env]\nPORT = \"{env}\"\n[labels]\ntext = \"a|b\""
        )
    };
    let sandbox = sandbox((&old, &more("0644", "80")), (&new, &more("4755", "8080")));
    (old, new, sandbox)
}

#[test]
fn everything_that_differs_is_told() {
    let (_old, _new, sandbox) = everything();
    prints(
        &without_digests(sandbox.run(&["diff", "old.toml", "new.toml"])),
        0,
        str![[r#"
--- registry.example/web:latest (linux/amd64)  sha256:HEX
+++ registry.example/web:latest (linux/amd64)  sha256:HEX
  size      2.4 kB -> 2.8 kB                  +389 B +16.3 %
  download  2.5 kB -> 2.8 kB                  +245 B +9.6 %
  files     19 -> 20
  pull      1.1 kB in 2 new layers, 2 shared

files
  ~ /opt/mode                              mode 0644 -> 4755
  ~ /srv/data                              9 B -> 10 B
  - /srv/gone                              file, 4 B
  ~ /srv/kind                              file, 4 B -> link to same
  ~ /srv/link                              link to data -> same
  + /srv/new|name`<b>                      file, 4 B
  ~ /usr/bin/web                           504 B -> 544 B
  + /usr/lib/x86_64-linux-gnu/libnew.so.1  file, 352 B

needs
  + /usr/bin/web  libnew.so.1 (/usr/lib/x86_64-linux-gnu/libnew.so.1)

named for loading
  + /usr/bin/web  libplugin.so.3

hardening
  ~ /usr/bin/web  canary: yes -> no  weaker

configuration
  ~ env PORT       80 -> 8080
  - port 80/tcp
  + port 8080/tcp

policy
  + partial-relro  warn E0308  /usr/lib/x86_64-linux-gnu/libnew.so.1: no RELRO
  + setuid         warn E0302  /opt/mode: mode 4755
  - unowned        warn E0310  /srv/gone: no package owns it
  - unowned        warn E0310  /srv/kind: no package owns it
  + unowned        warn E0310  /srv/new|name`<b>: no package owns it
  + unowned        warn E0310  /usr/lib/x86_64-linux-gnu/libnew.so.1: no package owns it

size by package
  of no package  2.0 kB -> 2.4 kB  +389 B

size by reason
  binaries "/usr/bin/web"  1.8 kB -> 2.2 kB  +392 B
  files "/srv/"            21 B -> 18 B      -3 B

layers
  - shared libraries  371 B
  - application       457 B
  + shared libraries  591 B
  + application       482 B

"#]],
    );
}

#[test]
fn markdown_is_a_short_table_and_folded_details() {
    let (_old, _new, sandbox) = everything();
    prints(
        &without_digests(sandbox.run(&["diff", "--format=markdown", "old.toml", "new.toml"])),
        0,
        str![[r####"
### `registry.example/web:latest`

`new.toml` (`sha256:HEX`) against `old.toml` (`sha256:HEX`), `linux/amd64`

| | before | after | change |
| --- | ---: | ---: | ---: |
| size | 2.4 kB | 2.8 kB | +389 B (+16.3 %) |
| download | 2.5 kB | 2.8 kB | +245 B (+9.6 %) |
| files | 19 | 20 | +1 |
| packages | 1 | 1 | 0 |
| to pull, with the one before | | 1.1 kB in 2 new layers, 2 shared | |

> [!WARNING]
> - `/opt/mode` is setuid
> - `/usr/bin/web`: canary was `yes` and is `no`
> - policy `partial-relro` (E0308): `/usr/lib/x86_64-linux-gnu/libnew.so.1: no RELRO`
> - policy `setuid` (E0302): `/opt/mode: mode 4755`
> - policy `unowned` (E0310): ``/srv/new/|name`<b>: no package owns it``
> - policy `unowned` (E0310): `/usr/lib/x86_64-linux-gnu/libnew.so.1: no package owns it`

<details><summary>8 files</summary>

|  | path | what | package |
| --- | --- | --- | --- |
| changed | `/opt/mode` | `mode 0644 -> 4755` |  |
| changed | `/srv/data` | `9 B -> 10 B` |  |
| removed | `/srv/gone` | `file, 4 B` |  |
| changed | `/srv/kind` | `file, 4 B -> link to same` |  |
| changed | `/srv/link` | `link to data -> same` |  |
| added | ``/srv/new/|name`<b>`` | `file, 4 B` |  |
| changed | `/usr/bin/web` | `504 B -> 544 B` |  |
| added | `/usr/lib/x86_64-linux-gnu/libnew.so.1` | `file, 352 B` |  |

</details>

<details><summary>2 needs</summary>

|  | object | needs | before | after |
| --- | --- | --- | --- | --- |
| added | `/usr/bin/web` | `libnew.so.1` |  | `/usr/lib/x86_64-linux-gnu/libnew.so.1` |
| added | `/usr/lib/x86_64-linux-gnu/libnew.so.1` | `libc.so.6` |  | `/usr/lib/x86_64-linux-gnu/libc.so.6` |

</details>

<details><summary>libraries named for loading</summary>

|  | object | names |
| --- | --- | --- |
| added | `/usr/bin/web` | `libplugin.so.3` |

</details>

<details><summary>hardening</summary>

| path | fact | before | after |
| --- | --- | --- | --- |
| `/usr/bin/web` | canary | `yes` | `no` |

</details>

<details><summary>configuration</summary>

| setting | before | after |
| --- | --- | --- |
| `env PORT` | `80` | `8080` |
| `port 80/tcp` | set |  |
| `port 8080/tcp` |  | set |

</details>

<details><summary>policy</summary>

|  | rule | code | verdict | what |
| --- | --- | --- | --- | --- |
| new | `partial-relro` | E0308 | warn | `/usr/lib/x86_64-linux-gnu/libnew.so.1: no RELRO` |
| new | `setuid` | E0302 | warn | `/opt/mode: mode 4755` |
| gone | `unowned` | E0310 | warn | `/srv/gone: no package owns it` |
| gone | `unowned` | E0310 | warn | `/srv/kind: no package owns it` |
| new | `unowned` | E0310 | warn | ``/srv/new/|name`<b>: no package owns it`` |
| new | `unowned` | E0310 | warn | `/usr/lib/x86_64-linux-gnu/libnew.so.1: no package owns it` |

</details>

<details><summary>size by package</summary>

|  | before | after | change |
| --- | --- | --- | --- |
| `of no package` | 2.0 kB | 2.4 kB | +389 B |

</details>

<details><summary>size by reason</summary>

|  | before | after | change |
| --- | --- | --- | --- |
| `binaries "/usr/bin/web"` | 1.8 kB | 2.2 kB | +392 B |
| `files "/srv/"` | 21 B | 18 B | -3 B |

</details>

<details><summary>layers</summary>

|  | layer | compressed |
| --- | --- | --- |
| shared | `runtime` | 1.4 kB |
| shared | `packages` | 303 B |
| gone | `shared libraries` | 371 B |
| gone | `application` | 457 B |
| new | `shared libraries` | 591 B |
| new | `application` | 482 B |

</details>

"####]],
    );
}

#[test]
fn conditions_fail_and_name_what_holds() {
    let (_old, _new, sandbox) = everything();
    let run = sandbox.run(&["diff", "-q", "--fail-on=new-need, size>+500%,new-setuid", "old.toml", "new.toml"]);
    prints(
        &Run { stdout: String::new(), ..run },
        3,
        str![[r#"
error[E0351]: `new-need` holds: /usr/bin/web needs libnew.so.1 and 1 more
 |
 = note: between `old.toml` and `new.toml`

error[E0351]: `new-setuid` holds: /opt/mode
 |
 = note: between `old.toml` and `new.toml`

"#]],
    );
    let all = "size>+0,download>+0%,pull>1B,files>+1000,new-package,gone-file,new-file,changed-config,any,new-finding";
    let run = sandbox.run(&["diff", "--fail-on", all, "old.toml", "new.toml"]);
    let holds: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(run.code, 3);
    let named = |condition: &str| holds.iter().any(|line| line.contains(&format!("`{condition}` holds")));
    for condition in all.split(',') {
        assert_eq!(named(condition), !["files>+1000", "new-package"].contains(&condition), "{condition}: {holds:?}");
    }
    assert_eq!(sandbox.run(&["diff", "--exit-code", "old.toml", "new.toml"]).code, 4);
}

#[test]
fn mistakes_in_conditions_are_told_at_once() {
    let sandbox = Sandbox::new();
    let bad = "sise>+5%,size,size>5%,size>=5,new-pakage,new-package>2,files>+2MB,pull>+5,size>+x,";
    prints(
        &sandbox.run(&["diff", "--fail-on", bad, "a.oci", "b.oci"]),
        2,
        str![[r#"
error[E0001]: `sise>+5%` is no condition; one is called `size`

error[E0001]: `size` says no limit: write `size>+5%`, `size>+2` or `size>100`, in bytes with kB, MB, GB, KiB, MiB or GiB

error[E0001]: `size>5%` has a percentage without `+`: it is of what was there before

error[E0001]: `size>=5` compares otherwise than by `>`

error[E0001]: `new-pakage` is no condition; one is called `new-package`

error[E0001]: `new-package>2` has a limit, and `new-package` takes none

error[E0001]: `files>+2MB` has a unit, and `files` is a count

error[E0001]: `pull>+5` has a growth, and `pull` is of the newer image alone: write `pull>5MB`

error[E0001]: `size>+x` has a limit that is no number, `+x`

error[E0001]: `` is no condition; those are size>N, download>N, pull>N, files>N, packages>N, new-package, gone-package, changed-package, new-file, gone-file, new-need, new-dlopen, new-setuid, new-finding, weaker-hardening, changed-config, any

"#]],
    );
}

#[test]
fn limits_of_conditions() {
    let parse = |text: &str| text.parse::<Condition>().map(|condition| condition.to_string());
    for good in
        ["size>+5%", "size > +0.5 %", "download>2MiB", "pull>5MB", "files>+10", "packages>3", "size>1.5GB", " any "]
    {
        assert_eq!(parse(good).as_deref(), Ok(good.trim()));
    }
    for bad in ["", "size>", "size>+", "size>1e9", "size>99999999999GB", "size<5", "files>1kB", "size>+5%%", "size>-5"]
    {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn images_of_several_are_chosen_by_tag() {
    let (old, new) = (root("1", ""), root("2", ""));
    let sandbox = sandbox((&old, ""), (&new, ""));
    sandbox.run(&["build", "-q", "old.toml", "-t", "1", "-o", "both.oci"]);
    sandbox.run(&["build", "-q", "new.toml", "-t", "2", "-o", "both.oci"]);
    let run = sandbox.run(&["diff", "oci:both.oci:1", "oci:both.oci:2"]);
    assert!(run.stdout.contains("~ libssl3  1 -> 2"), "{}{}", run.stdout, run.stderr);
    prints(
        &sandbox.run(&["diff", "both.oci", "new.toml"]),
        2,
        str![[r#"
error[E0001]: which images are to be compared is not clear
 |
 = note: `both.oci` holds web:1 (linux/amd64), web:2 (linux/amd64)
 = note: `new.toml` holds registry.example/web:latest (linux/amd64)
 = help: name one of each: `oci:DIR:TAG`, or `--platform OS/ARCH`

"#]],
    );
    assert_eq!(sandbox.run(&["diff", "oci:both.oci:3", "new.toml"]).code, 2);
    assert_eq!(sandbox.run(&["diff", "--platform=linux/arm64", "oci:both.oci:1", "oci:both.oci:2"]).code, 2);
    assert_eq!(sandbox.run(&["diff", "nowhere.oci", "new.toml"]).code, 1);
}

#[test]
fn a_difference_is_symmetric() {
    let (_old, _new, sandbox) = everything();
    for name in ["old", "new"] {
        sandbox.run(&["build", "-q", &format!("{name}.toml"), "-o", &format!("{name}.oci")]);
    }
    let survey =
        |name: &str| Survey::of_written(&mkimage::output::open(&sandbox.at(name)).unwrap()).unwrap().pop().unwrap();
    let (old, new) = (survey("old.oci"), survey("new.oci"));
    let there = Difference::between([&old, &new], ["a", "b"]);
    let back = Difference::between([&new, &old], ["b", "a"]);
    assert_eq!(there.files.len(), back.files.len());
    assert_eq!(there.needs.len(), back.needs.len());
    assert!(
        there
            .files
            .iter()
            .zip(&back.files)
            .all(|(a, b)| a.path == b.path && a.what == b.what && a.is_new() == b.is_gone())
    );
    assert_eq!(mkimage::diff::change(there.sizes()), -mkimage::diff::change(back.sizes()));
    for survey in [&old, &new] {
        assert!(Difference::between([survey, survey], ["a", "a"]).is_empty());
    }
    assert!(Path::new(&sandbox.at("old.oci")).is_dir());
}

#[test]
fn a_download_above_the_limit_stops_the_build() {
    let root = root("1", "");
    let sandbox = sandbox((&root, "[policy]\nmax-download = \"1kB\"\n"), (&root, "[policy]\nmax-download = \"1MB\"\n"));
    let run = sandbox.run(&["build", "-q", "old.toml", "-o", "old.oci"]);
    assert!(!sandbox.at("old.oci").exists());
    let sizes = |text: &str| text.lines().filter(|line| !line.contains("largest")).collect::<Vec<_>>().join("\n");
    assert_data_eq!(
        sizes(&run.stderr),
        str![[r#"
error[E0350]: the layers are 2.3 kB compressed, and policy allows 1 kB
 --> old.toml:5:16
  |
5 | max-download = "1kB"
  |                ----- rule set here
  |
"#]]
    );
    assert_eq!(run.code, 3);
    assert_eq!(sandbox.run(&["build", "-q", "new.toml", "-o", "new.oci"]).code, 0);
    // What is only looked at is told all the same.
    let run = sandbox.run(&["diff", "--fail-on=new-finding", "new.toml", "old.toml"]);
    assert!(run.stderr.contains("`new-finding` holds: max-download"), "{}", run.stderr);
}
