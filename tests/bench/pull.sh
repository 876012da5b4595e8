#!/bin/bash
# pull.sh [--build DIR] [--size MB] [--runs N]
#
# Pulls three images from a registry on loopback (Debian's docker-registry, plain HTTP), best of N runs each (default 3):
#
#   mixed    8 gzip layers, about SIZE MB (default 1024) when unpacked, of the files below /usr of this machine
#   small    one layer of 30,000 files of 200 bytes
#   layers   40 layers of one small file each
#
# by crictl from fermatad, by crictl from Debian's containerd, and by `skopeo copy` and `umoci unpack`; prints the times
# and their ratios, and the most memory that the daemons and their helpers had (sum of PSS, looked at 20 times a second;
# of containerd without the page cache's part, as of ours). Each run goes onto a new ext4 in a file, by a loop device,
# as in unpack.sh. Needs FERMATA_CRICTL, or build/tools/crictl, which tests/run.sh makes. All is removed again.
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
crictl=${FERMATA_CRICTL:-$build/tools/crictl}
[ "$(id -u)" = 0 ] || { echo "$0: needs root" >&2; exit 1; }
[ -x "$crictl" ] || { echo "$0: no crictl at $crictl" >&2; exit 1; }
for tool in docker-registry containerd runc skopeo umoci jq; do
  command -v $tool >/dev/null || { echo "$0: no $tool: run packaging/setup.sh --tests --bench" >&2; exit 1; }
done
[ -x "$build/bin/fermatad" ] || { echo "$0: no $build/bin/fermatad: build first" >&2; exit 1; }

home=$(mktemp -d "${TMPDIR:-/tmp}/fermata-pull-bench.XXXXXX")
daemon='' registry='' loop='' sampler=''
stop() { [ -z "${!1}" ] || { kill "${!1}" 2>/dev/null || true; wait "${!1}" 2>/dev/null || true; }; printf -v "$1" ''; }
unmount() {
  ! mountpoint -q "$home/disk" || umount "$home/disk" || umount -l "$home/disk"
  [ -z "$loop" ] || losetup -d "$loop"
  loop=
}
cleanup() {
  local status=$?
  stop sampler
  stop daemon
  stop registry
  unmount || true
  [ $status = 0 ] || tail -n 15 "$home"/*.log >&2 || true
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM
mkdir -p "$home"/{disk,lists}
new_disk() {
  unmount
  rm -f "$home/disk.img"
  truncate -s $((size * 4 / 1000 + 3))G "$home/disk.img"
  mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$home/disk.img"
  loop=$(losetup --find --show --direct-io=on "$home/disk.img")
  mount "$loop" "$home/disk"
}

# --- the images ------------------------------------------------------------------------------------------------------
# blob FILE: moves it among the blobs of $layout; sets $digest and $bytes.
blob() {
  digest=$(sha256sum "$1" | cut -d' ' -f1)
  bytes=$(stat -c %s "$1")
  mv "$1" "$layout/blobs/sha256/$digest"
}
diff_ids='' descriptors=''
# layer TAR: adds it, compressed.
layer() {
  diff_ids="$diff_ids${diff_ids:+,}\"sha256:$(sha256sum "$1" | cut -d' ' -f1)\""
  gzip -n -6 "$1"
  blob "$1.gz"
  descriptors="$descriptors${descriptors:+,}{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:$digest\",\"size\":$bytes}"
}
begin_image() {
  layout=$home/layout-$1 diff_ids='' descriptors=''
  mkdir -p "$layout/blobs/sha256"
}
end_image() {
  echo "{\"architecture\":\"$(dpkg --print-architecture)\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$diff_ids]}}" >"$home/config"
  blob "$home/config"
  echo "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$bytes},\"layers\":[$descriptors]}" >"$home/manifest"
  blob "$home/manifest"
  echo "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$bytes,\"annotations\":{\"org.opencontainers.image.ref.name\":\"latest\"}}]}" >"$layout/index.json"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  skopeo copy -q --insecure-policy --dest-tls-verify=false --preserve-digests "oci:$layout:latest" "docker://$host/bench/$1:1"
  rm -rf "$layout"
}
tar_options=(--no-recursion --sort=none --mtime=@0 --numeric-owner --format=pax --pax-option='delete=atime,delete=ctime')

cat >"$home/registry.yml" <<END
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $home/registry}}
http: {addr: "127.0.0.1:0"}
END
OTEL_TRACES_EXPORTER=none docker-registry serve "$home/registry.yml" >"$home/registry.out" 2>&1 &
registry=$!
for _ in {1..100}; do
  host=$(sed -nE 's/.*listening on (127[^,"]*).*/\1/p' "$home/registry.out" | head -n1)
  [ -z "$host" ] || break
  sleep .05
done
[ -n "$host" ]
mkdir -p "$home/certs.d/$host"
printf 'server = "http://%s"\n[host."http://%s"]\n  capabilities = ["pull", "resolve"]\n' "$host" "$host" >"$home/certs.d/$host/hosts.toml"

echo "making the images" >&2
begin_image mixed
find /usr -xdev \( -path /usr/src -o -path '*/__pycache__' \) -prune -o -type f -size -64M -printf '%s %P\n' | LC_ALL=C sort -k2 |
  awk -v want="$((size * 1000000))" -v lists="$home/lists" '
    { total += $1; if (total >= want) next; name = substr($0, index($0, " ") + 1); print name >(lists "/" int(total / want * 8)) }'
for list in "$home"/lists/*; do
  tar -C /usr "${tar_options[@]}" --transform 's,^,usr/,S' -cf "$home/layer.tar" -T "$list"
  layer "$home/layer.tar"
done
end_image mixed
begin_image small
mkdir -p "$home/small"
awk -v dir="$home/small" 'BEGIN { for (i = 0; i < 30000; ++i) { file = dir "/" i; for (j = 0; j < 20; ++j) printf "%010d", i * 7919 + j >file; close(file) } }'
(cd "$home/small" && find . -type f | sed 's,^\./,,' | LC_ALL=C sort >"$home/names" && tar "${tar_options[@]}" --transform 's,^,d/,S' -cf "$home/layer.tar" -T "$home/names")
rm -rf "$home/small"
layer "$home/layer.tar"
end_image small
begin_image layers
mkdir -p "$home/one"
for number in {1..40}; do
  seq "$number" 20000 >"$home/one/file-$number"
  tar -C "$home/one" "${tar_options[@]}" -cf "$home/layer.tar" "file-$number"
  layer "$home/layer.tar"
done
end_image layers

# --- who pulls -------------------------------------------------------------------------------------------------------
wait_for() { for _ in {1..200}; do if [ -S "$1" ] && "$crictl" -r "unix://$1" -i "unix://$1" version >/dev/null 2>&1; then return; fi; sleep .05; done; return 1; }
start_fermata() {
  new_disk
  socket=$home/fermata.sock
  printf '[images]\nhosts_dir = "%s"\nauth_files = []\nsignature_policy = []\n' "$home/certs.d" >"$home/config.toml"
  "$build/bin/fermatad" --config "$home/config.toml" --socket "$socket" --data-dir "$home/disk/data" --run-dir "$home/run" >"$home/fermatad.log" 2>&1 &
  daemon=$!
  wait_for "$socket"
}
start_containerd() {
  new_disk
  socket=$home/containerd.sock
  cat >"$home/containerd.toml" <<END
version = 2
root = "$home/disk/containerd"
state = "$home/containerd-run"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "$socket"
[plugins."io.containerd.internal.v1.opt"]
  path = "$home/opt"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "$home/certs.d"
END
  containerd --config "$home/containerd.toml" >"$home/containerd.log" 2>&1 &
  daemon=$!
  wait_for "$socket"
}
start_nothing() { new_disk; }
pull_crictl() { "$crictl" -r "unix://$socket" -i "unix://$socket" --timeout 600s pull "$host/bench/$1:1"; }
pull_tools() {
  skopeo copy -q --insecure-policy --src-tls-verify=false "docker://$host/bench/$1:1" "oci:$home/disk/layout:latest"
  umoci unpack --image "$home/disk/layout:latest" "$home/disk/bundle"
}
# Of the daemon and all its children, in kB; the most of all samples.
sample() {
  local most=0 sum file
  while sleep .05; do
    sum=0
    for file in "/proc/$1" $(awk -v parent="$1" '$4 == parent {print "/proc/" $1}' /proc/[0-9]*/stat 2>/dev/null); do
      sum=$((sum + $(awk '/^Pss:/ {print $2}' "$file/smaps_rollup" 2>/dev/null || echo 0)))
    done
    [ "$sum" -le "$most" ] || { most=$sum; echo "$most" >"$home/most"; }
  done
}
# measure START PULL IMAGE: prints the best time in s and the most memory in MB.
measure() {
  local shortest='' begin end memory=0
  for ((run = 0; run < runs; ++run)); do
    "$1"
    sync
    echo 0 >"$home/most"
    if [ -n "$daemon" ]; then sample "$daemon" 2>/dev/null & sampler=$!; fi
    begin=$(date +%s%N)
    "$2" "$3" >"$home/command.log" 2>&1
    end=$(date +%s%N)
    stop sampler
    stop daemon
    [ -n "$shortest" ] && [ $((end - begin)) -ge "$shortest" ] || shortest=$((end - begin))
    [ "$(cat "$home/most")" -le "$memory" ] || memory=$(cat "$home/most")
    rm -rf "$home/run" "$home/containerd-run"
  done
  awk -v ns="$shortest" -v kb="$memory" 'BEGIN { printf "%.2f %.0f\n", ns / 1e9, kb / 1000 }' >"$home/measured"
}
echo "Linux $(uname -r), $(nproc) CPUs; $(containerd --version | awk '{print $1, $3}'), $(skopeo --version), $(umoci --version | head -n1); best of $runs"
printf '%-8s %10s %12s %8s %16s %8s %12s %12s\n' image fermatad containerd ratio 'skopeo + umoci' ratio 'memory' 'containerd'
for image in mixed small layers; do
  measure start_fermata pull_crictl $image; read -r ours our_memory <"$home/measured"
  measure start_containerd pull_crictl $image; read -r theirs their_memory <"$home/measured"
  measure start_nothing pull_tools $image; read -r tools _ <"$home/measured"
  awk -v i=$image -v a="$ours" -v b="$theirs" -v c="$tools" -v m="$our_memory" -v n="$their_memory" 'BEGIN {
    printf "%-8s %8.2f s %10.2f s %7.1fx %14.2f s %7.1fx %9.0f MB %9.0f MB\n", i, a, b, b / a, c, c / a, m, n }'
done
