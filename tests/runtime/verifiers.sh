#!/bin/bash
# verifiers.sh GET DIR: programs of other Debian releases that verify signatures, below DIR: cosign and oras of trixie and of sid
# by the script GET, and trixie's skopeo with the C library that it needs, which starts through its own loader.
set -euo pipefail
get=$1 dir=$2
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
for suite in trixie sid; do
  [ -x "$dir/$suite/bin/cosign" ] || bash "$get" "$dir/$suite" "$suite" >/dev/null
done
if [ ! -x "$dir/skopeo" ]; then
  mkdir -p "$dir/trixie/skopeo" "$dir/trixie/root"
  (
    cd "$dir/trixie/skopeo"
    APT_CONFIG=$dir/trixie/apt.conf apt-get -qq download skopeo libc6 libgpgme11t64 libassuan9 libgpg-error0 libsqlite3-0
    for package in *.deb; do dpkg-deb -x "$package" ../root; done
  )
  root=$dir/trixie/root lib=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)
  loader=$(find "$root/usr" -name 'ld-linux-*.so.*' | head -n 1)
  printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$loader" "$root/usr/lib/$lib" "$root/usr/bin/skopeo" >"$dir/skopeo"
  chmod +x "$dir/skopeo"
fi
"$dir/skopeo" --version
