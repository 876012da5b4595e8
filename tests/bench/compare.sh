#!/bin/bash
# compare.sh [--build DIR] [--runtime runc|crun] [--pods N] [--results DIR]
#
# Measures fermatad and then Debian's containerd with the same client, the same image and the same requests (cri_bench),
# and prints both with their ratios. Each runs alone, with a configuration made here and a new ext4 file system of its
# own (in a file, by a loop device), and is gone afterwards. Of its own, because ext4 without a journal does not use the
# inodes of deleted files for a minute and looks at each of them: who comes second would pay for the first.
# In a virtual machine with cgroup v2 on both sides:
#
#   tests/vm/suite.sh 6.12 fast --command 'tests/bench/compare.sh --runtime crun --pods 20'
set -euo pipefail
here=$(dirname "$(realpath "$0")")
source=$(realpath "$here/../..")
build=$source/build runtime=runc pods=100 results=''
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$(realpath "$2") ;;
    --runtime) runtime=$2 ;;
    --pods) pods=$2 ;;
    --results) results=$2 ;;
    *) echo "usage: $0 [--build DIR] [--runtime runc|crun] [--pods N] [--results DIR]" >&2; exit 2 ;;
  esac
  shift 2
done
[ "$(id -u)" = 0 ] || { echo "$0: needs root" >&2; exit 1; }
PATH=$PATH:/usr/sbin:/sbin
for tool in containerd ctr "$runtime" jq; do
  command -v "$tool" >/dev/null || { echo "$0: no $tool: run packaging/setup.sh --bench" >&2; exit 1; }
done
bench=$build/tests/cri_bench
image=bench.local/busybox:1
pause_image=bench.local/pause:1

home=$(mktemp -d /tmp/fermata-bench.XXXXXX)
results=${results:-$home/results}
mkdir -p "$results" "$home"/{disk,cni}
# new_disk: an empty file system at $home/disk.
new_disk() {
  modprobe loop 2>/dev/null || true
  umount -l "$home/disk" 2>/dev/null || true
  rm -f "$home/disk.img"
  truncate -s 2G "$home/disk.img"
  mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$home/disk.img"
  mount -o loop "$home/disk.img" "$home/disk"
  mkdir "$home/disk/logs"
}
daemon=
fermata_group=
stop_daemon() {
  [ -n "$daemon" ] || return 0
  kill "$daemon" 2>/dev/null || true
  wait "$daemon" 2>/dev/null || true
  daemon=
}
# containerd leaves the groups above its containers; those that were there before are somebody else's.
peer_groups() { find /sys/fs/cgroup -maxdepth 2 -type d -name k8s.io; }
had_peer_groups=$(peer_groups)
cleanup() {
  local status=$?
  stop_daemon
  # What a failed run left: shims name our socket in their arguments, monitors are in our control group.
  for process in /proc/[0-9]*; do
    if { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -qF -- "-address $home/containerd.sock"; then kill -9 "${process#/proc/}" 2>/dev/null || true; fi
  done
  if [ -n "$fermata_group" ] && [ -d "$fermata_group" ]; then
    echo 1 >"$fermata_group/cgroup.kill" 2>/dev/null || true
    for _ in {1..20}; do
      find "$fermata_group" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [ -d "$fermata_group" ] || break
      sleep .1
    done
  fi
  [ -n "$had_peer_groups" ] || peer_groups | while read -r at; do find "$at" -depth -type d -exec rmdir {} + 2>/dev/null || true; done
  awk -v home="$home/" 'index($5, home) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r -n1 umount -l 2>/dev/null || true
  [ $status = 0 ] || tail -n 15 "$home"/*.log >&2 || true
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

wait_for() {  # SOCKET COMMAND...: until it answers
  for _ in {1..300}; do
    if "${@:2}" >/dev/null 2>&1; then return 0; fi
    kill -0 "$daemon" 2>/dev/null || break
    sleep .1
  done
  echo "$0: nobody answers at $1" >&2
  return 1
}

# measure NAME SOCKET HELPERS: the two runs of one side, one after the other and sixteen at once.
measure() {
  local common=(--endpoint "$2" --image $image --host-network --log-dir "$home/disk/logs" --json)
  echo "measuring $1" >&2
  "$bench" "${common[@]}" --pods "$pods" --exec 100 --daemon-pid "$daemon" --helpers "$3" >"$results/$1.json"
  "$bench" "${common[@]}" --pods 48 --parallel 16 --exec 0 >"$results/$1-parallel.json"
}

"$source/packaging/make-image.sh" "$home/image.tar" $image
# Both sides hold their sandboxes with the same program.
"$source/packaging/make-image.sh" "$home/pause.tar" $pause_image "$build/bin/fermata-pause"

# --- fermatad --------------------------------------------------------------------------------------------------------
new_disk
printf '[cgroup]\nmissing_controllers = "warn"\n[network]\npods = "none"\ncni_conf_dir = "%s"\n' "$home/cni" >"$home/fermata.toml"
fermata_group=$(awk '{for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") {print $5; exit}}' /proc/self/mountinfo)
[ -z "$fermata_group" ] || fermata_group+=/fermata-$(printf %s "$home/disk/fermata" | sha256sum | cut -c1-8)
"$build/bin/fermatad" --config "$home/fermata.toml" --socket "$home/fermata.sock" --data-dir "$home/disk/fermata" \
  --run-dir "$home/disk/fermata-run" --log-level warn >"$home/fermatad.log" 2>&1 &
daemon=$!
wait_for "$home/fermata.sock" "$build/bin/fermata" --socket "$home/fermata.sock" info
"$build/bin/fermata" --socket "$home/fermata.sock" image import "$home/image.tar" $image >/dev/null
measure fermata "$home/fermata.sock" 'fermata-monitor|fermata-pause'
stop_daemon

# --- containerd ------------------------------------------------------------------------------------------------------
new_disk
# restrict_oom_score_adj: without CAP_SYS_RESOURCE a lower score is an error there; with it the setting changes nothing.
cat >"$home/containerd.toml" <<END
version = 2
root = "$home/disk/containerd"
state = "$home/disk/containerd-run"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "$home/containerd.sock"
[debug]
  level = "warn"
[plugins."io.containerd.internal.v1.opt"]
  path = "$home/disk/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause_image"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$home/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "peer"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.peer]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.peer.options]
        BinaryName = "$(command -v "$runtime")"
END
containerd --config "$home/containerd.toml" >"$home/containerd.log" 2>&1 &
daemon=$!
ctr=(ctr --address "$home/containerd.sock" --namespace k8s.io)
wait_for "$home/containerd.sock" "${ctr[@]}" version
for archive in image pause; do "${ctr[@]}" images import "$home/$archive.tar" >/dev/null; done
measure containerd "$home/containerd.sock" 'containerd-shim.*|fermata-pause'
stop_daemon

# --- the table -------------------------------------------------------------------------------------------------------
echo "Linux $(uname -r), $(nproc) CPUs, control groups $(stat -fc %T /sys/fs/cgroup | sed 's/cgroup2fs/v2/; s/tmpfs/hybrid (containerd: v1, fermatad: v2)/')"
echo "$(containerd --version | awk '{print $1, $3}'), $($runtime --version | head -n1); $pods pods, host network, default seccomp, log files"
jq -rn --slurpfile us "$results/fermata.json" --slurpfile them "$results/containerd.json" \
  --slurpfile us_parallel "$results/fermata-parallel.json" --slurpfile them_parallel "$results/containerd-parallel.json" '
  def round2: . * 100 | round / 100;
  def row(name; a; b; ratio):
    [name, (a | tostring), (b | tostring), if ratio == null then "not offered" else (ratio * 10 | round / 10 | tostring) + "x" end];
  $us[0] as $u | $them[0] as $t |
  (["", "fermatad", "containerd", "ratio"],
   ($u.ms | keys_unsorted[] as $k | ("p50", "p99") as $p |
     row((if $k == "pod" then "sandbox + create + start" else $k end) + " " + $p + ", ms"; $u.ms[$k][$p] | round2;
         if $t.ms[$k] then $t.ms[$k][$p] | round2 else "-" end; if $t.ms[$k] then $t.ms[$k][$p] / $u.ms[$k][$p] else null end)),
   row("pods a second, one at a time"; $u.pods_per_second | round2; $t.pods_per_second | round2; $u.pods_per_second / $t.pods_per_second),
   row("pods a second, 16 at once"; $us_parallel[0].pods_per_second | round2; $them_parallel[0].pods_per_second | round2; $us_parallel[0].pods_per_second / $them_parallel[0].pods_per_second),
   row("PSS a pod, MB"; $u.memory.pss_mb_per_pod * 1000 | round / 1000; $t.memory.pss_mb_per_pod * 1000 | round / 1000; $t.memory.pss_mb_per_pod / $u.memory.pss_mb_per_pod),
   row("RSS a pod, MB"; $u.memory.rss_mb_per_pod * 1000 | round / 1000; $t.memory.rss_mb_per_pod * 1000 | round / 1000; $t.memory.rss_mb_per_pod / $u.memory.rss_mb_per_pod)
  ) | @tsv' | awk -F'\t' '{printf "%-36s%12s%12s%12s\n", $1, $2, $3, $4}'
