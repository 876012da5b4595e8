#!/bin/bash
# validation_test.sh BIN-DIR: the validation programs of opencontainers/runtime-tools, which we did not write, with
# fermata-oci. What may fail stands in validation/exceptions.txt with its reason. FERMATA_OCI_VALIDATION names the
# directory of the programs (tests/run.sh makes it); skipped (77) without.
set -euo pipefail
bin=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
. "$here/../fixtures/checks.sh"
programs=${FERMATA_OCI_VALIDATION:-}
[ -x "$programs/runtimetest" ] || skip "FERMATA_OCI_VALIDATION does not name runtime-tools' programs (tests/run.sh makes them where there is Go)"

home=$(mktemp -d /tmp/fermata-validation.XXXXXX)
export TMPDIR=$home/tmp RUNTIME=$home/runtime
mkdir "$TMPDIR"
printf '#!/bin/sh\nexec "%s/fermata-oci" --root "%s/root" --missing-controllers warn "$@"\n' "$bin" "$home" >"$RUNTIME"
chmod +x "$RUNTIME"
cleanup() {
  status=$?
  for id in $("$RUNTIME" list --quiet 2>/dev/null); do "$RUNTIME" delete --force "$id" || true; done
  find "$mount/testdir" -depth -type d -exec rmdir {} + 2>/dev/null || true  # the relative path of the programs
  rmdir "$mount/fermata-oci" 2>/dev/null || true  # the groups' default parent, unless somebody else is in it
  rm -rf --one-file-system "$home"  # a broken runtime may have mounted the machine's own files there
  exit "$status"
}
trap cleanup EXIT

# The programs look for these two beside themselves.
cp "$programs/runtimetest" "$programs"/rootfs-*.tar.gz "$home/"
cd "$home"

# A line for each failed check: "PROGRAM NUMBER", or "PROGRAM all" for a program that gave up.
run() {
  local name=$1 output
  if ! output=$(timeout 60 "$programs/$name" 2>&1); then echo "$name all"; fi
  sed -nE "s/^not ok ([0-9]+).*/$name \1/p" <<<"$output"
  sed -nE 's/^ok ([0-9]+).*/x/p' <<<"$output" >>"$home/passed"
}
: >"$home/passed"
for program in "$programs"/*; do
  name=$(basename "$program")
  case $name in runtimetest | *.gz) ;; *) run "$name" ;; esac
done | sort >"$home/failed"

sed -E '/^#|^$/d; s/^([^ ]+ +[^ ]+).*/\1/; s/ +/ /' "$here/validation/exceptions.txt" | sort >"$home/excused"
unexpected=$(comm -23 "$home/failed" "$home/excused")
echo "passed $(wc -l <"$home/passed"), failed $(wc -l <"$home/failed") checks"
for line in "$(comm -13 "$home/failed" "$home/excused")"; do [ -z "$line" ] || printf 'excused, but passes here:\n%s\n' "$line"; done
if [ -n "$unexpected" ]; then
  printf 'not in validation/exceptions.txt:\n%s\n' "$unexpected"
  exit 1
fi
[ -z "$("$RUNTIME" list --quiet)" ] || { "$RUNTIME" list; echo "these were left"; exit 1; }
