#!/usr/bin/env bash
# How fast closures are found: `mkimage closure` beside `ldd` and `elfpak inspect` on the dynamic programs of /usr/bin,
# then on every ELF file of this machine, with the peak of its memory.
#
#     bash benches/closure.sh MKIMAGE [ELFPAK]
#
# MKIMAGE is a release build, ELFPAK the program of `cargo install elfpak`; without it that part is left out. All run
# warm. `ldd` and elfpak run once, mkimage five times, of which the middle one counts. Needs GNU time and python3.
set -euo pipefail
mkimage=$(realpath "$1")
elfpak=${2:-}
folder=$(mktemp --directory)
trap 'rm -r "$folder"' EXIT

# lists: the dynamic programs of /usr/bin, and all ELF files, by their first bytes.
python3 - "$folder" <<'PYTHON'
import os, stat, sys
def elf_files(root):
    for at, _, names in os.walk(root):
        for path in sorted(os.path.join(at, name) for name in names):
            try:
                if stat.S_ISREG(os.lstat(path).st_mode) and open(path, 'rb').read(4) == b'\x7fELF':
                    yield path
            except OSError:
                pass
roots = ['/usr/bin', '/usr/sbin', '/usr/lib', '/usr/lib32', '/usr/lib64', '/usr/libexec', '/usr/local', '/opt']
with open(sys.argv[1] + '/all', 'w') as every:
    every.writelines(path + '\n' for root in roots for path in elf_files(root))
PYTHON
"$mkimage" closure --format jsonl --files-from "$folder/all" >"$folder/all.jsonl" || true
python3 - "$folder" <<'PYTHON'
import json, sys
for line in open(sys.argv[1] + '/all.jsonl'):
    found = json.loads(line)
    if found['path'].startswith('/usr/bin/') and found['kind'] == 'dynamic':
        print(found['path'], file=open(sys.argv[1] + '/programs', 'a'))
PYTHON

# seconds COMMAND...: wall time. Exit codes do not count: some programs of a machine miss a library.
seconds() {
  local start=$EPOCHREALTIME
  "$@" >/dev/null 2>&1 || true
  python3 -c "print(round($EPOCHREALTIME - $start, 4))"
}
middle() { for _ in 1 2 3 4 5; do seconds "$@"; done | sort --general-numeric-sort | sed --quiet 3p; }
ratio() { python3 -c "print(f'{$1 / $2:.1f}')"; }
each() { while read -r path; do "$elfpak" inspect "$path"; done <"$folder/programs"; }

programs=$(wc --lines <"$folder/programs")
mapfile -t list <"$folder/programs"
ours=$(middle "$mkimage" closure --files-from "$folder/programs")
by_ldd=$(seconds ldd "${list[@]}")
printf '%s programs: mkimage %s s, ldd %s s (%s times)\n' "$programs" "$ours" "$by_ldd" "$(ratio "$by_ldd" "$ours")"
if [ -n "$elfpak" ]; then
  by_elfpak=$(seconds each)
  printf '%s programs: elfpak inspect, one by one, %s s (%s times)\n' "$programs" "$by_elfpak" "$(ratio "$by_elfpak" "$ours")"
fi
everything=$(middle "$mkimage" closure --format jsonl --files-from "$folder/all")
peak=$({ /usr/bin/time --format %M "$mkimage" closure --format jsonl --files-from "$folder/all" 2>&1 >/dev/null || true; } | tail --lines 1)
printf '%s ELF files: mkimage %s s, peak %s MB\n' "$(wc --lines <"$folder/all")" "$everything" "$((peak / 1000))"
