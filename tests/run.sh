#!/bin/bash
# run.sh [--full] [--sanitize address|thread] [--filter REGEX]
#
# Installs what is missing, builds, and runs all tests that this machine can; ends with ctest's own summary.
#   --full       also the long ones: the suites in virtual machines, clang-tidy over all files, large counts, a minute of
#                fuzzing each parser with its coverage
#   --sanitize   a build of its own with that sanitizer (address: and undefined behaviour)
#   --filter     only the ctest tests whose names match
# Environment: CI=true makes a skip that tests/allowed-skips.txt does not list a failure; FERMATA_VM=1 adds the virtual
# machines to a run that is not full.
set -euo pipefail
source=$(dirname "$(dirname "$(realpath "$0")")")
usage() { echo "usage: $0 [--full] [--sanitize address|thread] [--filter REGEX]" >&2; exit 2; }

full=0 preset=release build=$source/build filter=. labels='unit|root|e2e|lint'
while [ $# -gt 0 ]; do
  case $1 in
    --full) full=1 ;;
    --sanitize)
      case ${2:-} in
        address) preset=debug-asan build=$source/build-address ;;
        thread) preset=tsan build=$source/build-thread ;;
        *) usage ;;
      esac
      export FERMATA_TIME_SCALE=${FERMATA_TIME_SCALE:-5}
      shift ;;
    --filter) filter=${2:?}; shift ;;
    *) usage ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || { echo "$0: needs root, for namespaces and control groups: sudo $0" >&2; exit 1; }
packages=(--tests)
if [ $full = 1 ]; then
  labels+='|long|lint-all'
  export FERMATA_FULL=1
fi
[ $preset != release ] || labels+='|fuzz'
if { [ $full = 1 ] || [ "${FERMATA_VM:-}" = 1 ]; } && [ $preset = release ]; then
  labels+='|vm'
  packages+=(--vm)
fi

"$source/packaging/setup.sh" "${packages[@]}"

mkdir -p "$build"
(cd "$source" && cmake --preset $preset) >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; exit 1; }
ninja -C "$build" --quiet

# crictl and critest, for the end-to-end tests: built from source where there is a Go that can; they say so where there is none.
crictl=$build/tools/crictl critest=$build/tools/critest crictl_version=v1.36.0
find_crictl() {
  local go version module
  "$crictl" --version 2>/dev/null | grep -qF "$crictl_version" && [ -x "$critest" ] && return
  go=$(PATH=$PATH:/usr/local/go/bin command -v go) || { echo "no Go on this machine"; return 1; }
  version=$("$go" env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
  [ "$version" -ge 24 ] 2>/dev/null || { echo "Go 1.24 or newer is needed, this is $("$go" env GOVERSION)"; return 1; }
  # By its own go.sum, and without asking for other versions as `go install` does, which not every mirror answers.
  { module=$("$go" mod download -json "sigs.k8s.io/cri-tools@$crictl_version" | jq -re .Dir) &&
    CGO_ENABLED=0 "$go" build -C "$module" -buildvcs=false -o "$crictl" \
      -ldflags "-X sigs.k8s.io/cri-tools/pkg/version.Version=$crictl_version" ./cmd/crictl &&
    CGO_ENABLED=0 "$go" test -C "$module" -c -buildvcs=false -o "$critest" ./cmd/critest
  } >"$build/crictl.log" 2>&1 || { echo "cannot build it: $build/crictl.log"; return 1; }
}
if why=$(find_crictl); then
  export FERMATA_CRICTL=$crictl FERMATA_CRITEST=$critest
else
  echo "The tests with crictl and critest are skipped: $why." >&2
  unset FERMATA_CRICTL FERMATA_CRITEST
fi

# The validation programs of the OCI, for the same Go.
validation=$build/tools/oci-validation
if [ ! -x "$validation/runtimetest" ] && [ -n "${FERMATA_CRICTL:-}" ]; then
  go=$(PATH=$PATH:/usr/local/go/bin command -v go)
  rm -rf "$validation"
  mkdir -p "$validation.new"
  { module=$("$go" -C "$source/tests/oci/validation" list -m -json github.com/opencontainers/runtime-tools | jq -re .Dir) &&
    CGO_ENABLED=0 "$go" build -C "$source/tests/oci/validation" -mod=readonly -buildvcs=false -o "$validation.new/" \
      github.com/opencontainers/runtime-tools/cmd/runtimetest github.com/opencontainers/runtime-tools/validation/... &&
    rm -f "$validation.new/util" && cp --no-preserve=mode "$module"/rootfs-*.tar.gz "$validation.new/" &&
    mv "$validation.new" "$validation"
  } >"$build/validation.log" 2>&1 || true
fi
if [ -x "$validation/runtimetest" ]; then
  export FERMATA_OCI_VALIDATION=$validation
else
  echo "The OCI's validation programs are skipped: $build/validation.log." >&2
  unset FERMATA_OCI_VALIDATION
fi

# A WebSocket client that is not ours, where the package index answers.
python=$build/tools/websocket/bin/python
if "$python" -c 'import websocket' 2>/dev/null ||
  { python3 -m venv "$build/tools/websocket" && timeout 120 "$build/tools/websocket/bin/pip" install -q websocket-client==1.8.0; } >"$build/websocket.log" 2>&1; then
  export FERMATA_WEBSOCKET_PYTHON=$python
else
  echo "The test with websocket-client is skipped: $build/websocket.log." >&2
  unset FERMATA_WEBSOCKET_PYTHON
fi

rm -rf "$build/results"
mkdir -p "$build/results"
export GTEST_OUTPUT=xml:$build/results/
# One at a time: tests of time and of limits share two cores badly. What was skipped is said before the summary.
ctest --test-dir "$build" --output-on-failure --no-tests=error -L "^($labels)\$" -R "$filter|^skips\$" |
  awk -v report="'$source/tests/check-skips.sh' '$build/results'" '/tests passed, /{fflush(); system(report " || true"); print ""} {print; fflush()}'
