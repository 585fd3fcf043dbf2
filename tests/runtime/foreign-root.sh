#!/usr/bin/env bash
# A root of another machine from this system's package sources: `foreign-root.sh FOLDER ARCHITECTURE PACKAGE...` unpacks the
# packages and all that they depend on, and writes dpkg's database of them. No maintainer script is run, nothing of the
# system's own apt or dpkg is changed.
set -euo pipefail
folder=$1 architecture=$2
shift 2
state=$folder.apt
mkdir -p "$folder/var/lib/dpkg/info" "$state/lists/partial" "$state/cache/archives/partial"
: >"$state/status"
apt() {
  apt-get --quiet=2 --option Dir::State="$state" --option Dir::State::status="$state/status" \
    --option Dir::Cache="$state/cache" --option APT::Architecture="$architecture" \
    --option APT::Architectures::="$architecture" --option APT::Sandbox::User=root \
    --option Acquire::Languages=none --option Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false --option Dir::Log="$state" "$@"
}
# One source that is just being changed is no reason to stop: what is missing without it, the next line says.
apt update || true
apt install --yes --download-only --no-install-recommends "$@" >/dev/null
for package in "$state"/cache/archives/*.deb; do
  dpkg-deb --extract "$package" "$folder"
  name=$(dpkg-deb --field "$package" Package)
  { dpkg-deb --field "$package"; printf 'Status: install ok installed\n\n'; } >>"$folder/var/lib/dpkg/status"
  dpkg-deb --fsys-tarfile "$package" | tar --list | sed 's|^\.||; s|/$||; s|^$|/.|' >"$folder/var/lib/dpkg/info/$name.list"
  dpkg-deb --ctrl-tarfile "$package" | tar --extract --to-stdout ./md5sums >"$folder/var/lib/dpkg/info/$name.md5sums" || true
done
rm -rf "$state"
