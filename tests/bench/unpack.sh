#!/bin/bash
# unpack.sh [--build DIR] [--size MB] [--runs N]
#
# Makes an OCI image of six gzip layers, about SIZE MB (default 1024) when unpacked, from the files below /usr of this
# machine (the same files give the same image), and times, best of N runs each (default 3):
#
#   fermata image import    end to end: the archive through the socket, unpacked in parallel, synced, recorded
#   umoci unpack            from the same image as a layout directory
#   bsdtar -x               layer after layer, nothing checked, no owners' databases, no whiteouts
#
# Everything lies in one new directory of $TMPDIR (or /tmp), on the disk, and is removed again.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
build=$(realpath "$here/../..")/build size=1024 runs=3
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$(realpath "$2") ;;
    --size) size=$2 ;;
    --runs) runs=$2 ;;
    *) echo "usage: $0 [--build DIR] [--size MB] [--runs N]" >&2; exit 2 ;;
  esac
  shift 2
done
[ "$(id -u)" = 0 ] || { echo "$0: needs root" >&2; exit 1; }
for tool in umoci bsdtar jq; do
  command -v $tool >/dev/null || { echo "$0: no $tool: run packaging/setup.sh --bench" >&2; exit 1; }
done
[ -x "$build/bin/fermatad" ] || { echo "$0: no $build/bin/fermatad: build first" >&2; exit 1; }

home=$(mktemp -d "${TMPDIR:-/tmp}/fermata-unpack-bench.XXXXXX")
daemon=
stop_daemon() {
  [ -n "$daemon" ] || return 0
  kill "$daemon" 2>/dev/null || true
  wait "$daemon" 2>/dev/null || true
  daemon=
}
cleanup() {
  local status=$?
  stop_daemon
  [ $status = 0 ] || tail -n 15 "$home"/*.log >&2 || true
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

layers=6
blobs=$home/layout/blobs/sha256
mkdir -p "$blobs" "$home/lists"
# blob FILE: moves it among the blobs; sets $digest and $bytes.
blob() {
  digest=$(sha256sum "$1" | cut -d' ' -f1)
  bytes=$(stat -c %s "$1")
  mv "$1" "$blobs/$digest"
}

echo "making the image" >&2
# Files dealt out by turns until there is enough: sorted by name, so that each layer has its share of every folder.
find /usr -xdev \( -path /usr/src -o -path '*/__pycache__' \) -prune -o -type f -size -64M -printf '%s %P\n' | LC_ALL=C sort -k2 |
  awk -v want="$((size * 1000000))" -v layers=$layers -v lists="$home/lists" '
    { total += $1; if (total > want) exit; name = substr($0, index($0, " ") + 1); print name >(lists "/" int(total / want * layers)) }'
diff_ids= descriptors=
for list in "$home"/lists/*; do
  tar -C /usr --no-recursion --sort=none --mtime=@0 --numeric-owner --format=pax --pax-option=delete=atime,delete=ctime \
    --transform 's,^,usr/,S' -cf "$home/layer.tar" -T "$list"
  diff_ids="$diff_ids${diff_ids:+,}\"sha256:$(sha256sum "$home/layer.tar" | cut -d' ' -f1)\""
  gzip -n -6 "$home/layer.tar"
  blob "$home/layer.tar.gz"
  descriptors="$descriptors${descriptors:+,}{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:$digest\",\"size\":$bytes}"
done
architecture=$(dpkg --print-architecture)
echo "{\"architecture\":\"$architecture\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$diff_ids]}}" >"$home/config"
blob "$home/config"
echo "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$bytes},\"layers\":[$descriptors]}" >"$home/manifest"
blob "$home/manifest"
echo "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$bytes,\"annotations\":{\"org.opencontainers.image.ref.name\":\"latest\"}}]}" >"$home/layout/index.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$home/layout/oci-layout"
tar -C "$home/layout" --sort=name -cf "$home/image.tar" .
packed=$(du -sm "$blobs" | cut -f1)
files=$(cat "$home"/lists/* | wc -l)

# best COMMAND...: its shortest time of all runs in seconds; undo is called before each, not counted.
best() {
  local shortest=
  for ((run = 0; run < runs; ++run)); do
    undo
    sync
    local begin end
    begin=$(date +%s%N)
    "$@" >"$home/command.log" 2>&1
    end=$(date +%s%N)
    [ -n "$shortest" ] && [ $((end - begin)) -ge "$shortest" ] || shortest=$((end - begin))
  done
  awk -v ns="$shortest" 'BEGIN { printf "%.2f", ns / 1e9 }'
}

mkdir "$home/data" "$home/run"
fermata() { "$build/bin/fermata" --socket "$home/run/fermata.sock" "$@"; }
"$build/bin/fermatad" --data-dir "$home/data" --run-dir "$home/run" >"$home/fermatad.log" 2>&1 &
daemon=$!
for _ in {1..100}; do
  if [ -S "$home/run/fermata.sock" ] && fermata info >/dev/null 2>&1; then break; fi
  sleep .1
done
echo "measuring" >&2
undo() { fermata image rm bench.local/unpack:1 >/dev/null 2>&1 || true; }
import() { fermata image import "$home/image.tar" bench.local/unpack:1; }
ours=$(best import)
undo
stop_daemon
undo() { rm -rf "$home/bundle"; }
unpack_umoci() { umoci unpack --image "$home/layout:latest" "$home/bundle"; }
umoci_time=$(best unpack_umoci)
unpack_synced() { unpack_umoci && sync -f "$home/bundle"; }
umoci_synced=$(best unpack_synced)
unpack_bsdtar() {
  mkdir "$home/bundle"
  for layer in $(jq -r '.layers[].digest[7:]' "$home/layout/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$home/layout/index.json")"); do
    bsdtar -x -p -f "$blobs/$layer" -C "$home/bundle"
  done
}
bsdtar_time=$(best unpack_bsdtar)

echo "Linux $(uname -r), $(nproc) CPUs; $layers gzip layers of $files files, $packed MB, unpacked $(awk "BEGIN { print $size }") MB; best of $runs"
awk -v ours="$ours" -v umoci="$umoci_time" -v synced="$umoci_synced" -v bsdtar="$bsdtar_time" 'BEGIN {
  printf "%-40s %8.2f s\n", "fermata image import (synced)", ours
  printf "%-40s %8.2f s %6.1fx\n", "umoci unpack", umoci, umoci / ours
  printf "%-40s %8.2f s %6.1fx\n", "umoci unpack and sync", synced, synced / ours
  printf "%-40s %8.2f s %6.1fx\n", "bsdtar -x, unchecked", bsdtar, bsdtar / ours
}'
