//! One recipe for amd64, arm64 and armhf, whose files come from packages of these machines: its images run here, by
//! qemu, and other programs find each platform's image under the index.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::call::Call;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "an_index_of_three_machines_runs",
    needs: &["qemu-aarch64-static", "qemu-arm-static", "skopeo", "podman", "runc", "apt-get", "dpkg-deb"],
    run: three_machines,
}];

/// What is unpacked for each machine, with all that it depends on.
const PACKAGES: [&str; 5] = ["base-files", "coreutils", "libc-bin", "redis-server", "redis-tools"];

/// Platforms, what Debian calls them, and what `uname -m` says there.
const MACHINES: [(&str, &str, &str); 3] =
    [("linux/amd64", "amd64", "x86_64"), ("linux/arm64", "arm64", "aarch64"), ("linux/arm/v7", "armhf", "armv7l")];

fn three_machines(workshop: &Workshop) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runtime/foreign-root.sh");
    let mut recipe = "name = 'localhost/several'\nbinaries = ['uname', 'redis-server', 'redis-cli']\ncmd = ['-m']\n\
        platforms = ['linux/amd64', 'linux/arm64', 'linux/arm/v7']\n[roots]\n"
        .to_owned();
    for (platform, architecture, _) in MACHINES {
        let root = workshop.path(&format!("root-{architecture}"));
        Call::new("bash").arg(&script).arg(&root).arg(architecture).args(PACKAGES).text();
        let _ = writeln!(recipe, "'{platform}' = '{}'", root.display());
    }
    workshop.write("several.toml", &recipe);
    let layout = workshop.path("several.oci");
    let printed = workshop.mkimage().args(["build", "several.toml", "-o"]).arg(&layout).text();
    let digest = printed.rsplit('@').next().unwrap_or_default().to_owned();
    workshop.mkimage().arg("verify").arg(&layout).text();

    let emulators = Emulators::register();
    for (platform, _, machine) in MACHINES {
        let run =
            |words: &[&str]| workshop.mkimage().args(["run", "--platform", platform]).arg(&layout).args(words).text();
        assert_eq!(run(&[]), machine);
        let version = run(&["--entrypoint", "redis-server", "--", "--version"]);
        assert!(version.starts_with("Redis server v="), "{platform}: {version}");
    }
    let podman = workshop.podman();
    let oci = format!("oci:{}", layout.display());
    for (platform, _, machine) in MACHINES {
        let image = podman.call(["pull", "--quiet", "--platform", platform, &oci]).text();
        assert_eq!(podman.once(image.trim(), &[], &[]).text(), machine);
        podman.call(["rmi", "--force", image.trim()]).text();
    }
    drop(emulators);

    let all = format!("oci:{}", workshop.path("several-copy.oci").display());
    Call::new("skopeo").args(["copy", "--quiet", "--all", &oci, &all]).text();
    let raw = Call::new("skopeo").args(["inspect", "--raw", &all]).text();
    assert_eq!(raw.matches("\"platform\"").count(), 3, "{raw}");
    let looked = Call::new("skopeo").args(["inspect", "--format", "{{.Digest}}", &all]).text();
    assert_eq!(looked, digest);
}

/// Emulators that the kernel starts for programs of other machines, until this is dropped.
struct Emulators {
    mounted: bool,
}

const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// Name, the header's bytes for class and machine, emulator.
const EMULATED: [(&str, u8, u8, &str); 2] =
    [("mkimage-arm64", 2, 0xb7, "/usr/bin/qemu-aarch64-static"), ("mkimage-arm", 1, 0x28, "/usr/bin/qemu-arm-static")];

impl Emulators {
    fn register() -> Self {
        let mounted = !Path::new(FOLDER).join("register").exists();
        if mounted {
            Call::new("mount").args(["-t", "binfmt_misc", "binfmt_misc", FOLDER]).text();
        }
        let this = Self { mounted };
        for (name, class, machine, program) in EMULATED {
            if !Path::new(FOLDER).join(name).exists() {
                let magic = format!(
                    r"\x7fELF\x{class:02x}\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x{machine:02x}\x00"
                );
                let mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
                // F: the kernel opens the emulator now, so that it need not be in the image.
                let line = format!(":{name}:M::{magic}:{mask}:{program}:F");
                fs::write(Path::new(FOLDER).join("register"), line).expect("the kernel takes emulators");
            }
        }
        this
    }
}

impl Drop for Emulators {
    fn drop(&mut self) {
        for (name, ..) in EMULATED {
            // What stays behind is in nobody's way.
            let _ = fs::write(Path::new(FOLDER).join(name), "-1");
        }
        if self.mounted {
            Call::new("umount").arg(FOLDER).text();
        }
    }
}
