#!/usr/bin/env bash
# How fast a layout goes into a registry: `mkimage push` beside `skopeo copy` and, where it is given, `crane push`, to a
# registry of this machine that is empty each time, then again to the same one, which has all of it.
#
#     bash benches/push.sh MKIMAGE LAYOUT [CRANE]
#
# MKIMAGE is a release build, LAYOUT an OCI layout with one image. Five rounds, one after the other for each program, of
# which the middle one counts; all start from a warm page cache. Needs docker-registry, skopeo and GNU date.
set -euo pipefail
mkimage=$(realpath "$1") layout=$(realpath "$2") crane=${3:-}
folder=$(mktemp --directory)
registry=
trap 'kill "$registry" 2>/dev/null || true; rm -r "$folder"' EXIT
address=127.0.0.1:$((20000 + $$ % 20000))

start() {
  rm -rf "$folder/data"
  cat >"$folder/config.yml" <<CONFIG
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $folder/data}}
http: {addr: "$address"}
CONFIG
  docker-registry serve "$folder/config.yml" >/dev/null 2>&1 &
  registry=$!
  until (exec 3<>/dev/tcp/${address/:/\/}) 2>/dev/null; do sleep 0.05; done
}

stop() {
  kill "$registry"
  wait "$registry" 2>/dev/null || true
}

# timed COMMAND...: its time in milliseconds.
timed() {
  local start
  start=$(date +%s%N)
  "$@" >/dev/null 2>&1
  echo $((($(date +%s%N) - start) / 1000000))
}

middle() { sort --numeric-sort | sed --quiet 3p; }

push() {
  case $1 in
  mkimage) "$mkimage" push "$layout" "docker://$address/bench/image:1" ;;
  skopeo) skopeo copy --quiet --dest-tls-verify=false "oci:$layout" "docker://$address/bench/image:1" ;;
  crane) "$crane" push --insecure "$layout" "$address/bench/image:1" ;;
  esac
}

find "$layout" -type f -exec cat {} + >/dev/null
programs=(mkimage skopeo)
[ -z "$crane" ] || programs+=(crane)
for _ in 1 2 3 4 5; do
  for program in "${programs[@]}"; do
    start
    timed push "$program" >>"$folder/$program.first"
    timed push "$program" >>"$folder/$program.again"
    stop
  done
done
printf '%-10s %12s %12s\n' program 'first, ms' 'again, ms'
for program in "${programs[@]}"; do
  printf '%-10s %12s %12s\n' "$program" "$(middle <"$folder/$program.first")" "$(middle <"$folder/$program.again")"
done
