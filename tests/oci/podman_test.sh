#!/bin/bash
# podman_test.sh BIN-DIR: podman on directories of its own runs containers and pods with fermata-oci as its runtime.
# Skipped (77) where there is no podman.
set -euo pipefail
bin=$(realpath "$1")
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$(realpath "$0")")/../fixtures/checks.sh"
command -v podman >/dev/null || skip "needs podman (packaging/setup.sh --tests)"

home=$(mktemp -d /tmp/fermata-podman.XXXXXX)
parent=fermata-podman-$$
pods=()
[ -e /var/lib/containers ] && had_cache=1 || had_cache=
# Limits that podman would set by default: where control groups are hybrid there is no controller for that of processes,
# and raising the others takes CAP_SYS_RESOURCE, which not every root has.
cat >"$home/containers.conf" <<END
[engine]
infra_image = "demo.local/pause:1"
[containers]
pids_limit = 0
log_driver = "k8s-file"
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=4096:4096"]
END
printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' >"$home/policy.json"
export CONTAINERS_CONF=$home/containers.conf
export TMPDIR=$home
# Podman tidies up without the runtime flags of its caller: the state is at fermata-oci's default place.
p() {
  podman --runtime "$bin/fermata-oci" --runtime-flag missing-controllers=warn \
    --cgroup-manager=cgroupfs --root "$home/root" --runroot "$home/runroot" --tmpdir "$home/tmp" \
    --storage-driver vfs --events-backend file --conmon "$(command -v conmon)" "$@"
}
cleanup() {
  status=$?
  p pod rm --all --force --time 0 >/dev/null 2>&1 || true
  p rm --all --force --time 0 >/dev/null 2>&1 || true
  awk -v home="$home" '$5 ~ "^" home {print $5}' /proc/self/mountinfo | sort -r | while read -r at; do umount -l "$at"; done
  # conmon has groups in every hierarchy, and ends after its container.
  for _ in $(seq 100); do
    find /sys/fs/cgroup -depth -type d -path "*/$parent*" -exec rmdir {} \; 2>/dev/null || true
    [ -n "$(find /sys/fs/cgroup -type d -name "$parent" -print -quit)" ] || break
    sleep .05
  done
  # kube play has no option for the parent of its groups.
  for id in "${pods[@]}"; do find /sys/fs/cgroup -depth -type d -path "*/libpod_parent/$id*" -exec rmdir {} \; 2>/dev/null || true; done
  find /sys/fs/cgroup -depth -type d -name libpod_parent -exec rmdir {} \; 2>/dev/null || true
  [ -n "$had_cache" ] || rm -rf /var/lib/containers
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

code() { local status=0; "$@" >/dev/null 2>&1 || status=$?; echo $status; }

mounts() { awk '{print $5, $9}' /proc/self/mountinfo | grep -c "$home" || true; }
"$source/packaging/make-image.sh" "$home/busybox.tar" demo.local/busybox:1
p load --signature-policy "$home/policy.json" -q -i "$home/busybox.tar" >/dev/null 2>&1 || p load -q -i "$home/busybox.tar" >/dev/null
run=(run --network none --cgroup-parent "/$parent")

check "podman names the runtime" "$(p info --format '{{.Host.OCIRuntime.Path}}')" "$bin/fermata-oci"
check "run" "$(p "${run[@]}" --rm demo.local/busybox:1 echo hello)" hello
check "run: the exit code" "$(code p "${run[@]}" --rm demo.local/busybox:1 sh -c 'exit 7')" 7
check "run: a program that is not there" "$(code p "${run[@]}" --rm demo.local/busybox:1 nonsense)" 127
check "run: a program that is none" "$(code p "${run[@]}" --rm demo.local/busybox:1 /etc)" 126
check "run with the host's network" "$(p run --rm --network host --cgroup-parent "/$parent" demo.local/busybox:1 readlink /proc/self/ns/net)" "$(readlink /proc/self/ns/net)"
check "run as a user, read-only" "$(p "${run[@]}" --rm --read-only -u 1000:1000 demo.local/busybox:1 sh -c 'id -u; touch /x 2>/dev/null || echo ro')" $'1000\nro'
check "run with a terminal" "$(p "${run[@]}" --rm -t demo.local/busybox:1 tty | tr -d '\r')" /dev/pts/0
check "run in a user namespace" "$(p "${run[@]}" --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 demo.local/busybox:1 sh -c 'id -u; tr -s " " </proc/self/uid_map')" $'0\n 0 100000 65536'
check "volumes" "$(echo text >"$home/file"; p "${run[@]}" --rm -v "$home/file:/file:ro" --tmpfs /scratch demo.local/busybox:1 sh -c 'cat /file; touch /scratch/x && echo wrote')" $'text\nwrote'

ids=$(p "${run[@]}" -d --name main demo.local/busybox:1 sleep 1000)
check "ps" "$(p ps --format '{{.Names}} {{.State}}' | cut -c1-7)" "main Up"
check "exec" "$(p exec main sh -c 'echo in; exit 0')" in
check "exec: the exit code" "$(code p exec main sh -c 'exit 9')" 9
check "exec with a terminal" "$(p exec -t main tty | tr -d '\r')" /dev/pts/0
check "exec -d" "$(code p exec -d main sleep 1000)" 0
check "top" "$(p top main args | grep -c 'sleep 1000')" 2
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  check "stats" "$(p stats --no-stream --format '{{.Name}}' main)" main
else
  echo "not tested: stats: podman reads control groups v1 where they are hybrid, and fermata-oci writes v2"
fi
check "pause" "$(p pause main >/dev/null; p inspect main --format '{{.State.Status}}')" paused
p unpause main >/dev/null
check "inspect" "$(p inspect main --format '{{.State.Status}} {{.OCIRuntime}}')" "running $bin/fermata-oci"
check "kill" "$(p kill -s KILL main)" main
check "wait" "$(p wait main)" 137
check "start again" "$(p start main)" main
check "stop" "$(p stop -t 0 main 2>/dev/null)" main
check "rm" "$(p rm main 2>/dev/null | tail -n 1)" main
check "nothing is left of it" "$(p ps -aq)" ""

# The image of the process that holds a pod's namespaces: podman would build or pull one.
"$source/packaging/make-image.sh" "$home/pause.tar" demo.local/pause:1 "$bin/fermata-pause"
p load -q -i "$home/pause.tar" >/dev/null
p pod create --name pod --network none --share net,ipc,uts,pid --cgroup-parent "/$parent" >/dev/null
p run -d --pod pod --name one demo.local/busybox:1 sleep 1000 >/dev/null
p run -d --pod pod --name two demo.local/busybox:1 sleep 1000 >/dev/null
check "a pod of two" "$(p pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}')" "pod Running 3"
for kind in net ipc pid; do
  check "they share their $kind namespace" "$(p exec two readlink "/proc/self/ns/$kind")" "$(p exec one readlink "/proc/self/ns/$kind")"
done
check "pod rm" "$(code p pod rm -f -t 0 pod)" 0

cat >"$home/pod.yaml" <<END
apiVersion: v1
kind: Pod
metadata: {name: played}
spec:
  hostNetwork: true
  containers:
  - {name: main, image: "demo.local/busybox:1", command: [sleep, "1000"]}
  - {name: side, image: "demo.local/busybox:1", command: [sleep, "1000"]}
END
p kube play "$home/pod.yaml" >"$home/play" 2>&1 || { cat "$home/play"; exit 1; }
check "kube play" "$(p ps --filter pod=played --format '{{.Names}}' | grep -c '^played-')" 2
check "they share the pod's ipc namespace" "$(p exec played-main readlink /proc/self/ns/ipc)" "$(p exec played-side readlink /proc/self/ns/ipc)"
mapfile -t pods < <(p pod ps -q --no-trunc)
ids="$ids $(p ps -aq --no-trunc | tr '\n' ' ')"
check "kube down" "$(code p kube down "$home/pod.yaml")" 0
check "no container is left" "$(p ps -aq)" ""
check "no state is left" "$(for id in $ids; do ls -d "/run/fermata-oci/$id" 2>/dev/null; done | wc -l)" 0
