//! A table of all rules, each with an image that breaks it and one that keeps it; waivers, floors, and reports.

use std::collections::BTreeSet;
use std::sync::Arc;

use mkimage::policy::{Detail, HostRoot, Judged, Relro, Unexplained, junit, rules, sarif};
use mkimage::recipe::{Context, Floor, load_floor};
use mkimage::report::{Texts, render};
use mkimage::tree::{Cause, EntryKind};

use crate::ownership::Root;
use crate::policy::{GOOD, Image, KEY, at, with_shell};
use crate::sandbox::Sandbox;
use crate::support::root::Root as Loaders;

/// A file alone in an image.
fn file(policy: &str, path: &str, mode: u32, content: &str) -> String {
    let mut image = Image::new(&format!("files = [\"/app/\"]\n[policy]\n{policy}\n"));
    image.file(path, mode, content).titles()
}

/// An object alone in an image.
fn linked(policy: &str, change: impl FnOnce(&mut mkimage::policy::Hardening)) -> String {
    let mut image = Image::new(&format!("files = [\"/x\"]\n[policy]\n{policy}\n"));
    let mut hardening = GOOD;
    change(&mut hardening);
    image.linked = Some(hardening);
    image.file("/x", 0o755, "").titles()
}

/// A root with two packages, and their licences.
fn packages(policy: &str) -> String {
    let root = Root::new(
        "/usr/bin/perl p
         /usr/bin/tool t
         /usr/bin/plain x
         /usr/share/doc/plain/copyright This package was debianized by hand.",
    );
    let copyright = |licence: &str| format!("Format: dep5\n\nFiles: *\nCopyright: x\nLicense: {licence}\n");
    root.write("/usr/share/doc/perl/copyright", &copyright("GPL-1+ or Artistic"));
    root.write("/usr/share/doc/tool/copyright", &copyright("GPL-3+"));
    for name in ["perl", "tool", "plain"] {
        let stanza = format!("Package: {name}\nStatus: install ok installed\nVersion: 5-1\nArchitecture: all");
        let (program, copyright) = (format!("/usr/bin/{name}"), format!("/usr/share/doc/{name}/copyright"));
        root.package(&stanza, name, &[&program, &copyright]);
    }
    let mut image = Image::on(&format!("files = [\"/usr/\"]\n[policy]\n{policy}\n"), root.folder());
    let paths = ["/usr/bin/perl", "/usr/bin/tool", "/usr/bin/plain"];
    let copyrights = ["perl", "tool", "plain"].map(|name| format!("/usr/share/doc/{name}/copyright"));
    let all: Vec<&str> = paths.into_iter().chain(copyrights.iter().map(String::as_str)).collect();
    image.bring_from_root(&all, &Cause::Folder("/usr".to_owned())).titles()
}

/// What `check` says of a recipe on a root with loaders, with codes.
fn checked(lines: &str, recipe: &str) -> String {
    let (root, sandbox) = (Loaders::glibc(lines), Sandbox::new());
    sandbox.file("r.toml", recipe);
    let run = sandbox.run(&["check", "r.toml", "--root", root.host("/").to_str().unwrap()]);
    run.stderr.replace('[', " ").replace("]:", ":")
}

fn versions(verdict: &str) -> String {
    let program = "/usr/bin/p program libc.so.6 verneed=libc.so.6:GLIBC_9.9";
    checked(program, &format!("binaries = [\"p\"]\n[policy]\nsymbol-versions = \"{verdict}\"\n"))
}

fn foreign(verdict: &str) -> String {
    let lines = "/usr/bin/p program libc.so.6\n/opt/m/p program libc.so.6\n/opt/m/other library libc.so.6 machine=183";
    checked(lines, &format!("binaries = [\"p\"]\nfiles = [\"/opt/m/\"]\n[policy]\nforeign-elf = \"{verdict}\"\n"))
}

fn host(verdict: &str) -> String {
    let mut image = Image::new(&format!("[policy]\nhost-root = \"{verdict}\"\n"));
    image.host = Some(HostRoot { distribution: "Debian", ci: true });
    image.titles()
}

fn user(uid: u32) -> String {
    let mut image = Image::new("files = [\"/app/\"]\n");
    image.uid = uid;
    image.titles()
}

fn capabilities(name: &str) -> String {
    let mut image = Image::new("files = [\"/app\"]\n");
    image.file("/app", 0o755, "");
    image.tree.get_mut(&at("/app")).unwrap().xattrs.push((name.to_owned(), vec![1]));
    image.titles()
}

fn named(in_image: bool) -> String {
    let mut image = Image::new("files = [\"/x\"]\n[policy]\ndlopen = \"deny\"\n");
    if !in_image {
        let by = vec![(at("/x"), "`dlopen`".to_owned())];
        image.unexplained = vec![Unexplained { name: "liba.so.1".into(), by, in_root: None }];
    }
    image.file("/x", 0o755, "").titles()
}

fn unowned(path: &str) -> String {
    let root = Root::new("/usr/bin/tool t\n/usr/local/bin/own o");
    let stanza = "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all";
    root.package(stanza, "tool", &["/usr/bin/tool"]);
    let mut image = Image::on("files = [\"/usr/\"]\n", root.folder());
    image.bring_from_root(&[path], &Cause::Key("files")).titles()
}

/// A build of one program.
fn download(limit: &str) -> String {
    let sandbox = Sandbox::new();
    sandbox.static_program("root/usr/bin/app", 62);
    sandbox.file("r.toml", format!("binaries = [\"app\"]\n[policy]\nmax-download = {limit}\n"));
    let run = sandbox.run(&["build", "r.toml", "--root", "root", "--no-fsync"]);
    run.stderr.replace('[', " ").replace("]:", ":")
}

type Case = (&'static str, fn() -> String, fn() -> String);

/// For each rule what breaks it, and what comes as near as it may.
const TABLE: [Case; 25] = [
    ("shell", || file("", "/bin/dash", 0o755, ""), || file("", "/bin/dashboard", 0o755, "")),
    ("setuid", || file("", "/a", 0o4755, ""), || file("", "/a", 0o755, "")),
    ("root-user", || user(0), || user(1)),
    ("world-writable", || file("", "/a", 0o666, ""), || file("", "/a", 0o664, "")),
    (
        "secrets",
        || file("", "/app/tls.pem", 0o644, KEY),
        || file("", "/app/tls.pem", 0o644, "-----BEGIN CERTIFICATE-----\n"),
    ),
    ("capabilities", || capabilities("security.capability"), || capabilities("user.capability")),
    ("no-pie", || linked("", |it| it.pie = Some(false)), || linked("", |it| it.pie = None)),
    (
        "partial-relro",
        || linked("", |it| it.relro = Relro::Partial),
        || linked("", |it| it.relro = Relro::NotApplicable),
    ),
    ("exec-stack", || linked("", |it| it.exec_stack = true), || linked("", |_| {})),
    ("unowned", || unowned("/usr/local/bin/own"), || unowned("/usr/bin/tool")),
    ("host-root", || host("deny"), || host("allow")),
    (
        "max-size",
        || file("max-size = 9", "/a", 0o644, "0123456789"),
        || file("max-size = 10", "/a", 0o644, "0123456789"),
    ),
    ("max-files", || packages("max-files = 5"), || packages("max-files = 6")),
    (
        "deny-files",
        || file("deny-files = [\"/app/**\"]", "/app/a/b", 0o644, ""),
        || file("deny-files = [\"/app/*\"]", "/app/a/b", 0o644, ""),
    ),
    ("deny-packages", || packages("deny-packages = [\"perl\"]"), || packages("deny-packages = [\"perl-base\"]")),
    (
        "allow-packages",
        || packages("allow-packages = [\"perl\"]"),
        || packages("allow-packages = [\"perl\", \"tool\", \"plain\"]"),
    ),
    ("symbol-versions", || versions("deny"), || versions("warn")),
    ("foreign-elf", || foreign("deny"), || foreign("allow")),
    ("dlopen", || named(false), || named(true)),
    ("textrel", || linked("", |it| it.writable_code = true), || linked("", |_| {})),
    (
        "unsafe-rpath",
        || linked("", |it| it.search_paths = vec![b"/tmp/x".into()]),
        || linked("", |it| it.search_paths = vec![b"/usr/lib/x".into()]),
    ),
    (
        "no-canary",
        || linked("no-canary = \"warn\"", |it| it.canary = Some(false)),
        || linked("no-canary = \"warn\"", |it| it.canary = None),
    ),
    ("deny-licenses", || packages("deny-licenses = [\"GPL-3.0-*\"]"), || packages("deny-licenses = [\"GPL-1.0-*\"]")),
    (
        "allow-licenses",
        || packages("allow-licenses = [\"GPL-*\"]"),
        || packages("allow-licenses = [\"artistic-1.0-perl\", \"GPL-3.0-or-later\", \"unknown\"]"),
    ),
    ("max-download", || download("100"), || download("\"1MB\"")),
];

#[test]
fn every_rule_is_broken_by_one_image_and_kept_by_another() {
    let names: BTreeSet<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
    for rule in rules() {
        assert!(names.contains(rule.name), "`{}` has no pair of images in the table", rule.name);
    }
    for (name, breaks, keeps) in TABLE {
        let rule = rules().iter().find(|rule| rule.name == name).unwrap();
        let says = |text: &str| text.contains(&format!(" {}:", rule.code));
        let (broken, kept) = (breaks(), keeps());
        assert!(says(&broken), "{name} is not broken: {broken}");
        assert!(!says(&kept), "{name} is not kept: {kept}");
    }
}

#[test]
fn licences_are_told_with_their_packages() {
    let said = packages("deny-licenses = [\"GPL-3.0-*\"]");
    assert_eq!(said, "error E0324: policy forbids the licence of `tool`\n");
    let said = packages("allow-licenses = [\"GPL-3.0-or-later\", \"Artistic-1.0-Perl\"]");
    assert_eq!(said, "error E0325: policy does not allow the licence of `plain`\n", "nobody knows it");
}

#[test]
fn secrets_in_the_configuration() {
    let token = format!("ghp_{}", "a7Xq9LmZ2RtB4vKc8WdY1sHnU6jPgE3oF5iT");
    let said =
        Image::new(&format!("cmd = [\"--token={token}\"]\n[env]\nDB_PASSWORD = \"hunter22\"\nA = \"b\"\n")).titles();
    assert_eq!(
        said,
        "error E0305: policy forbids a secret, and the image's configuration has one in `env.DB_PASSWORD`, a secret by its name\n"
    );
    let said = Image::new(&format!("cmd = [\"--token={token}\"]\n")).titles();
    assert!(said.contains("has one in `cmd`, a GitHub token") && !said.contains("ghp_"), "{said}");
    assert_eq!(Image::new("[env]\nDB_PASSWORD_FILE = \"/run/secrets/db\"\n").titles(), "");
    for (line, what) in [
        ("AWS_SECRET_ACCESS_KEY = \"abc\"", "`env.AWS_SECRET_ACCESS_KEY`, a secret by its name"),
        ("SMTP_PASS = \"abc\"", "`env.SMTP_PASS`, a secret by its name"),
        ("URL = \"postgres://app:hunter2@db/app\"", "`env.URL`, a password in an address"),
    ] {
        let said = Image::new(&format!("[env]\n{line}\n")).titles();
        assert!(said.ends_with(&format!("has one in {what}\n")), "{said}");
    }
    assert_eq!(Image::new("[env]\nURL = \"postgres://app:$${DB_PASSWORD}@db/app\"\nPWD = \"x\"\n").titles(), "");
    let said = file("", "/app/config.yml", 0o644, &format!("token: {token}\n"));
    assert!(said.ends_with("`/app/config.yml`, a GitHub token\n"), "{said}");
}

const WAIVED: &str = "files = [\"/usr/bin/\"]\n[[policy.waive]]\nrule = \"shell\"\npath = \"/usr/bin/*\"\nreason = \"the start script\"\n";

#[test]
fn what_is_waived_is_no_finding_and_is_told() {
    let image = with_shell(WAIVED);
    assert_eq!(image.titles(), "");
    let verdicts = image.verdicts();
    let waived: Vec<&str> = verdicts.waived.iter().map(|waived| waived.summary.as_str()).collect();
    assert_eq!(waived, ["`/usr/bin/dash`: shell", "`/usr/bin/sh`: shell"]);
    assert_eq!(verdicts.waived[0].waiver.reason, "the start script");
    let one = with_shell(&WAIVED.replace("/usr/bin/*", "/usr/bin/sh")).titles();
    assert_eq!(one, "error E0301: policy forbids a shell, and the image would have `/usr/bin/dash`\n");
    let until = format!("{WAIVED}until = \"2026-11-26\"\n");
    assert_eq!(with_shell(&until).titles(), "", "the last day");
    let mut root = Image::new("user = \"root\"\n[[policy.waive]]\nrule = \"root-user\"\nreason = \"legacy\"\n");
    root.uid = 0;
    assert_eq!(root.titles(), "");
    assert_eq!(root.verdicts().waived.len(), 1);
}

#[test]
fn a_waiver_that_ended_or_is_for_nothing_is_told() {
    let image = with_shell(&format!("{WAIVED}until = \"2026-11-25\"\n"));
    let verdicts = image.verdicts();
    let said = render(&verdicts.errors(), &image.texts, false);
    assert!(said.contains("= note: it was waived until 2026-11-25: the start script\n"), "{said}");
    let said = render(&verdicts.warnings(Detail::Brief), &image.texts, false);
    assert!(said.starts_with("warning[E0330]: a waiver of `shell` ended on 2026-11-25\n"), "{said}");
    let said = with_shell(&WAIVED.replace("\"shell\"", "\"setuid\"")).titles();
    assert!(said.ends_with("warning E0331: a waiver of `setuid` is for nothing that the image has\n"), "{said}");
}

fn floor(text: &str) -> Arc<Floor> {
    let sandbox = Sandbox::new();
    sandbox.file("floor.toml", text);
    let mut texts = Texts::default();
    Arc::new(
        load_floor(&sandbox.at("floor.toml"), None, &Context::default(), &mut texts)
            .map_err(|e| render(&e.0, &texts, false))
            .unwrap(),
    )
}

#[test]
fn a_recipe_can_be_stricter_than_the_floor_and_never_less_strict() {
    let judged = |recipe: &str, below: &str| {
        let mut image = with_shell(&format!("files = [\"/usr/bin/\"]\n{recipe}"));
        image.recipe.policy.floor = Some(floor(below));
        let verdicts = image.verdicts();
        let codes = |all: Vec<mkimage::report::Diagnostic>| all.into_iter().map(|it| it.code.to_string());
        codes(verdicts.errors())
            .chain(codes(verdicts.warnings(Detail::Brief)).map(|code| format!("{code}?")))
            .collect::<Vec<_>>()
    };
    assert_eq!(judged("[policy]\nshell = \"allow\"\n", "[policy]\nshell = \"deny\"\n"), ["E0301"]);
    assert_eq!(judged("[policy]\nshell = \"allow\"\n", "[policy]\nshell = \"warn\"\n"), ["E0301?"]);
    assert_eq!(judged("", "[policy]\nshell = \"warn\"\n"), ["E0301"], "the default is stricter");
    assert_eq!(judged("[policy]\nshell = \"allow\"\n", "[policy]\nsetuid = \"deny\"\n"), [""; 0]);
    let allowed = "[policy]\nshell = \"allow\"\n";
    assert_eq!(judged(&format!("{allowed}max-files = 9\n"), "[policy]\nmax-files = 3\n"), ["E0313"]);
    assert_eq!(judged(&format!("{allowed}max-files = 3\n"), "[policy]\nmax-files = 9\n"), ["E0313"]);
    assert_eq!(
        judged(&format!("{allowed}deny-files = [\"/x\"]\n"), "[policy]\ndeny-files = [\"/usr/bin/a\"]\n"),
        ["E0314"]
    );
    let waiver = "[[policy.waive]]\nrule = \"shell\"\nreason = \"r\"\n";
    assert_eq!(judged(waiver, "[policy]\nshell = \"deny\"\n"), [""; 0], "waived with a reason");
    assert_eq!(judged(waiver, "[policy]\nforbid-waivers = [\"shell\"]\n"), ["E0301", "E0332?"]);
    assert_eq!(judged("", waiver), [""; 0], "the floor itself waives");
}

#[test]
fn help_under_a_floor_is_what_the_floor_lets_a_recipe_do() {
    let told = |recipe: &str, below: &str| {
        let mut image = with_shell(&format!("files = [\"/usr/bin/\"]\n{recipe}"));
        image.recipe.policy.floor = (!below.is_empty()).then(|| floor(below));
        let verdicts = image.verdicts();
        let all = [verdicts.errors(), verdicts.warnings(Detail::Full)].concat();
        let labels = all[0].labels.iter().filter(|label| label.text == "rule set here").count();
        (labels, all[0].helps.last().cloned().unwrap_or_default())
    };
    let allow = "if the image must have it, say so under [policy]: `shell = \"allow\"`";
    let waive = "the policy below lets no recipe allow it; if the image must have it, say why: [[policy.waive]] with `rule = \"shell\"` and a `reason`";
    assert_eq!(told("", ""), (0, allow.to_owned()));
    assert_eq!(told("", "[policy]\nshell = \"warn\"\n"), (0, allow.to_owned()), "a warning stays, which is allowed");
    // As strict as the default: the recipe can't say less all the same.
    assert_eq!(told("", "[policy]\nshell = \"deny\"\n"), (1, waive.to_owned()));
    assert_eq!(told("[policy]\nshell = \"allow\"\n", "[policy]\nshell = \"deny\"\n"), (1, waive.to_owned()));
    let unwaived = told("", "[policy]\nshell = \"deny\"\nforbid-waivers = [\"shell\"]\n");
    assert_eq!(unwaived, (1, "the policy below lets no recipe allow or waive it".to_owned()));
    let (_, warned) = told("[policy]\nshell = \"allow\"\n", "[policy]\nshell = \"warn\"\n");
    assert!(warned.starts_with("the policy below lets no recipe silence this; [[policy.waive]]"), "{warned}");
}

#[test]
fn a_floor_has_one_table() {
    let sandbox = Sandbox::new();
    sandbox.static_program("root/usr/bin/app", 62).file("r.toml", "binaries = [\"app\"]\n");
    let run = |text: &str| {
        sandbox.file("floor.toml", text);
        sandbox.run(&["check", "r.toml", "--root", "root", "--policy", "floor.toml"])
    };
    assert_eq!(run("[policy]\nshell = \"deny\"\n").code, 0);
    let absent = sandbox.run(&["check", "r.toml", "--root", "root", "--policy", "none.toml"]);
    let says = "error[E0100]: cannot read policy `none.toml`: no such file or directory\n";
    assert!(absent.code == 2 && absent.stderr.starts_with(says), "{}", absent.stderr);
    let stray = run("binaries = [\"x\"]\n");
    assert!(
        stray.code == 2 && stray.stderr.starts_with("error[E0102]: `binaries` is no key of a policy"),
        "{}",
        stray.stderr
    );
    let wrong = run("[policy]\nshel = \"deny\"\n");
    assert!(wrong.code == 2 && wrong.stderr.contains("a key with a similar name exists: `shell`"), "{}", wrong.stderr);
    let absent = sandbox.run(&["check", "r.toml", "--root", "root", "--policy", "none.toml"]);
    assert_eq!(absent.code, 2, "{}", absent.stderr);
    sandbox.file("r.toml", "binaries = [\"app\"]\n[policy]\nforbid-waivers = [\"shell\"]\n");
    let own = sandbox.run(&["check", "r.toml", "--root", "root"]);
    assert!(own.code == 2 && own.stderr.contains("`forbid-waivers` is no key of a recipe's policy"), "{}", own.stderr);
}

#[test]
fn the_environment_names_a_floor() {
    let sandbox = Sandbox::new();
    sandbox.static_program("root/usr/bin/sh", 62).file("r.toml", "binaries = [\"sh\"]\n[policy]\nshell = \"allow\"\n");
    sandbox.file("floor.toml", "[policy]\nshell = \"deny\"\n");
    let build = |arguments: &[&str]| {
        sandbox.run_with(&[&["build", "r.toml", "--root", "root", "--no-fsync"], arguments].concat(), |command| {
            command.env("MKIMAGE_POLICY", "floor.toml");
        })
    };
    let said = build(&["--policy-report", "out.sarif", "--policy-report", "out.xml"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("::: floor.toml:2:9") || said.stderr.contains("floor.toml:2:9"), "{}", said.stderr);
    assert_eq!(sandbox.names("."), ["floor.toml", "out.sarif", "out.xml", "r.toml", "root"]);
    let log: serde_json::Value = serde_json::from_slice(&std::fs::read(sandbox.at("out.sarif")).unwrap()).unwrap();
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "E0301");
    let wrong = build(&["--policy-report", "out.txt"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("ends neither in .sarif"), "{}", wrong.stderr);
}

#[test]
fn an_image_that_was_built_before_is_judged_anew() {
    let sandbox = Sandbox::new();
    sandbox.static_program("root/usr/bin/sh", 62).file("r.toml", "binaries = [\"sh\"]\n[policy]\nshell = \"warn\"\n");
    sandbox.file("floor.toml", "[policy]\nshell = \"deny\"\n");
    let build = |more: &[&str]| {
        let arguments = ["build", "r.toml", "--root", "root", "--no-fsync", "--cache-dir", "cache"];
        sandbox.run(&[&arguments[..], more].concat())
    };
    for _ in 0..2 {
        assert_eq!(build(&[]).code, 0);
    }
    for name in ["a.sarif", "b.sarif"] {
        let run = build(&["--policy-report", name]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let log: serde_json::Value = serde_json::from_slice(&std::fs::read(sandbox.at(name)).unwrap()).unwrap();
        assert_eq!(log["runs"][0]["results"][0]["ruleId"], "E0301", "{name}");
    }
    assert_eq!(build(&["--policy", "floor.toml"]).code, 3);
    let waived =
        "binaries = [\"sh\"]\n[[policy.waive]]\nrule = \"shell\"\nreason = \"known\"\nuntil = \"2023-11-14\"\n";
    sandbox.file("r.toml", waived);
    let on = |day: &str| {
        let arguments = ["build", "r.toml", "--root", "root", "--no-fsync", "--cache-dir", "cache"];
        sandbox.run_with(&arguments, |command| {
            command.env("SOURCE_DATE_EPOCH", day);
        })
    };
    for (day, code) in [("1699920000", 0), ("1699920000", 0), ("1700092800", 3)] {
        let run = on(day);
        assert_eq!(run.code, code, "{day}: {}", run.stderr);
    }
}

#[test]
fn reports_name_paths_places_and_reasons() {
    let mut image = with_shell(&format!("{WAIVED}[policy]\nsetuid = \"warn\"\n").replace("/usr/bin/*", "/usr/bin/sh"));
    let span = image.recipe.files[0].span;
    image.place(
        "/usr/bin/su",
        EntryKind::File(mkimage::source::Content::bytes("x")),
        0o4755,
        Cause::Key("files"),
        Some(span),
    );
    let verdicts = image.verdicts();
    let judged = |recipe: &str| Judged {
        image: "registry.example/app".to_owned(),
        recipe: recipe.to_owned(),
        platform: "linux/amd64".to_owned(),
        verdicts: verdicts.clone(),
        unpacked: false,
    };
    let log = sarif(&[judged("app.toml")], &image.texts);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let line = |result: &serde_json::Value| {
        let place = &result["locations"][0];
        format!(
            "{} {} {} {} {}",
            result["ruleId"].as_str().unwrap(),
            result["level"].as_str().unwrap(),
            place["logicalLocations"][0]["fullyQualifiedName"].as_str().unwrap(),
            place["physicalLocation"]["region"]["startLine"],
            result["suppressions"][0]["justification"],
        )
    };
    let lines: Vec<String> = results.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "E0301 error registry.example/app/usr/bin/dash 2 null",
            "E0302 warning registry.example/app/usr/bin/su 2 null",
            "E0301 note registry.example/app/usr/bin/sh 3 \"the start script\"",
        ]
    );
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    }
    let xml = junit(&[judged("app.toml")]);
    assert!(
        xml.contains("<testsuite name=\"registry.example/app (linux/amd64)\" tests=\"25\" failures=\"1\">"),
        "{xml}"
    );
    assert!(
        xml.contains("name=\"shell\"><failure type=\"E0301\"")
            && xml.contains("waived: `/usr/bin/sh`: shell: the start script")
    );
    assert!(xml.contains("name=\"setuid\"><system-out>setuid: 1 setuid or setgid file"), "{xml}");
}

/// The lines of a report that name a rule.
fn reported(sandbox: &Sandbox, command: &str) -> String {
    let run = sandbox.run(&command.split(' ').collect::<Vec<_>>());
    assert!(run.code == 0 || run.code == 3, "{command}: {}", run.stderr);
    let xml = std::fs::read_to_string(sandbox.at("report.xml")).unwrap();
    let sarif: serde_json::Value = serde_json::from_slice(&std::fs::read(sandbox.at("report.sarif")).unwrap()).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap().iter();
    let results = results.map(|result| format!("{} {}\n", result["ruleId"], result["message"]["text"]));
    let lines = xml.lines().filter(|line| line.contains("<testsuite ") || line.contains("max-download"));
    lines.map(|line| format!("{}\n", line.trim())).chain(results).collect()
}

#[test]
fn reports_hold_what_was_found_of_packed_layers() {
    let sandbox = Sandbox::new();
    sandbox.static_program("root/usr/bin/app", 62);
    let recipe = |limit: &str| format!("binaries = [\"app\"]\n[policy]\nmax-download = {limit}\n");
    sandbox.file("r.toml", recipe("100"));
    let reports = "--root root --policy-report report.xml --policy-report report.sarif";
    let built = reported(&sandbox, &format!("build r.toml {reports} --no-fsync"));
    assert!(built.contains("tests=\"25\" failures=\"1\">\n"), "{built}");
    assert!(built.contains("name=\"max-download\"><failure type=\"E0350\" message=\"the layers are "), "{built}");
    assert!(built.contains("\"E0350\" \"max-download: the layers are "), "{built}");
    // Nothing is packed, so that nobody knows.
    let checked = reported(&sandbox, &format!("check r.toml {reports}"));
    assert!(checked.contains("failures=\"0\" skipped=\"1\">\n"), "{checked}");
    assert!(
        checked.contains("name=\"max-download\"><skipped message=\"judged when layers are packed\"/><"),
        "{checked}"
    );
    // A limit that holds, and none.
    sandbox.file("r.toml", recipe("\"1MB\""));
    let built = reported(&sandbox, &format!("build r.toml {reports} --no-fsync"));
    assert!(built.contains("failures=\"0\">\n") && built.contains("name=\"max-download\"/>\n"), "{built}");
    sandbox.file("r.toml", "binaries = [\"app\"]\n");
    let checked = reported(&sandbox, &format!("check r.toml {reports}"));
    assert!(checked.contains("failures=\"0\">\n") && checked.contains("name=\"max-download\"/>\n"), "{checked}");
}
