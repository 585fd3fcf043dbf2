#!/usr/bin/env bash
# How fast many images are made: a workspace of services that share their libraries, beside umoci and buildah with a base
# made by hand; then how much each further recipe of a large workspace costs.
#
#     [LARGE="250 500 1000"] bash benches/fleet.sh MKIMAGE [SERVICES] [ROUNDS]
#
# MKIMAGE is a release build. The services (50 by default) are C programs of about 150 kB, linked with libssl, libcrypto
# and libz: it takes gcc, libssl-dev and zlib1g-dev, GNU time and python3. umoci and buildah are left out where they are not
# installed; buildah runs once, the others ROUNDS times (5), in turns, of which the middle one counts. All caches but the
# system's are empty; a warm row is mkimage once more with everything as it was.
set -euo pipefail
mkimage=$(realpath "$1")
services=${2:-50}
rounds=${3:-5}
folder=$(mktemp --directory --tmpdir="${TMPDIR:-/var/tmp}")
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 - "$services" <<'PYTHON'
import random, subprocess, sys, os
os.makedirs('src'); os.makedirs('w')
for n in range(int(sys.argv[1])):
    r = random.Random(n)
    with open(f'src/svc{n:04}.c', 'w') as f:
        f.write('#include <stdio.h>\n#include <openssl/ssl.h>\n#include <zlib.h>\n')
        for k in range(300):
            ops = ' '.join(f"x=(x{r.choice('+^-')}{r.randrange(1<<30)}u)*{r.randrange(3,1<<20)|1}u;" for _ in range(20))
            f.write(f'__attribute__((noinline)) unsigned f{k}(unsigned x){{{ops} return x;}}\n')
        f.write('int main(void){unsigned x=1;' + ''.join(f'x=f{k}(x);' for k in range(300)))
        f.write('SSL_CTX*c=SSL_CTX_new(TLS_client_method());printf("%u %s %d\\n",x,zlibVersion(),c!=0);return 0;}\n')
    subprocess.run(['gcc', '-O1', '-o', f'w/svc{n:04}', f'src/svc{n:04}.c', '-lssl', '-lcrypto', '-lz'], check=True)
    with open(f'w/svc{n:04}.toml', 'w') as f:
        f.write(f'binaries = ["./svc{n:04}"]\n')
with open('w/mkimage.toml', 'w') as f:
    f.write('[workspace]\nmembers = ["svc*.toml"]\nshared-layers = true\n[workspace.defaults]\nname = "${recipe}"\n')
PYTHON

# The base that a person would make: everything that the services load.
mkdir -p base context
ldd w/svc0000 | sed -nE 's/.*=> (\/[^ ]+) .*/\1/p; s/^\s*(\/[^ ]+) \(.*/\1/p' | while read -r path; do
  mkdir -p "base$(dirname "$(realpath "$path")")" "base$(dirname "$path")"
  cp -L "$path" "base$(realpath "$path")"
  [ "$(realpath "$path")" = "$path" ] || [ -e "base$path" ] || cp -L "$path" "base$path"
done

cat >runs.py <<'PYTHON'
import os, resource, shutil, statistics, subprocess, sys, time
mkimage, rounds = sys.argv[1], int(sys.argv[2])
services = sorted(name for name in os.listdir('w') if name.startswith('svc') and '.' not in name)
def timed(work):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
def run(*command, cwd='.'):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f'{" ".join(command[:4])}: {done.stderr[-800:]}')
def fresh(*folders):
    for each in folders:
        shutil.rmtree(each, ignore_errors=True)
        os.makedirs(each)
def own():
    run(mkimage, 'build', '-q', '../w', '--cache-dir', '../cache', cwd='out')
def umoci():
    layout = 'umoci/layout'
    run('umoci', 'init', '--layout', layout)
    run('umoci', 'new', '--image', f'{layout}:base')
    run('umoci', 'insert', '--rootless', '--image', f'{layout}:base', 'base', '/')
    for name in services:
        run('umoci', 'insert', '--rootless', '--image', f'{layout}:base', '--tag', name, f'w/{name}', '/usr/bin/svc')
def buildah():
    root = ['--root', os.path.abspath('store/root'), '--runroot', os.path.abspath('store/run'), '--storage-driver', 'vfs']
    for name in services:
        with open('context/Containerfile', 'w') as file:
            file.write(f'FROM scratch\nCOPY base/ /\nCOPY w/{name} /usr/bin/svc\n')
        run('buildah', *root, 'bud', '--isolation', 'chroot', '--layers', '-t', name, '-f', 'context/Containerfile', '.')
        run('buildah', *root, 'push', name, f'oci:{os.path.abspath("buildah")}:{name}')
rows = {}
for _ in range(rounds):
    fresh('out', 'cache')
    # umoci changes what stat says of the files that it reads, and what changed just now is not known by that.
    time.sleep(0.3)
    rows.setdefault('mkimage', []).append(timed(own))
    rows.setdefault('mkimage, nothing changed', []).append(timed(own))
    if shutil.which('umoci'):
        fresh('umoci')
        rows.setdefault('umoci, shared base', []).append(timed(umoci))
if shutil.which('buildah'):
    fresh('store', 'buildah')
    rows['buildah, two COPY'] = [timed(buildah)]
mine = statistics.median(wall for wall, _ in rows['mkimage'])
print(f'{len(services)} services, {rounds} rounds: wall s, CPU s, mkimage as a part of it')
for name, values in rows.items():
    wall, cpu = (statistics.median(column) for column in zip(*values))
    print(f'  {name:<26} {wall:8.3f} {cpu:8.3f} {mine / wall:8.3f}x')
PYTHON
python3 runs.py "$mkimage" "$rounds"

# What a further recipe costs: the same service under a thousand names, with a file of its own each.
echo "a large workspace, cold: recipes, wall s, CPU s, peak MB, ms of CPU for each further recipe"
before=0 cost=0
for count in ${LARGE-250 500 1000}; do
  # Where ext4 has no journal, it looks for inodes that nobody removed lately.
  rm -rf large out cache && sleep 6 && mkdir large out
  for number in $(seq "$count"); do
    printf 'binaries = ["../w/svc0000"]\nfiles = [{ content = "%s", to = "/etc/own" }]\n' "$number" >"large/r$number.toml"
  done
  printf '[workspace]\nmembers = ["r*.toml"]\nshared-layers = true\n[workspace.defaults]\nname = "${recipe}"\n' >large/mkimage.toml
  (cd out && /usr/bin/time -o ../time -f '%e %U %S %M' "$mkimage" build -q --no-fsync ../large --cache-dir ../cache >/dev/null)
  python3 - "$count" "$before" "$cost" <<'PYTHON'
import sys
count, before, cost = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
wall, user, system, peak = map(float, open('time').read().split())
cpu = user + system
print(f'  {count:5} {wall:8.2f} {cpu:8.2f} {peak / 1024:8.0f} {1000 * (cpu - cost) / (count - before):8.1f}')
open('cost', 'w').write(str(cpu))
PYTHON
  before=$count cost=$(cat cost)
done
