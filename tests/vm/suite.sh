#!/bin/bash
# suite.sh KERNEL fast|systemd [--build DIR] [--filter REGEX] [--results DIR] [--no-demo] [--command COMMAND]
#
# Runs the tests labelled root and e2e, and the demo, of a native build (default: build/) in a virtual machine with
# that kernel (6.1 or 6.12): a pure cgroup v2 with every controller. The programs run as they are, at the paths they
# have here, with the libraries of this machine: it has to be a Debian 12. With --command it runs that there instead.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
source=$(realpath "$here/../..")
kernel=${1:-} mode=${2:-}
[ $# -ge 2 ] || { echo "usage: $0 6.1|6.12 fast|systemd [--build DIR] [--filter REGEX]" >&2; exit 2; }
shift 2
build=$source/build filter=. results='' demo=1 command=''
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$(realpath "$2"); shift ;;
    --filter) filter=$2; shift ;;
    --results) results=$2; shift ;;
    --no-demo) demo=0 ;;
    --command) command=$2; shift ;;
    *) echo "$0: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
options=(--kernel "$kernel")
case $mode in fast) ;; systemd) options+=(--systemd) ;; *) echo "$0: mode is fast or systemd" >&2; exit 2 ;; esac

stage=$(mktemp -d "${TMPDIR:-/tmp}/fermata-suite.XXXXXX")
trap 'rm -rf "$stage"' EXIT

# What the sources give to tests, and the mount point for a build directory that lies in them.
mkdir -p "$stage/source" "$stage/build" "$stage/suite/lib"
cp -a "$source/packaging" "$source/tests" "$stage/source/"
case $build in "$source"/*) mkdir -p "$stage/source${build#"$source"}" ;; esac
for part in bin tests tools; do
  [ ! -d "$build/$part" ] || (cd "$build" && find "$part" -type f -perm -u+x -not -path '*/CMakeFiles/*' -print0 |
    cpio -0 -pdm --quiet "$stage/build")
done

# The tests, one a line: its name and its command, quoted for a shell.
for label in root e2e; do
  ctest --test-dir "$build" -L "^$label\$" -R "$filter" --show-only=json-v1 |
    jq -r '.tests[] | [.name, ((.properties // [] | map(select(.name == "ENVIRONMENT").value[]) | map(@sh)) +
      (.command | map(@sh)) | join(" "))] | @tsv'
done >"$stage/suite/tests"
[ -s "$stage/suite/tests" ] || [ -n "$command" ] || { echo "$0: no test matches" >&2; exit 2; }

# Their libraries; those of the C library must be the guest's own.
find "$stage/build" -type f -print0 | { xargs -0 -n1 ldd 2>/dev/null || true; } | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
  grep -vE '/(libc|libm|libdl|libpthread|librt|libresolv|ld-linux[^/]*)\.so' | xargs -r cp -Lt "$stage/suite/lib"

options+=(--disk "$stage/source:$source" --disk "$stage/build:$build" --disk "$stage/suite:/suite"
  --env FERMATA_TIME_SCALE=10 --env "CI=${CI:-}" --env "SUITE_COMMAND=$command" --env "SUITE_DEMO=$demo" --env "SUITE_BUILD=$build" --env "SUITE_SOURCE=$source"
  --timeout "${FERMATA_VM_TIMEOUT:-2400}" --memory 3072)
[ -z "${FERMATA_CRICTL:-}" ] || [ ! -x "$build/tools/crictl" ] || options+=(--env "FERMATA_CRICTL=$build/tools/crictl")
[ -z "$results" ] || options+=(--results "$results")
"$here/vm-run" "${options[@]}" -- "$source/tests/vm/guest/suite"
