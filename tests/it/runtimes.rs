//! Language runtimes on synthetic roots: virtual environments, compiled Python, stores of Node's packages.

use std::os::unix::fs::MetadataExt;

use crate::sandbox::{Run, Sandbox};

/// A root with a Python that does nothing, and an environment made at `/build/venv` beside the recipe.
fn python() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/python3.11", 62)
        .file("root/usr/lib/python3.11/encodings/__init__.py", "")
        .file("root/usr/lib/python3.11/test/x.py", "")
        .file("root/usr/lib/python3.11/dist-packages/y.py", "")
        .file("root/etc/os-release", "ID=debian\n")
        .file(
            "venv/pyvenv.cfg",
            "home = /usr/bin\nversion = 3.11.2\ncommand = /usr/bin/python3.11 -m venv /build/venv\n",
        )
        .link("venv/bin/python", "python3.11")
        .link("venv/bin/python3.11", "/usr/bin/python3.11")
        .file("venv/bin/tool", "#!/build/venv/bin/python3.11\nimport tool\n")
        .mode("venv/bin/tool", 0o755)
        .file("venv/bin/other", "#!/usr/bin/python3.11 -I\n")
        .file("venv/bin/activate", "VIRTUAL_ENV=\"/build/venv\"\n")
        .file("venv/lib/python3.11/site-packages/tool.py", "print('tool')\n");
    sandbox
}

fn build(sandbox: &Sandbox, recipe: &str) -> Run {
    sandbox.file("r.toml", recipe);
    sandbox.run(&["build", "r.toml", "--root", "root", "-o", "rootfs:out"])
}

#[track_caller]
fn built(sandbox: &Sandbox, recipe: &str) -> Run {
    let run = build(sandbox, recipe);
    assert_eq!(run.code, 0, "{}", run.stderr);
    run
}

fn text(sandbox: &Sandbox, path: &str) -> String {
    std::fs::read_to_string(sandbox.at("out").join(path)).unwrap()
}

fn target(sandbox: &Sandbox, path: &str) -> String {
    std::fs::read_link(sandbox.at("out").join(path)).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn an_environment_works_at_another_place() {
    let sandbox = python();
    built(
        &sandbox,
        "binaries = [\"venv/bin/tool\"]\nfiles = [{ from = \"venv/\", to = \"/app/venv/\" }]\n[policy]\nno-pie = \"allow\"\n",
    );
    assert_eq!(text(&sandbox, "app/venv/bin/tool"), "#!/app/venv/bin/python3.11\nimport tool\n");
    assert_eq!(text(&sandbox, "app/venv/bin/other"), "#!/usr/bin/python3.11 -I\n");
    assert_eq!(text(&sandbox, "app/venv/pyvenv.cfg"), "home = /usr/bin\nversion = 3.11.2\n");
    assert_eq!(target(&sandbox, "app/venv/bin/python3.11"), "/usr/bin/python3.11");
    assert!(sandbox.at("out/usr/bin/python3.11").exists());
    assert_eq!(sandbox.names("out/usr/lib/python3.11"), ["encodings"], "the library, without tests and its packages");
    assert!(!sandbox.at("out/app/venv/bin/activate").exists());
    assert!(!sandbox.at("out/usr/bin/tool").exists());
    let told = sandbox.run(&["check", "-v", "r.toml", "--root", "root"]).stderr;
    assert!(told.contains("1 script of `/app/venv` got its place in the image for a first line"), "{told}");
    assert!(told.contains("instead of `/build/venv/bin/python3.11`: tool"), "{told}");
    let told = sandbox.run(&["why", "/app/venv/bin/tool", "r.toml", "--root", "root"]).stdout;
    assert!(told.contains("first line of a script in a virtual environment"), "{told}");
}

#[test]
fn an_environment_is_pointed_at_the_python_that_the_recipe_copies() {
    let sandbox = python();
    sandbox.static_program("cpython/bin/python3.11", 62).file("cpython/lib/python3.11/encodings/__init__.py", "");
    let python = sandbox.path().canonicalize().unwrap().join("cpython/bin/python3.11");
    std::fs::remove_file(sandbox.at("venv/bin/python3.11")).unwrap();
    sandbox
        .link("venv/bin/python3.11", python.to_str().unwrap())
        .file("venv/pyvenv.cfg", format!("home = {}\nversion = 3.11.2\n", python.parent().unwrap().display()));
    let venv = "binaries = [\"/app/venv/bin/tool\"]\n[policy]\nno-pie = \"allow\"\nshell = \"deny\"\n";
    let files = "files = [{ from = \"venv/\", to = \"/app/venv/\" }";
    let refused = build(&sandbox, &format!("{files}]\n{venv}"));
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("error[E0219]: `/app/venv/bin/python3.11` leads to"), "{}", refused.stderr);
    built(&sandbox, &format!("{files}, {{ from = \"cpython/\", to = \"/opt/python/\" }}]\n{venv}"));
    assert_eq!(target(&sandbox, "app/venv/bin/python3.11"), "/opt/python/bin/python3.11");
    assert_eq!(text(&sandbox, "app/venv/pyvenv.cfg"), "home = /opt/python/bin\nversion = 3.11.2\n");
}

#[test]
fn compiled_python_is_made_one_that_python_takes_or_left_out() {
    let sandbox = python();
    let source = "venv/lib/python3.11/site-packages/tool.py";
    let facts = std::fs::metadata(sandbox.at(source)).unwrap();
    let compiled = |magic: u16, mtime: i64| {
        let mut bytes = [magic.to_le_bytes().as_slice(), b"\r\n", &[0; 4]].concat();
        bytes.extend_from_slice(&u32::try_from(mtime & 0xffff_ffff).unwrap().to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(facts.size()).unwrap().to_le_bytes());
        [&bytes, b"code".as_slice()].concat()
    };
    let cache = "venv/lib/python3.11/site-packages/__pycache__";
    sandbox
        .file(&format!("{cache}/tool.cpython-311.pyc"), compiled(3495, facts.mtime()))
        .file(&format!("{cache}/tool.cpython-311.opt-1.pyc"), compiled(3495, facts.mtime() - 1))
        .file(&format!("{cache}/tool.cpython-312.pyc"), compiled(3531, facts.mtime()))
        .file(&format!("{cache}/gone.cpython-311.pyc"), compiled(3495, facts.mtime()));
    built(
        &sandbox,
        "binaries = [\"venv/bin/tool\"]\nfiles = [{ from = \"venv/\", to = \"/v/\" }]\n[policy]\nno-pie = \"allow\"\n",
    );
    assert_eq!(sandbox.names("out/v/lib/python3.11/site-packages/__pycache__"), ["tool.cpython-311.pyc"]);
    let bytes =
        std::fs::read(sandbox.at("out/v/lib/python3.11/site-packages/__pycache__/tool.cpython-311.pyc")).unwrap();
    // Flags 1: by the hash of the source, which is not looked at; as `importlib.util.source_hash(b"print('tool')\n")`.
    assert_eq!(bytes[..8], *b"\xa7\x0d\r\n\x01\0\0\0");
    assert_eq!(bytes[16..], *b"code");
    let told = sandbox.run(&["check", "-v", "r.toml", "--root", "root"]).stderr;
    assert!(told.contains("note: 3 compiled Python files were left out"), "{told}");
}

#[test]
fn a_package_of_a_store_comes_with_what_lies_beside_it() {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/app", 62)
        .file("repo/package.json", "{}")
        .link("repo/apps/web/node_modules/a", "../../../node_modules/.pnpm/a@1/node_modules/a")
        .file("repo/node_modules/.pnpm/a@1/node_modules/a/index.js", "require('b')")
        .link("repo/node_modules/.pnpm/a@1/node_modules/b", "../../b@2/node_modules/b")
        .file("repo/node_modules/.pnpm/b@2/node_modules/b/index.js", "require('a')")
        .link("repo/node_modules/.pnpm/b@2/node_modules/a", "../../a@1/node_modules/a")
        .file("repo/node_modules/.pnpm/c@3/node_modules/c/index.js", "");
    built(
        &sandbox,
        "binaries = [\"app\"]\nfiles = [{ from = \"repo/apps/web/\", to = \"/srv/repo/apps/web/\" }]\n[policy]\nno-pie = \"allow\"\n",
    );
    let store = sandbox.names("out/srv/repo/node_modules/.pnpm");
    assert_eq!(store, ["a@1", "b@2"]);
    let through = "srv/repo/apps/web/node_modules/a/../b/index.js";
    assert_eq!(text(&sandbox, through), "require('a')");
}

#[test]
fn served_files_whose_tags_stay_the_same_are_told() {
    let sandbox = Sandbox::new();
    for program in ["nginx", "node", "serve", "uvicorn"] {
        sandbox.static_program(&format!("root/usr/bin/{program}"), 62);
    }
    sandbox
        .file("site/index.html", "<p>one</p>")
        .file("site/data.bin", "x")
        .file("app/main.js", "")
        .file("app/dist/main.js", "")
        .file("node_modules/y/public/y.css", "")
        .file("app/node_modules/x/dist/x.js", "")
        .file("app/public/style.css", "a {}")
        .file("nginx.conf", "http { server { # root /nowhere;\n location / { root \"/data/site/\"; } } }\n");
    let conf = "{ from = \"nginx.conf\", to = \"/etc/nginx.conf\" }";
    let site = |more: &str| format!("{{ from = \"site/\", to = \"/data/site/\"{more} }}");
    let app = "{ from = \"app/\", to = \"/app/\" }";
    let www = "{ content = \"<p>\", to = \"/var/www/index.html\" }";
    let told = |program: &str, files: &[&str]| {
        let files = files.join(", ");
        let policy = "policy = { no-pie = \"allow\" }";
        sandbox.file("r.toml", format!("binaries = [\"{program}\"]\nfiles = [{files}]\n{policy}\n"));
        let run = sandbox.run(&["check", "-v", "r.toml", "--root", "root"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let Some(end) = run.stderr.find("keeps its ETag") else { return String::new() };
        let start = run.stderr[..end].rfind("note: ").unwrap() + "note: ".len();
        run.stderr[start..].to_owned()
    };
    let note = told("nginx", &[conf, &site("")]);
    assert!(note.starts_with("`/data/site/index.html` keeps its ETag"), "{note}");
    assert!(note.contains("write `{ from = \"site/\", to = \"/data/site/\", mtime = \"content\" }`"), "{note}");
    assert_eq!(told("nginx", &[conf, &site(", mtime = \"content\"")]), "");
    assert_eq!(told("nginx", &[&site("")]), "", "nothing says that it is served");
    let note = told("nginx", &[&site(", owner = \"1\"").replace("data/site", "srv"), www]);
    assert!(note.contains("add `mtime = \"content\"` to the entry"), "{note}");
    assert!(note.contains("1 more entry"), "{note}");
    assert!(told("node", &[app]).starts_with("`/app/public/style.css` keeps"));
    assert!(told("uvicorn", &[app]).contains("Starlette makes the tag"));
    assert_eq!(told("serve", &[app]), "");
    assert_eq!(told("node", &[&site("")]), "");
    assert_eq!(
        told("node", &["{ from = \"node_modules/\", to = \"/app/\" }", &app.replace("app/\", to", "app/dist/\", to")]),
        ""
    );
}
