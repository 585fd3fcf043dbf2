//! Programs of a user's own, in several languages, each a small web server.

use crate::call::Call;
use crate::engine::Engine;
use crate::runner::Test;
use crate::services::fetch;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "java_answers", needs: &["podman", "runc", "javac", "curl"], run: java },
    Test { name: "node_answers", needs: &["podman", "runc", "node", "curl"], run: node },
    Test {
        name: "python_answers_over_tls",
        needs: &["podman", "runc", "python3.11", "openssl"],
        run: |workshop| python(workshop, workshop.podman()),
    },
    Test {
        name: "python_answers_over_tls_in_docker",
        needs: &["dockerd", "python3.11", "openssl"],
        run: |workshop| python(workshop, workshop.docker()),
    },
    Test { name: "static_program_answers", needs: &["podman", "runc", "cc", "curl"], run: static_program },
    Test { name: "musl_program_answers", needs: &["podman", "runc", "musl-gcc", "curl"], run: musl_program },
];

/// Starts the service of a recipe, asks it once, stops it with its stop signal and gives the answer.
fn answer(workshop: &Workshop, recipe: &str, port: u16) -> String {
    let engine = workshop.podman();
    let server = engine.start(&workshop.image(engine, recipe), &[], &[]);
    let answer = fetch(workshop, engine, &server, &format!("http://127.0.0.1:{port}/some/path"));
    server.stop();
    answer
}

#[track_caller]
fn assert_holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` in {text}");
    }
}

fn java(workshop: &Workshop) {
    workshop.prepare(&[
        &["javac", "--release", "17", "-d", "java/classes", "java/App.java"],
        &["jar", "--create", "--file", "java/app.jar", "--main-class", "App", "-C", "java/classes", "."],
    ]);
    let answer = answer(workshop, "java", 8080);
    assert_holds(&answer, &["\"java\":\"17.", "\"path\":\"/some/path\"", "\"user\":\"nonroot\"", "+0"]);
}

fn node(workshop: &Workshop) {
    let answer = answer(workshop, "node", 3000);
    assert_holds(&answer, &["\"node\":\"v", "\"path\":\"/some/path\"", "\"user\":65532", "1.234,50"]);
}

/// The client trusts the company's root through the image's CA bundle; without it the same client refuses.
fn python(workshop: &Workshop, engine: &Engine) {
    let tls = workshop.tls();
    let company = "extends = \"python.toml\"\nname = \"company/python\"\n[certificates]\nadd = [\"ca.pem\"]\n";
    workshop.write("python-company.toml", company);
    let plain = workshop.image(engine, "python");
    let mount = format!("--volume={}:/tls:ro", tls.display());
    let serve = ["serve", "--port=8443", "--cert=/tls/server.pem", "--key=/tls/server.key"];
    let server = engine.start(&plain, &[&mount], &serve);
    server.wait_for("listening");

    let get = ["get", "https://localhost:8443/some/path"];
    let answer = server.client(&workshop.image(engine, "python-company"), &[], &get).text();
    assert_holds(&answer, &["\"python\": \"3.11", "\"path\": \"/some/path\"", "\"user\": 65532", "+0"]);
    let refused = server.client(&plain, &[], &get).ended();
    assert!(!refused.success && refused.stderr.contains("CERTIFICATE_VERIFY_FAILED"), "{}", refused.report());
    server.stop();
}

fn static_program(workshop: &Workshop) {
    workshop.prepare(&[&["cc", "-static-pie", "-O2", "-o", "server/static", "server/server.c"]]);
    assert_eq!(answer(workshop, "static-server", 8080), "hello from a server without company\n");
    // The file itself and the base's data: no library and no loader.
    let listing = workshop
        .mkimage()
        .args(["build", "static-server.toml", "-o"])
        .arg(format!("rootfs:{}", workshop.path("static").display()));
    listing.text();
    let found = Call::new("find").arg(workshop.path("static")).args(["-type", "f", "-name", "*.so*"]).text();
    assert_eq!(found, "");
}

fn musl_program(workshop: &Workshop) {
    workshop.prepare(&[&["musl-gcc", "-O2", "-o", "server/musl", "server/server.c"]]);
    assert_eq!(answer(workshop, "musl-server", 8080), "hello from a server without company\n");
}
