//! What recipes make of a root: each case is a recipe, and the lines of the image's tree that it is about.

use crate::sandbox::Sandbox;

/// A root with a program and a merged /usr.
fn sandbox(recipe: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/app", 62)
        .file("root/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
        .link("root/bin", "usr/bin")
        .file("r.toml", recipe);
    sandbox
}

/// The lines of `mkimage check -v` for paths below `folder`: mode, owner, size or target, path, place in the recipe.
fn tree(sandbox: &Sandbox, folder: &str) -> String {
    let run = sandbox.run(&["check", "-v", "r.toml", "--root", "root"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let is_entry = |line: &&str| line.get(..4).is_some_and(|mode| mode.bytes().all(|byte| byte.is_ascii_digit()));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = run.stderr.lines().filter(is_entry).map(words);
    lines.filter(|line| line.contains(&format!(" {folder}"))).map(|line| line + "\n").collect()
}

#[test]
fn the_more_particular_entry_wins() {
    let sandbox = sandbox(
        "binaries = [\"app\"]\nfiles = [\"/opt/\", { content = \"mine\", to = \"/opt/a\" }]\n[symlinks]\n\"/opt/b\" = \"a\"\n",
    );
    sandbox.file("root/opt/a", "theirs, longer").file("root/opt/b", "theirs").file("root/opt/c", "theirs");
    let expected = "0755 0:0 folder /opt r.toml:2:10\n\
        0644 0:0 4 /opt/a r.toml:2:19\n\
        0777 0:0 -> a /opt/b r.toml:4:1\n\
        0644 0:0 6 /opt/c r.toml:2:10\n";
    assert_eq!(tree(&sandbox, "/opt"), expected);
}

#[test]
fn a_recipe_wins_over_what_it_extends() {
    let sandbox =
        sandbox("extends = \"base.toml\"\nbinaries = [\"app\"]\nfiles = [{ content = \"new\", to = \"/opt/a\" }]\n");
    sandbox.file("base.toml", "files = [{ content = \"inherited\", to = \"/opt/a\" }]\n");
    assert_eq!(tree(&sandbox, "/opt/a"), "0644 0:0 3 /opt/a r.toml:3:10\n");
}

#[test]
fn paths_are_written_through_the_links_of_a_merged_usr() {
    let sandbox = sandbox("binaries = [{ from = \"app\", to = \"/bin/tool\" }]\n");
    let expected = "0777 0:0 -> usr/bin /bin\n";
    assert_eq!(tree(&sandbox, "/bin"), expected);
    assert_eq!(tree(&sandbox, "/usr/bin/"), "0755 0:0 128 /usr/bin/tool r.toml:1:13\n");
}

#[test]
fn a_shell_can_be_started_by_its_usual_path() {
    let sandbox = sandbox("binaries = [\"sh\"]\n[policy]\nshell = \"allow\"\n");
    sandbox.static_program("root/usr/bin/dash", 62).link("root/usr/bin/sh", "dash");
    assert_eq!(tree(&sandbox, "/bin"), "0777 0:0 -> usr/bin /bin\n");
    // Nobody asks for a shell by its path in an image without one.
    sandbox.file("r.toml", "binaries = [\"app\"]\n");
    assert_eq!(tree(&sandbox, "/bin"), "");
}

#[test]
fn links_out_of_a_folder_bring_what_they_lead_to() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/opt/java/\"]\n");
    sandbox
        .link("root/opt/java/conf", "/etc/java")
        .file("root/etc/java/security", "1")
        .link("root/opt/java/cacerts", "../certs/java")
        .file("root/opt/certs/java", "22");
    let expected = "0777 0:0 -> ../certs/java /opt/java/cacerts r.toml:2:10\n\
        0777 0:0 -> /etc/java /opt/java/conf r.toml:2:10\n";
    assert_eq!(tree(&sandbox, "/opt/java/"), expected);
    assert_eq!(tree(&sandbox, "/opt/certs/"), "0644 0:0 2 /opt/certs/java r.toml:2:10\n");
    assert_eq!(tree(&sandbox, "/etc/java/"), "0644 0:0 1 /etc/java/security r.toml:2:10\n");
}

#[test]
fn a_folder_beside_the_recipe_goes_where_it_is_told() {
    let sandbox = sandbox(
        "binaries = [\"app\"]\nfiles = [{ from = \"site/\", to = \"/srv/www/\", exclude = [\"**/*.map\", \"drafts/**\"] }]\n",
    );
    sandbox
        .file("site/index.html", "hello")
        .file("site/js/app.js", "1")
        .file("site/js/app.js.map", "2")
        .file("site/drafts/x", "3")
        .file("site/.git/config", "4")
        .link("site/home.html", "index.html");
    let expected = "0755 0:0 folder /srv/www r.toml:2:10\n\
        0777 0:0 -> index.html /srv/www/home.html r.toml:2:10\n\
        0644 0:0 5 /srv/www/index.html r.toml:2:10\n\
        0755 0:0 folder /srv/www/js r.toml:2:10\n\
        0644 0:0 1 /srv/www/js/app.js r.toml:2:10\n";
    assert_eq!(tree(&sandbox, "/srv/www"), expected);
}

#[test]
fn what_is_excluded_stays_out_behind_followed_links_and_of_globs() {
    let sandbox = sandbox(
        "binaries = [\"app\"]\nfiles = [\n\
         { from = \"site/\", to = \"/srv/\", links = \"follow\", exclude = [\"**/*.pem\", \"common/old/\"] },\n\
         { from = \"site/**\", to = \"/opt/\", exclude = [\"js/**\", \"common\"] },\n]\n",
    );
    sandbox
        .file("site/index.html", "hello")
        .file("site/js/a/app.js", "1")
        .link("site/common", "../shared")
        .link("site/again", "../shared/sub")
        .file("shared/key.pem", "secret")
        .file("shared/sub/b.css", "22")
        .file("shared/sub/key.pem", "secret")
        .file("shared/old/c.css", "333");
    let expected = "0755 0:0 folder /srv/again r.toml:3:1\n\
        0644 0:0 2 /srv/again/b.css r.toml:3:1\n\
        0755 0:0 folder /srv/common r.toml:3:1\n\
        0755 0:0 folder /srv/common/sub r.toml:3:1\n\
        0644 0:0 2 /srv/common/sub/b.css r.toml:3:1\n\
        0644 0:0 5 /srv/index.html r.toml:3:1\n\
        0755 0:0 folder /srv/js r.toml:3:1\n\
        0755 0:0 folder /srv/js/a r.toml:3:1\n\
        0644 0:0 1 /srv/js/a/app.js r.toml:3:1\n";
    assert_eq!(tree(&sandbox, "/srv/"), expected);
    assert_eq!(tree(&sandbox, "/opt/"), "0644 0:0 5 /opt/index.html r.toml:4:1\n");
}

#[test]
fn a_link_to_what_its_copy_leaves_out_stays_if_another_entry_brings_that() {
    let sandbox = sandbox(
        "binaries = [\"app\"]\nfiles = [\n\
         { from = \"lk/\", to = \"/etc/lk/\", exclude = [\"avail/**\"] },\n\
         { from = \"lk/avail/\", to = \"/etc/lk/avail/\", exclude = [\"secret\"] },\n\
         { from = \"/opt/lk/\", to = \"/srv/lk/\", exclude = [\"avail/**\"] },\n\
         { from = \"/opt/lk/avail/a\", to = \"/srv/lk/avail/a\" },\n]\n",
    );
    sandbox
        .file("lk/avail/a", "1")
        .file("lk/avail/secret", "2")
        .link("lk/en/a", "../avail/a")
        .link("lk/en/again", "a")
        .link("lk/en/secret", "../avail/secret")
        .file("root/opt/lk/avail/a", "3")
        .link("root/opt/lk/en/a", "/opt/lk/avail/a");
    let expected = "0755 0:0 folder /etc/lk/en r.toml:3:1\n\
        0777 0:0 -> ../avail/a /etc/lk/en/a r.toml:3:1\n\
        0777 0:0 -> a /etc/lk/en/again r.toml:3:1\n";
    assert_eq!(tree(&sandbox, "/etc/lk/en"), expected);
    assert_eq!(tree(&sandbox, "/srv/lk/en/"), "0777 0:0 -> ../avail/a /srv/lk/en/a r.toml:5:1\n");
    let run = sandbox.run(&["check", "-v", "r.toml", "--root", "root"]);
    let told = run.stderr.lines().filter(|line| line.contains("was left out")).count();
    assert!(
        told == 1 && run.stderr.contains("lk/en/secret` was left out: `../avail/secret` is excluded"),
        "{}",
        run.stderr
    );
}

#[test]
fn modes_are_plain_and_names_of_one_inode_stay_one_file() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/opt/\"]\n");
    sandbox.file("root/opt/tool", "#!").mode("root/opt/tool", 0o4751).file("root/opt/data", "x");
    sandbox.mode("root/opt/data", 0o664);
    std::fs::hard_link(sandbox.at("root/opt/data"), sandbox.at("root/opt/twin")).unwrap();
    sandbox.mode("root/opt/tool", 0o4755);
    let expected = "0644 0:0 1 /opt/data r.toml:2:10\n\
        0755 0:0 2 /opt/tool r.toml:2:10\n\
        0644 0:0 same as /opt/data /opt/twin r.toml:2:10\n";
    assert_eq!(tree(&sandbox, "/opt/"), expected);
}

#[test]
fn accounts_and_folders_of_the_image_user() {
    let sandbox = sandbox(
        "binaries = [\"app\"]\nuser = \"web\"\nwritable = [\"/var/cache/web\"]\nvolumes = [\"/data\"]\n\
         dirs = [{ path = \"/data\", owner = \"0:web\", mode = \"0770\" }]\n[users]\nweb = { uid = 1001, home = \"/srv/web\" }\n",
    );
    assert_eq!(tree(&sandbox, "/var/cache/web"), "0755 1001:1001 folder /var/cache/web r.toml:3:13\n");
    assert_eq!(tree(&sandbox, "/data"), "0770 0:1001 folder /data r.toml:5:18\n");
    assert_eq!(tree(&sandbox, "/srv/web"), "0700 1001:1001 folder /srv/web\n");
    assert_eq!(tree(&sandbox, "/tmp"), "1777 0:0 folder /tmp\n");
}

#[test]
fn a_glob_keeps_the_folders_below_its_first_wildcard() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"conf/**/*.conf\", to = \"/etc/app/\" }]\n");
    sandbox.file("conf/a.conf", "1").file("conf/x/b.conf", "2").file("conf/x/readme", "3");
    let expected = "0644 0:0 1 /etc/app/a.conf r.toml:2:10\n0644 0:0 1 /etc/app/x/b.conf r.toml:2:10\n";
    let made = tree(&sandbox, "/etc/app/");
    assert_eq!(
        made.lines().filter(|line| !line.contains("folder")).map(|l| l.to_owned() + "\n").collect::<String>(),
        expected
    );
}

#[test]
fn a_file_outside_the_root_is_out_of_reach_of_its_links() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"/etc/alias\", to = \"/alias\" }]\n");
    // The same path exists outside: the link must lead to the file of the root.
    sandbox.link("root/etc/alias", "/etc/hostname").file("root/etc/hostname", "inside");
    assert_eq!(tree(&sandbox, "/alias"), "0644 0:0 6 /alias r.toml:2:10\n");
}
