#!/usr/bin/env bash
# What SBOMs and signed provenance cost: builds of Python with its standard library and some packages, about three thousand
# files, without and with them, by turns, with an empty cache. `bash benches/attest.sh target/release/mkimage [TIMES]` prints the medians and their ratio.
set -euo pipefail
program=$(realpath "$1") times=${2:-9}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >plain.toml <<'TOML'
name     = "bench/python"
binaries = ["/usr/bin/python3.11"]
files    = [
  { from = "/usr/lib/python3.11/", exclude = ["config-3.11*/**"] },
  { from = "/usr/lib/python3/dist-packages/pip/", optional = true },
  { from = "/usr/lib/python3/dist-packages/setuptools/", optional = true },
  { from = "/usr/lib/python3/dist-packages/pkg_resources/", optional = true },
  { from = "/usr/lib/python3/dist-packages/wheel/", optional = true },
  { from = "/usr/lib/python3/dist-packages/pygments/", optional = true },
  { from = "/usr/lib/python3/dist-packages/cryptography/", optional = true },
  { from = "/usr/lib/python3/dist-packages/yaml/", optional = true },
]
TOML
printf 'extends = "plain.toml"\nname = "bench/python"\nsbom = ["spdx", "cyclonedx"]\nprovenance = true\n' >full.toml
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem 2>/dev/null

python3 - "$program" "$times" <<'PYTHON'
import itertools, os, statistics, subprocess, sys, time

program, times = sys.argv[1], int(sys.argv[2])
numbers = itertools.count()


def build(recipe, *more):
    # Every build writes to a place of its own: ext4 without a journal makes new files slowly after many were removed.
    place = f"build{next(numbers)}"
    os.mkdir(place)
    environment = {**os.environ, "XDG_CACHE_HOME": os.path.abspath(f"{place}/cache")}
    start = time.perf_counter()
    command = [program, "build", recipe, "-q", "-o", f"{place}/out.oci", *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


for what, more in (("by default", ()), ("without cache and flushing", ("--no-cache", "--no-fsync"))):
    build("plain.toml", *more), build("full.toml", "--sign-key", "key.pem", *more)
    plain, full = [], []
    for _ in range(times):
        plain.append(build("plain.toml", *more))
        full.append(build("full.toml", "--sign-key", "key.pem", *more))
    without, with_all = statistics.median(plain), statistics.median(full)
    print(f"{what}: without {without:.3f} s, with SBOMs and signed provenance {with_all:.3f} s: {100 * (with_all / without - 1):.1f} % more")
PYTHON
