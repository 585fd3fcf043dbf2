#!/usr/bin/env python3
"""How fast images are built, beside programs that keep what they build in a store of their own: buildah, and Docker's BuildKit.

    python3 benches/builders.py MKIMAGE [-w M,L] [-m cached,cold] [-n ROUNDS] [--folder DIR] [--skip NAMES]

Modes: cached (nothing changed since the build before, caches and stores kept), cold (empty caches, a new store). Trees, recipes
and figures are those of speed.py; its own docker daemon and the stores lie in DIR and are gone at the end. Docker's rows
are wall times of the client, with no image file written where nothing is pushed. Needs root, buildah and dockerd.
"""
import os, shutil, subprocess, sys, time

from speed import BUILDAH, Place, command_line, fresh, run, show, size

DOCKER = "DOCKER_BUILDKIT=1 /usr/bin/docker -H unix://{folder}/docker/socket"
BUILDKIT = f"{DOCKER} build -q -f {{folder}}/Containerfile -t x {{tree}}"
BUD = ("buildah bud -q --layers --timestamp 0 -f {folder}/Containerfile -t x {tree} && "
       "buildah push -q {how}x oci:{out}/l:x")


class Stores:
    """Where the other programs keep what they build."""

    def __init__(self, folder, docker):
        self.folder, self.store, self.docker = folder, folder + "/store", folder + "/docker" if docker else None
        with open(folder + "/storage.conf", "w") as file:
            file.write(f'[storage]\ndriver = "overlay"\nrunroot = "{self.store}/run"\ngraphroot = "{self.store}/root"\n')
        self.environment = dict(os.environ, CONTAINERS_STORAGE_CONF=folder + "/storage.conf", BUILDAH_ISOLATION="chroot")

    def __enter__(self):
        self.empty()
        if self.docker:
            fresh(self.docker)
            with open(self.docker + "/log", "w") as log:
                self.daemon = subprocess.Popen(
                    ["/usr/sbin/dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--data-root",
                     self.docker + "/data", "--exec-root", self.docker + "/exec", "--pidfile", self.docker + "/pid",
                     "-H", f"unix://{self.docker}/socket"], stdout=log, stderr=log)
            ask = DOCKER.format(folder=self.folder) + " version"
            for _ in range(100):
                if subprocess.run(["bash", "-c", ask], capture_output=True).returncode == 0:
                    break
                time.sleep(0.2)
            else:
                sys.exit(f"dockerd did not start: see {self.docker}/log")
        return self

    def __exit__(self, *_):
        if self.docker:
            self.daemon.terminate()
            self.daemon.wait()
            self.remove(self.docker)
        self.remove(self.store)
        os.remove(self.folder + "/storage.conf")

    def remove(self, folder):
        with open("/proc/mounts") as mounts:
            below = [line.split()[1] for line in mounts if line.split()[1].startswith(folder + "/")]
        for path in sorted(below, reverse=True):
            subprocess.run(["umount", "-l", path])
        shutil.rmtree(folder, ignore_errors=True)

    def empty(self):
        """A new store: one that had many files removed from it is slower."""
        self.remove(self.store)
        os.makedirs(self.store)
        if self.docker and os.path.exists(self.docker + "/socket"):
            docker = DOCKER.format(folder=self.folder)
            run(f"{docker} rmi -f x >/dev/null 2>&1 || true; {docker} builder prune -af >/dev/null")
        os.sync()


def cached(place, work, stores, options):
    tree, out, cache, rows = place.tree(work), place.folder + "/out", place.folder + "/cache", {}
    words = dict(tree=tree, out=out, folder=place.folder)
    mkimage = f"{place.build(work)} -o oci:{out}/l --cache-dir {cache} -j {options.jobs} -q"
    # The second finds the output of the first.
    ours = {"mkimage, output gone": (mkimage, False), "mkimage, output kept": (mkimage, True)}
    others = {
        "BuildKit, no image file": (BUILDKIT.format(**words), False),
        "buildah bud + push, zstd": (BUD.format(how="--compression-format zstd ", **words), False),
        "buildah bud + push, gzip": (BUD.format(how="", **words), False),
    }
    others = {name: row for name, row in others.items() if not any(skip in name for skip in options.skip)}
    stores.empty()
    fresh(cache)
    for command, _ in [(mkimage, False), *others.values()]:
        fresh(out)
        run(command, env=stores.environment)
        # Files that were just written are not known by their times.
        time.sleep(0.3)
    for _ in range(options.rounds):
        for name, (command, is_kept) in (ours | others).items():
            if not is_kept:
                fresh(out)
            row = run(command, env=stores.environment)
            row["size"] = size(out)
            rows.setdefault(name, []).append(row)
    # BuildKit writes no image, either; buildah writes one.
    against = {name: "mkimage, output kept" if "BuildKit" in name else "mkimage, output gone" for name in others}
    show(f"{work}, nothing changed", rows, against)


def cold(place, work, stores, options):
    tree, out, cache, rows = place.tree(work), place.folder + "/out", place.folder + "/cache", {}
    words = dict(tree=tree, out=out, folder=place.folder)
    others = {
        "BuildKit, no image file": (BUILDKIT.format(**words), "zstd:3"),
        "buildah bud + push, zstd": (BUD.format(how="--compression-format zstd ", **words), "zstd:3"),
        "buildah bud + push, gzip": (BUD.format(how="", **words), "gzip:2"),
        "buildah copy + commit, gzip": (BUILDAH["gzip"].format(**words), "gzip:2"),
    }
    others = {name: row for name, row in others.items() if not any(skip in name for skip in options.skip)}
    run(f"tar -C {tree} -cf - . | cat >/dev/null; tar -C {place.root(work)} -cf - . | cat >/dev/null")
    for _ in range(options.rounds):
        for level in ["zstd:3", "gzip:2", "gzip:3"]:
            row = run(f"{place.build(work)} -o oci:{fresh(out)}/l --compression {level} --cache-dir {fresh(cache)} -j {options.jobs} -q")
            rows.setdefault(f"mkimage {level}", []).append(dict(row, size=size(out)))
        for name, (command, _) in others.items():
            stores.empty()
            fresh(out)
            row = run(command, env=stores.environment)
            rows.setdefault(name, []).append(dict(row, size=size(out)))
    show(f"{work}, empty caches", rows, {name: f"mkimage {level}" for name, (_, level) in others.items()})


def main():
    parser = command_line(__doc__, "M,L", "cached,cold")
    parser.add_argument("--skip", default="", help="rows whose names have one of these words are left out")
    options = parser.parse_args()
    options.skip = [word for word in options.skip.split(",") if word]
    place = Place(options)
    with Stores(place.folder, "BuildKit" not in options.skip) as stores:
        for work in options.work.split(","):
            for mode in options.modes.split(","):
                {"cached": cached, "cold": cold}[mode](place, work, stores, options)


main()
