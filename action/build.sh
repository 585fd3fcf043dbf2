#!/usr/bin/env bash
# Builds what the inputs of action.yml name, with the program of MKIMAGE_PROGRAM, and gives the action's outputs.
set -euo pipefail
mkimage=${MKIMAGE_PROGRAM:-mkimage}
# lines NAME TEXT: the lines of a text that hold something, as an array.
lines() {
  local -n into=$1
  local line
  into=()
  while IFS= read -r line; do [ -z "${line//[[:space:]]/}" ] || into+=("$line"); done <<<"$2"
}
lines recipes "${INPUT_RECIPES:-mkimage.toml}"
lines outputs "${INPUT_OUTPUTS:-}"
lines platforms "${INPUT_PLATFORMS:-}"
lines tags "${INPUT_TAGS:-}"
lines variables "${INPUT_SET:-}"
lines cache_from "${INPUT_CACHE_FROM:-}"
lines cache_to "${INPUT_CACHE_TO:-}"
lines further "${INPUT_ARGUMENTS:-}"
words=("${recipes[@]}")
for output in "${outputs[@]}"; do words+=("--output=$output"); done
for platform in "${platforms[@]}"; do words+=("--platform=$platform"); done
for tag in "${tags[@]}"; do words+=("--tag=$tag"); done
for variable in "${variables[@]}"; do words+=("--set=$variable"); done
for name in "${cache_from[@]}"; do words+=("--cache-from=$name"); done
for name in "${cache_to[@]}"; do words+=("--cache-to=$name"); done
# Empty where the job keeps no cache: then mkimage chooses.
[ -n "${MKIMAGE_CACHE_DIR:-}" ] || unset MKIMAGE_CACHE_DIR
metadata=${RUNNER_TEMP:-/tmp}/mkimage-metadata.json
images=$("$mkimage" build "${words[@]}" "${further[@]}" --metadata-file="$metadata")
printf '%s\n' "$images"
# What the job's cache keeps for the next one is what this one used.
[ -z "${MKIMAGE_PRUNE:-}" ] || "$mkimage" cache prune --for-ci
# Who pushed wants the names that are in the registries, not those of the recipes.
push='"digest":"\(sha256:[0-9a-f]*\)","mounted":[0-9]*,"name":"\([^"]*\)"'
pushed=$(grep -o "$push" "$metadata" | sed "s/$push/\2@\1/" || true)
images=${pushed:-$images}
first=${images%%$'\n'*}
{
  printf 'image=%s\n' "$first"
  printf 'digest=%s\n' "${first##*@}"
  printf 'metadata=%s\n' "$metadata"
  printf 'images<<END-OF-IMAGES\n%s\nEND-OF-IMAGES\n' "$images"
} >>"${GITHUB_OUTPUT:-/dev/null}"
