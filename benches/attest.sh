#!/usr/bin/env bash
# What SBOMs and signed provenance cost: builds of Python with its standard library and some packages, about three thousand
# files, without and with them, by turns, with an empty cache. `bash benches/attest.sh target/release/mkimage [TIMES]` prints how much more.
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
for sbom in '"spdx"' '"cyclonedx"' '"spdx", "cyclonedx"'; do
  printf 'extends = "plain.toml"\nname = "bench/python"\nsbom = [%s]\nprovenance = true\n' "$sbom" >"full${sbom//[^a-z]/}.toml"
done
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


plain, spdx, cyclonedx, both = "plain.toml", "fullspdx.toml", "fullcyclonedx.toml", "fullspdxcyclonedx.toml"
for what, more in (("by default", ()), ("without cache and flushing", ("--no-cache", "--no-fsync"))):
    seen = {recipe: [] for recipe in (plain, spdx, cyclonedx, both)}
    for round in range(times + 1):
        for recipe, times_of in seen.items():
            took = build(recipe, *more, *(() if recipe == plain else ("--sign-key", "key.pem")))
            # The first round fills the caches of the system.
            times_of.extend([took] if round else [])
    without = statistics.median(seen.pop(plain))
    print(f"{what}: without {without:.3f} s; with signed provenance and " + "; ".join(
        f"{name} {100 * (statistics.median(seen[recipe]) / without - 1):.1f} % more"
        for name, recipe in (("SPDX", spdx), ("CycloneDX", cyclonedx), ("both", both))))
PYTHON
