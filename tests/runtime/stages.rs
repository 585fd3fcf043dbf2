//! mkimage inside a multi-stage Containerfile: one stage builds a tree with it, the last one is that tree alone.

use std::fs;

use crate::call::Call;
use crate::family::build;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] =
    &[Test { name: "multi_stage_build_runs_mkimage", needs: &["podman", "runc", "buildah"], run: multi_stage }];

/// The image that the first stage stands on: mkimage and a program, packed by mkimage.
const BUILDER: &str = r#"
name = "company/builder"
binaries = ["./mkimage", "/usr/bin/sha256sum"]
"#;

const CONTAINERFILE: &str = r#"
FROM company/builder AS build
USER 0
COPY r.toml /src/r.toml
RUN ["/usr/bin/mkimage", "build", "/src/r.toml", "-o", "rootfs:/out"]

FROM scratch
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/usr/bin/sha256sum"]
"#;

fn multi_stage(workshop: &Workshop) {
    let engine = workshop.podman();
    fs::copy(workshop.program(), workshop.path("recipes/mkimage")).expect("both are there");
    workshop.write("builder.toml", BUILDER);
    let builder = workshop.image(engine, "builder");
    let folder = workshop.make_folder("stages");
    fs::write(folder.join("Containerfile"), CONTAINERFILE.replace("company/builder", &builder)).expect("it is ours");
    let recipe = "name = \"company/sum\"\nbinaries = [\"/usr/bin/sha256sum\"]\n";
    fs::write(folder.join("r.toml"), recipe).expect("it is ours");
    build(engine, "localhost/stages", &folder);

    let sum = engine.once("localhost/stages", &[], &["/usr/bin/sha256sum"]).text();
    assert_eq!(sum, Call::new("sha256sum").arg("/usr/bin/sha256sum").text());
    let absent = engine.once("localhost/stages", &[], &["/usr/bin/mkimage"]).ended();
    assert!(absent.stderr.contains("No such file"), "the last stage is the tree alone: {}", absent.report());
}
