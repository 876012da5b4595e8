#!/bin/bash
# demo.sh [--build DIR]: runs the pod of examples/hello.yaml in a daemon of its own, which has its state in a temporary
# directory, and removes everything again. Without --build it first installs what is missing (setup.sh) and builds.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
source=$(dirname "$here")
build=
case ${1:-} in
  '') ;;
  --build) build=$(realpath "$2") ;;
  *) echo "usage: $0 [--build DIR]" >&2; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "$0: needs root: sudo $0" >&2; exit 1; }

say() { printf '\n== %s\n' "$*"; }

if [ -z "$build" ]; then
  build=$source/build
  say "Building (the first time takes some minutes)"
  "$here/setup.sh"
  log=$(mktemp)
  if ! { cmake -S "$source" -B "$build" -G Ninja && ninja -C "$build" fermatad fermata fermata-monitor fermata-pause fermata-unpack fermata-helper; } >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    rm -f "$log"
    exit 1
  fi
  rm -f "$log"
fi

home=$(mktemp -d /tmp/fermata-demo.XXXXXX)
daemon=
cleanup() {
  local status=$?
  trap '' INT TERM
  if [ -n "$daemon" ] && kill -0 "$daemon" 2>/dev/null; then
    [ $status = 0 ] || "$build/bin/fermata" rm --force hello >/dev/null 2>&1 || true
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  [ $status = 0 ] || { echo "demo failed ($status); the daemon said:" >&2; tail -n 20 "$home/log" >&2 || true; }
  # The daemon's control group, named after its data directory, is empty now; after a failure it is made so.
  if [ -n "${group:-}" ] && [ -d "$group" ]; then
    [ $status = 0 ] || echo 1 >"$group/cgroup.kill" || true
    for _ in {1..20}; do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [ -d "$group" ] || break
      sleep .05
    done
  fi
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

group=$(awk '{for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") {print $5; exit}}' /proc/self/mountinfo)
[ -z "$group" ] || group+=/fermata-$(printf %s "$home/data" | sha256sum | cut -c1-8)

# A machine without the cgroup v2 controllers has no limits to offer; the demo asks for none. Nor does it change
# the machine's network: its pod has a loopback interface.
printf '[cgroup]\nmissing_controllers = "warn"\n[network]\npods = "none"\ncni_conf_dir = "%s"\n' "$home/cni" >"$home/config.toml"
export FERMATA_SOCKET=$home/fermata.sock
"$build/bin/fermatad" --config "$home/config.toml" --socket "$FERMATA_SOCKET" --data-dir "$home/data" --run-dir "$home/run" \
  --log-level warn >"$home/log" 2>&1 &
daemon=$!
for _ in {1..200}; do
  "$build/bin/fermata" info >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || exit 1
  sleep .05
done

say "fermata image import: busybox, made on the spot"
"$here/make-image.sh" "$home/busybox.tar" demo.local/busybox:1
"$build/bin/fermata" image import "$home/busybox.tar" demo.local/busybox:1

say "fermata run packaging/examples/hello.yaml"
"$build/bin/fermata" run "$here/examples/hello.yaml"

say "Done: the pod ran, ended and is gone."
