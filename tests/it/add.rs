//! Entries added to recipes: the exact text that comes out.

use mkimage::edit::{Addition, Key, add};
use snapbox::{assert_data_eq, str};

use super::sandbox::Sandbox;

fn added(text: &str, entries: &[(Key, &str)]) -> String {
    let additions: Vec<Addition> = entries.iter().map(|(key, value)| Addition::new(*key, *value)).collect();
    add(text, &additions).unwrap()
}

#[test]
fn lists_keep_their_form() {
    let one = added("binaries = [ \"a\" ]  # the program\n", &[(Key::Binaries, "b"), (Key::Binaries, "a")]);
    assert_eq!(one, "binaries = [ \"a\", \"b\"]  # the program\n");
    assert_eq!(added("files = []\n", &[(Key::Files, "/x/")]), "files = [\"/x/\"]\n");
    let several = "files = [\n  # first\n  \"/a\",  # why a\n  { from = \"/b\", mode = \"0600\" },   # why b\n]\n";
    let several = added(several, &[(Key::Files, "/c"), (Key::Files, "/b"), (Key::Files, "/d")]);
    assert_eq!(
        several,
        "files = [\n  # first\n  \"/a\",  # why a\n  { from = \"/b\", mode = \"0600\" },   # why b\n  \"/c\",\n  \"/d\",\n]\n"
    );
    let open = added("files = [\n    \"/a\"   # why\n]\n", &[(Key::Files, "/b")]);
    assert_eq!(open, "files = [\n    \"/a\",   # why\n    \"/b\",\n]\n");
    let tables = added("[[files]]\nfrom = \"/a\"\n\n[env]\nA = \"1\"\n", &[(Key::Files, "/b"), (Key::Files, "/a")]);
    assert_eq!(tables, "[[files]]\nfrom = \"/a\"\n\n[[files]]\nfrom = \"/b\"\n\n[env]\nA = \"1\"\n");
}

#[test]
fn a_list_that_grows_too_long_gets_a_line_for_each_entry() {
    let long = "/usr/share/a-long-name/of-a-folder/with-more/";
    let text = added("files = [\"/usr/share/some-other-folder/of-this-length/\"]\n", &[(Key::Files, long)]);
    assert_eq!(text, format!("files = [\n  \"/usr/share/some-other-folder/of-this-length/\",\n  \"{long}\",\n]\n"));
}

#[test]
fn new_keys_stand_where_they_are_looked_for() {
    let text = "# mine\nname     = \"x\"\nbinaries = [\"x\"]\nuser     = \"root\"\n\n# limits\n[policy]\nroot-user = \"allow\"\n";
    assert_data_eq!(
        added(text, &[(Key::Extras, "tzdata"), (Key::Files, "/etc/x/"), (Key::Libraries, "libx.so.1")]),
        str![[r#"
# mine
name     = "x"
binaries = ["x"]
libraries = ["libx.so.1"]
files    = ["/etc/x/"]
extras   = ["tzdata"]
user     = "root"

# limits
[policy]
root-user = "allow"

"#]]
    );
    assert!(add("files = 3\n", &[Addition::new(Key::Files, "/x")]).is_err());
    assert!(add("files = [\n", &[Addition::new(Key::Files, "/x")]).is_err());
}

#[test]
fn things_go_where_they_belong() {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/app", 62)
        .static_program("root/usr/bin/tool", 62)
        .static_program("own/helper", 62)
        .file("root/etc/app/app.conf", "x")
        .file("root/usr/share/zoneinfo/UTC", "x")
        .file("own/page.html", "x")
        .file("r/app.toml", "name     = \"app\"\nroot     = \"../root\"\nbinaries = [\"app\"]\n");
    let run = sandbox.run(&["add", "r/app.toml", "tool", "/etc/app", "tzdata", "own/helper"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let text = || std::fs::read_to_string(sandbox.at("r/app.toml")).unwrap();
    let expected = "name     = \"app\"\nroot     = \"../root\"\nbinaries = [\"app\", \"tool\", \"../own/helper\"]\n\
        files    = [\"/etc/app/\"]\nextras   = [\"tzdata\"]\n";
    assert_eq!(text(), expected);
    let run = sandbox.run(&["add", "r/app.toml", "own/page.html"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("`--to /srv/`"), "{}", run.stderr);
    // What does not pass is not written: two files for one path.
    let run = sandbox.run(&["add", "r/app.toml", "own/page.html", "own/helper", "--as=files", "--to=/srv/x"]);
    assert_ne!(run.code, 0);
    assert_eq!(text(), expected);
    let run = sandbox.run(&["add", "r/app.toml", "own/page.html", "--to=/srv/", "--dry-run"]);
    assert!(run.stdout.contains("{ from = \"../own/page.html\", to = \"/srv/\" }"), "{}{}", run.stdout, run.stderr);
    assert_eq!(text(), expected);
    let run = sandbox.run(&["add", "r/app.toml", "nothing-like-this"]);
    assert!(run.stderr.contains("no extra, no program on PATH and no library"), "{}", run.stderr);
}
