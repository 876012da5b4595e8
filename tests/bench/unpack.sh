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
# Each run unpacks onto a new ext4 (in a file below $TMPDIR or /tmp, by a loop device): ext4 without a journal does not
# use the inodes of deleted files for a minute and looks at each of them, so a second run on the same one would pay for
# the first. All is removed again.
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
PATH=$PATH:/usr/sbin:/sbin
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
loop=
unmount() {
  ! mountpoint -q "$home/disk" || umount "$home/disk" || umount -l "$home/disk"
  [ -z "$loop" ] || losetup -d "$loop"
  loop=
}
cleanup() {
  local status=$?
  stop_daemon
  unmount || true
  [ $status = 0 ] || tail -n 15 "$home"/*.log >&2 || true
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

layers=6
blobs=$home/layout/blobs/sha256
mkdir -p "$blobs" "$home/lists" "$home/disk"
# new_disk: an empty file system at $home/disk.
new_disk() {
  unmount
  rm -f "$home/disk.img"
  truncate -s $((size * 3 / 1000 + 2))G "$home/disk.img"
  mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$home/disk.img"
  loop=$(losetup --find --show --direct-io=on "$home/disk.img")  # else all is in memory twice
  mount "$loop" "$home/disk"
}
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
    { total += $1; if (total >= want) next; name = substr($0, index($0, " ") + 1); print name >(lists "/" int(total / want * layers)) }'
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
cp "$home/manifest" "$home/manifest-copy"
blob "$home/manifest"
echo "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$bytes,\"annotations\":{\"org.opencontainers.image.ref.name\":\"latest\"}}]}" >"$home/layout/index.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$home/layout/oci-layout"
tar -C "$home/layout" --sort=name -cf "$home/image.tar" .
packed=$(du -sm "$blobs" | cut -f1)
files=$(cat "$home"/lists/* | wc -l)

# best PREPARE COMMAND: the shortest time of COMMAND in seconds; PREPARE comes before each run and is not counted.
best() {
  local shortest='' begin end
  for ((run = 0; run < runs; ++run)); do
    "$1" >"$home/command.log" 2>&1
    sync
    begin=$(date +%s%N)
    "$2" >"$home/command.log" 2>&1
    end=$(date +%s%N)
    [ -n "$shortest" ] && [ $((end - begin)) -ge "$shortest" ] || shortest=$((end - begin))
  done
  awk -v ns="$shortest" 'BEGIN { printf "%.2f", ns / 1e9 }'
}

fermata() { "$build/bin/fermata" --socket "$home/run/fermata.sock" "$@"; }
start_daemon() {
  stop_daemon
  new_disk
  rm -rf "$home/run"
  "$build/bin/fermatad" --data-dir "$home/disk/data" --run-dir "$home/run" >"$home/fermatad.log" 2>&1 &
  daemon=$!
  for _ in {1..100}; do
    if [ -S "$home/run/fermata.sock" ] && fermata info >/dev/null 2>&1; then return; fi
    sleep .1
  done
  return 1
}
import() { fermata image import "$home/image.tar" bench.local/unpack:1; }
unpack_umoci() { umoci unpack --image "$home/layout:latest" "$home/disk/bundle"; }
unpack_synced() { unpack_umoci && sync -f "$home/disk/bundle"; }
unpack_bsdtar() {
  mkdir "$home/disk/bundle"
  for layer in $(jq -r '.layers[].digest[7:]' "$home/manifest-copy"); do
    bsdtar -x -p -f "$blobs/$layer" -C "$home/disk/bundle"
  done
}
echo "measuring" >&2
# The results go through files: the daemon is a child of this shell, not of a substitution's.
best start_daemon import >"$home/ours"
stop_daemon
best new_disk unpack_umoci >"$home/umoci"
best new_disk unpack_synced >"$home/synced"
best new_disk unpack_bsdtar >"$home/bsdtar"

echo "Linux $(uname -r), $(nproc) CPUs; $layers gzip layers of $files files, $packed MB, unpacked $size MB; best of $runs"
awk -v ours="$(cat "$home/ours")" -v umoci="$(cat "$home/umoci")" -v synced="$(cat "$home/synced")" -v bsdtar="$(cat "$home/bsdtar")" 'BEGIN {
  printf "%-40s %8.2f s\n", "fermata image import (synced)", ours
  printf "%-40s %8.2f s %6.1fx\n", "umoci unpack", umoci, umoci / ours
  printf "%-40s %8.2f s %6.1fx\n", "umoci unpack and sync", synced, synced / ours
  printf "%-40s %8.2f s %6.1fx\n", "bsdtar -x, unchecked", bsdtar, bsdtar / ours
}'
