//! The bases of `recipes/` under `FROM`: Buildah puts a program on each, and it runs.

use std::fs;
use std::path::Path;

use crate::call::Call;
use crate::engine::Engine;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "static_is_a_base_for_a_static_program",
        needs: &["podman", "runc", "buildah", "cc"],
        run: static_base,
    },
    Test { name: "base_is_a_base_for_a_c_program", needs: &["podman", "runc", "buildah", "cc"], run: base },
    Test { name: "cc_is_a_base_for_a_cpp_program", needs: &["podman", "runc", "buildah", "c++"], run: cc },
    Test { name: "debug_twin_has_a_shell", needs: &["podman", "runc", "skopeo", "busybox"], run: debug_twin },
];

/// What a C program says when its C library, locale, time zones and accounts work.
const C: &str = r#"
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
static void *run(void *unused) { pthread_exit(unused); }
int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    pthread_join(thread, NULL);
    struct passwd *user = getpwuid(getuid());
    struct servent *service = getservbyname("https", "tcp");
    time_t summer = 1782907200;
    char text[32];
    strftime(text, sizeof text, "%H:%M %Z", localtime(&summer));
    printf("%s %d %s %s\n", user ? user->pw_name : "?", service ? service->s_port >> 8 & 255 | (service->s_port & 255) << 8 : 0,
           text, setlocale(LC_ALL, "C.UTF-8") ? "UTF-8" : "no locale");
}
"#;

const CPP: &str = r#"
#include <iostream>
#include <stdexcept>
int main() {
    try { throw std::runtime_error("caught"); }
    catch (const std::exception &error) { std::cout << error.what() << std::endl; }
}
"#;

/// Compiles `source`, puts it on the image `base` with a Containerfile and gives what it prints.
fn on_base(workshop: &Workshop, base: &str, compiler: &[&str], source: &str) -> String {
    let engine = workshop.podman();
    let from = workshop.image(engine, base);
    let folder = workshop.make_folder(&format!("from-{base}"));
    fs::write(folder.join("source"), source).expect("the folder is ours");
    Call::new(compiler[0]).args(&compiler[1..]).args(["-o", "program", "source"]).folder(&folder).text();
    let file = format!("FROM {from}\nCOPY program /usr/bin/program\nENTRYPOINT [\"/usr/bin/program\"]\n");
    fs::write(folder.join("Containerfile"), file).expect("the folder is ours");
    let image = format!("localhost/on-{base}");
    build(engine, &image, &folder);
    engine.once(&image, &["--env=TZ=Europe/Berlin"], &[]).text()
}

/// `buildah build` of a folder with a Containerfile.
pub(crate) fn build(engine: &Engine, image: &str, folder: &Path) {
    let buildah = engine.beside("buildah").args(["build", "--quiet", "--isolation=chroot"]);
    buildah.args(["--format=oci", "--pull=false", "--tag", image]).arg(folder).text();
}

fn static_base(workshop: &Workshop) {
    let said = on_base(workshop, "static", &["cc", "-x", "c", "-w", "-static-pie"], C);
    // The C locale with UTF-8 comes with `base`.
    assert_eq!(said, "nonroot 443 14:00 CEST no locale");
}

fn base(workshop: &Workshop) {
    assert_eq!(on_base(workshop, "base", &["cc", "-x", "c"], C), "nonroot 443 14:00 CEST UTF-8");
}

fn cc(workshop: &Workshop) {
    assert_eq!(on_base(workshop, "cc", &["c++", "-x", "c++"], CPP), "caught");
}

/// `build --debug` makes TAG-debug beside TAG: the same layers and one more.
fn debug_twin(workshop: &Workshop) {
    let (engine, layout) = (workshop.podman(), workshop.path("twins.oci"));
    workshop.mkimage().args(["build", "--debug", "base.toml", "-o"]).arg(format!("oci:{}", layout.display())).text();
    let layers = |tag: &str| {
        let image = format!("oci:{}:{tag}", layout.display());
        let text = Call::new("skopeo").args(["inspect", "--format={{range .Layers}}{{.}} {{end}}", &image]).text();
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let (plain, debug) = (layers("latest"), layers("latest-debug"));
    assert_eq!(debug.split_last().map(|(_, rest)| rest), Some(&plain[..]));
    let id = engine.call(["pull", "--quiet"]).arg(format!("oci:{}:latest-debug", layout.display())).text();
    assert_eq!(engine.once(&id, &["--entrypoint=/bin/sh"], &["-c", "echo $((6 * 7))"]).text(), "42");
}
