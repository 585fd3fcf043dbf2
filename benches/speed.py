#!/usr/bin/env python3
"""How fast images are built, beside tar, umoci and buildah on the same files.

    python3 benches/speed.py MKIMAGE [-w S,M,L] [-m MODES] [-c zstd,gzip] [-n ROUNDS] [--folder DIR] [--buildah]

Modes: cold (empty cache), warm (nothing changed), changed (one small file changed), restored (cache and root written anew at
the same places, as by a CI job, so that every inode and time is new), many (50 services in one call). All of them by default. Rounds are interleaved, times are wall
times of whole processes, ratios are medians of the ratios of each round. Outputs are flushed to the disk.

The files are this machine's, a Debian with curl, python3.11, openjdk-17-jdk-headless, nodejs, g++-12, git, postgresql-15,
libllvm14, libclang-cpp14, libz3-4, libicu72, libx265-199, libssl-dev; the peers are umoci, pigz, zstd and, with --buildah, buildah. The first
run copies them below DIR (target/speed), where everything else lies, too. Needs root for owners of files.
"""
import argparse, atexit, glob, json, os, random, shutil, statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
TAR = ("tar -C {tree} --sort=name --mtime=@315532800 --owner=0 --group=0 --numeric-owner --format=ustar -cf - . "
       "| tee >(sha256sum >{out}/diff_id) | {codec} | tee {out}/blob | sha256sum >{out}/digest")
UMOCI = "umoci init --layout {out}/l && umoci new --image {out}/l:x && umoci insert --image {out}/l:x {tree} /"
BUILDAH = {
    "zstd": "buildah bud -q --layers --timestamp 0 -f {folder}/Containerfile -t x {tree} && "
            "buildah push -q --compression-format zstd x oci:{out}/l:x",
    "gzip": "c=$(buildah from scratch) && buildah copy -q $c {tree} / >/dev/null && "
            "buildah commit -D=false -q --timestamp 0 $c oci:{out}/l:x && buildah rm $c >/dev/null",
}


def run(command, **more):
    """A command's wall time, processor time, peak of memory in MB, and output."""
    began = time.monotonic()
    process = subprocess.Popen(["bash", "-c", "set -e -o pipefail; " + command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    out, err = process.stdout.read(), process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        sys.exit(f"failed: {command}\n{err[-2000:]}")
    return dict(wall=time.monotonic() - began, cpu=used.ru_utime + used.ru_stime, memory=used.ru_maxrss / 1024, out=out)


OLD = []


def aside(path):
    """Puts away what has a name, to be removed at the end: ext4 without a journal looks for numbers of new files far longer
    for minutes after many files were removed, and it would be that which is measured, of all programs."""
    if os.path.lexists(path):
        OLD.append(f"{path}.old{len(OLD)}")
        shutil.rmtree(OLD[-1], ignore_errors=True)
        os.rename(path, OLD[-1])


@atexit.register
def remove_old():
    for path in OLD:
        shutil.rmtree(path, ignore_errors=True)


def fresh(path):
    aside(path)
    os.makedirs(path)
    return path


def size(out):
    blobs = glob.glob(out + "/**/blobs/sha256/*", recursive=True) or glob.glob(out + "/blob")
    return sum(os.path.getsize(blob) for blob in blobs) / 1e6


class Place:
    def __init__(self, options):
        self.mkimage, self.folder = os.path.abspath(options.mkimage), os.path.abspath(options.folder)
        os.makedirs(self.folder, exist_ok=True)
        with open(self.folder + "/Containerfile", "w") as file:
            file.write("FROM scratch\nCOPY . /\n")
        self.recipes = self.folder + "/recipes"
        shutil.copytree(HERE + "/speed", self.recipes, dirs_exist_ok=True)
        self.change(0)

    def change(self, number, *trees):
        """Changes the one small file, of the recipe and of trees that peers pack."""
        for path in [self.recipes + "/app.conf"] + [tree + "/etc/app.conf" for tree in trees]:
            with open(path, "w") as file:
                file.write(f"setting = {number}\n")

    def root(self, work):
        """A root that holds what a recipe takes from this machine, and the machine's package database."""
        root = f"{self.folder}/root/{work}"
        if not os.path.isdir(root):
            os.makedirs(os.path.dirname(root), exist_ok=True)
            run(f"{self.mkimage} build {self.recipes}/{work}.toml -o rootfs:{root} --no-cache --no-fsync -q")
            info = fresh(root + "/var/lib/dpkg") + "/info"
            os.makedirs(info)
            run(f"cp /var/lib/dpkg/status {root}/var/lib/dpkg/ && cp /var/lib/dpkg/info/*.list /var/lib/dpkg/info/*.md5sums {info}")
        return root

    def tree(self, work):
        """The files of the image: what peers pack."""
        tree = f"{self.folder}/tree/{work}"
        if not os.path.isdir(tree):
            os.makedirs(os.path.dirname(tree), exist_ok=True)
            run(f"{self.build(work)} -o rootfs:{tree} --no-cache --no-fsync -q")
        return tree

    def build(self, work, root=None):
        return f"{self.mkimage} build {self.recipes}/{work}.toml --root {root or self.root(work)}"


def codecs(codec):
    """Rows of mkimage, and for each peer the row that it is held against: for gzip the fastest level whose blob is no larger."""
    if codec == "zstd":
        return ["zstd:3"], {"tar | zstd -3 -T2": (TAR.replace("{codec}", "zstd -q -3 -T2"), "zstd:3")}
    return ["gzip:2", "gzip:5"], {
        "umoci insert": (UMOCI, "gzip:2"),
        "tar | pigz -6 -p2": (TAR.replace("{codec}", "pigz -n -6 -p2"), "gzip:5"),
    }


def measure(place, work, mode, codec, options):
    tree, root = place.tree(work), place.root(work)
    levels, peers = codecs(codec)
    if mode == "changed":
        # The cache of the default level is enough.
        levels = levels[:1]
        peers = {name: peer for name, peer in peers.items() if peer[1] in levels}
    if options.buildah and mode == "cold":
        peers["buildah"] = (BUILDAH[codec], levels[0])
    if mode in ("warm", "restored"):
        levels, peers = levels[:1], ({"umoci insert": (UMOCI, levels[0])} if codec == "gzip" and mode == "warm" else {})
    run(f"tar -C {tree} -cf - . | cat >/dev/null; tar -C {root} -cf - . | cat >/dev/null")
    rows, digests, number = {}, {}, random.randrange(1 << 30)
    out, cache = place.folder + "/out", place.folder + "/cache"

    def mkimage(level, cache_folder, root_folder=None, name=None):
        command = (f"{place.build(work, root_folder)} -o oci:{fresh(out)}/l --compression {level} "
                   f"--cache-dir {cache_folder} -j {options.jobs} -q")
        row = run(command)
        row["size"] = size(out)
        name = name or f"mkimage {level}"
        rows.setdefault(name, []).append(row)
        digests.setdefault(level, set()).add(row["out"])

    restored_root, restored_cache = place.folder + "/restored-root", place.folder + "/restored-cache"

    def restore(level):
        for copy in [restored_root, restored_cache]:
            aside(copy)
        run(f"cp -r --preserve=mode,links {root} {restored_root} && cp -r --preserve=mode {cache}-{level} {restored_cache} && sync")
        time.sleep(0.3)

    for level in levels if mode in ("warm", "changed", "restored") else []:
        fresh(f"{cache}-{level}")
        if mode == "restored":
            restore(level)
        mkimage(level, f"{cache}-{level}", restored_root if mode == "restored" else None, name="first")
        # Files that were just written are not known by their times.
        time.sleep(0.3)
    for _ in range(options.rounds):
        for level in levels:
            if mode == "cold":
                mkimage(level, fresh(cache))
            elif mode == "warm":
                mkimage(level, f"{cache}-{level}")
            elif mode == "changed":
                number += 1
                place.change(number, tree)
                mkimage(level, f"{cache}-{level}")
            elif mode == "restored":
                restore(level)
                mkimage(level, fresh(cache), restored_root, name=f"mkimage {level}, cold")
                restore(level)
                mkimage(level, restored_cache, restored_root)
        for name, (command, _) in peers.items():
            if name == "buildah":
                subprocess.run(["bash", "-c", "buildah rm -a; buildah rmi -a -f"], capture_output=True)
            row = run(command.format(tree=tree, out=fresh(out), folder=place.folder))
            row["size"] = size(out)
            rows.setdefault(name, []).append(row)
    against = {name: f"mkimage {level}" for name, (_, level) in peers.items()}
    if mode == "restored":
        against = {f"mkimage {level}, cold": f"mkimage {level}" for level in levels}
    rows.pop("first", None)
    show(f"{work} {mode} {codec}", rows, against)
    if mode != "changed":
        same = all(len(lines) == 1 for lines in digests.values())
        print("digests are the same in all runs" if same else f"DIGESTS DIFFER: {digests}")
    sys.stdout.flush()


def show(title, rows, against):
    """A table; `against` names for each peer the row that it is divided into."""
    print(f"\n### {title}, {len(next(iter(rows.values())))} rounds\n")
    print("| | wall s, least / middle / most | CPU s | peak MB | blobs MB | mkimage is |\n|---|---|---|---|---|---|")
    for name, runs in rows.items():
        walls = [row["wall"] for row in runs]
        middle = statistics.median(walls)
        ratio = ""
        if name in against:
            ours = rows[against[name]]
            ratio = f"{statistics.median(our['wall'] / row['wall'] for our, row in zip(ours, runs)):.3f}x wall, " \
                    f"{statistics.median(our['cpu'] / row['cpu'] for our, row in zip(ours, runs)):.3f}x CPU"
        print(f"| {name} | {min(walls):.3f} / {middle:.3f} / {max(walls):.3f} "
              f"| {statistics.median(row['cpu'] for row in runs):.3f} | {max(row['memory'] for row in runs):.0f} "
              f"| {runs[-1]['size']:.2f} | {ratio} |")


def services(place):
    """Fifty programs of 150 KB that load the same libraries, a recipe for each, and what they have in common."""
    source, count = place.folder + "/services", 50
    if not os.path.isdir(source):
        os.makedirs(source)
        for number in range(count):
            r = random.Random(number)
            lines = ["#include <stdio.h>", "#include <openssl/ssl.h>", "#include <zlib.h>"]
            for index in range(400):
                steps = " ".join(f"x=(x{r.choice('+^-')}{r.randrange(1 << 30)}u)*{r.randrange(3, 1 << 20) | 1}u;x^=x>>{r.randrange(3, 29)};"
                                 for _ in range(r.randrange(6, 14)))
                lines.append(f"__attribute__((noinline)) unsigned f{index}(unsigned x){{{steps} return x;}}")
            calls = "".join(f"x=f{index}(x);" for index in range(400))
            lines.append(f"int main(void){{unsigned x={number};{calls}SSL_CTX*c=SSL_CTX_new(TLS_client_method());"
                         "printf(\"%u %s %d\\n\",x,zlibVersion(),c!=0);return 0;}")
            name = f"svc{number:02}"
            with open(f"{source}/{name}.c", "w") as file:
                file.write("\n".join(lines))
            run(f"gcc -O1 -o {source}/{name} {source}/{name}.c -lssl -lcrypto -lz")
            with open(f"{source}/{name}.toml", "w") as file:
                file.write(f'name = "bench/{name}"\ntags = ["{name}"]\nbinaries = [{{ from = "./{name}", to = "/usr/local/bin/svc" }}]\n')
    base = place.folder + "/tree/base"
    if not os.path.isdir(base):
        os.makedirs(os.path.dirname(base), exist_ok=True)
        run(f"{place.mkimage} build {source}/svc00.toml -o rootfs:{base} --no-cache --no-fsync -q && rm {base}/usr/local/bin/svc")
    return source, base, count


def many(place, options):
    source, base, count = services(place)
    out, cache, rows = place.folder + "/out", place.folder + "/cache", {}
    recipes = " ".join(f"{source}/svc{number:02}.toml" for number in range(count))

    def mkimage(name):
        row = run(f"{place.mkimage} build {recipes} -o oci:{fresh(out)}/l --compression gzip:2 --cache-dir {cache} -j {options.jobs} -q")
        row["size"] = size(out)
        rows.setdefault(name, []).append(row)

    for _ in range(options.rounds):
        fresh(cache)
        mkimage("mkimage gzip:2, empty cache")
        time.sleep(0.3)
        mkimage("mkimage gzip:2, nothing changed")
        inserts = " && ".join(
            f"umoci insert --image {{out}}/l:base --tag svc{number:02} {source}/svc{number:02} /usr/local/bin/svc" for number in range(count))
        command = ("umoci init --layout {out}/l && umoci new --image {out}/l:base && "
                   "umoci insert --image {out}/l:base {base} / && " + inserts)
        row = run(command.format(out=fresh(out), base=base))
        row["size"] = size(out)
        rows.setdefault("umoci, a shared base made by hand", []).append(row)
    show(f"{count} services", rows, {"umoci, a shared base made by hand": "mkimage gzip:2, empty cache"})


def command_line(about, work, modes):
    """The arguments that all of these scripts take."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mkimage", help="a release build")
    parser.add_argument("-w", "--work", default=work)
    parser.add_argument("-m", "--modes", default=modes)
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("--folder", default=os.path.join(HERE, "../target/speed"))
    return parser


def main():
    parser = command_line(__doc__, "S,M,L", "cold,warm,changed,restored,many")
    parser.add_argument("-c", "--codecs", default="zstd,gzip")
    parser.add_argument("--buildah", action="store_true", help="beside buildah, too, which empties its store")
    options = parser.parse_args()
    place = Place(options)
    for mode in options.modes.split(","):
        if mode == "many":
            many(place, options)
            continue
        for work in options.work.split(","):
            for codec in options.codecs.split(","):
                measure(place, work, mode, codec, options)


if __name__ == "__main__":
    main()
