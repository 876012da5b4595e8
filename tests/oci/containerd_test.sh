#!/bin/bash
# containerd_test.sh BIN-DIR: containerd on directories of its own runs pods with fermata-oci as BinaryName of its runc
# shim, driven by crictl (the environment names it: FERMATA_CRICTL). Skipped (77) where one of them is missing.
set -euo pipefail
bin=$(realpath "$1")
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$(realpath "$0")")/../fixtures/checks.sh"
command -v containerd >/dev/null || skip "needs containerd (packaging/setup.sh --tests)"
[ -n "${FERMATA_CRICTL:-}" ] || skip "FERMATA_CRICTL does not name a crictl (go install sigs.k8s.io/cri-tools/cmd/crictl@v1.36.0)"
[ -x "$FERMATA_CRICTL" ] || skip "FERMATA_CRICTL=$FERMATA_CRICTL is no program"

home=$(mktemp -d /tmp/fermata-containerd.XXXXXX)
parent=fermata-containerd-$$
daemon='' pod=''
# Limits without a controller (control groups are hybrid on some machines) are passed over.
export FERMATA_OCI_MISSING_CONTROLLERS=warn
c() { "$FERMATA_CRICTL" --runtime-endpoint "unix://$home/s" --image-endpoint "unix://$home/s" --timeout "$((20 * scale))s" "$@"; }
cleanup() {
  status=$?
  if [ -n "$daemon" ]; then
    [ -z "$pod" ] || c rmp --force "$pod" >/dev/null 2>&1 || true
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  [ $status = 0 ] || tail -n 30 "$home/log" 2>/dev/null || true
  awk -v home="$home" '$5 ~ "^" home {print $5}' /proc/self/mountinfo | sort -r | while read -r at; do umount -l "$at"; done
  while read -r at; do rmdir "$at" 2>/dev/null || true; done < <(find /sys/fs/cgroup -depth -type d -path "*/$parent*" 2>/dev/null)
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM


"$source/packaging/make-image.sh" "$home/busybox.tar" demo.local/busybox:1
"$source/packaging/make-image.sh" "$home/pause.tar" demo.local/pause:1 "$bin/fermata-pause"
cat >"$home/config.toml" <<END
version = 2
root = "$home/root"
state = "$home/state"
[grpc]
  address = "$home/s"
[ttrpc]
  address = "$home/t"
[plugins."io.containerd.internal.v1.opt"]
  path = "$home/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "demo.local/pause:1"
  restrict_oom_score_adj = true
  disable_cgroup = false
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "fermata"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.fermata]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.fermata.options]
        BinaryName = "$bin/fermata-oci"
        Root = "$home/oci"
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$home/cni/bin"
    conf_dir = "$home/cni/net.d"
END
containerd --config "$home/config.toml" >"$home/log" 2>&1 &
daemon=$!
answers() { kill -0 "$daemon" && c version >/dev/null 2>&1; }
until_true answers
for image in busybox pause; do ctr -a "$home/s" -n k8s.io image import --snapshotter native "$home/$image.tar" >/dev/null; done

# namespaces: network of the node; processes of a pod apart, or shared.
pod_json() {
  jq -n --arg name "$1" --arg logs "$home/logs" --arg parent "/$parent" --argjson pid "$2" '{metadata: {name: $name, namespace: "test", uid: $name, attempt: 1},
    log_directory: $logs, linux: {cgroup_parent: $parent, security_context: {namespace_options: {network: 2, pid: $pid}}}}' >"$home/$1.json"
}
# container NAME SCRIPT PID-NAMESPACE
container() {
  jq -n --arg name "$1" --arg script "$2" --argjson pid "$3" '{metadata: {name: $name}, image: {image: "demo.local/busybox:1"},
    command: ["sh", "-c", $script], log_path: ($name + ".log"),
    linux: {security_context: {namespace_options: {network: 2, pid: $pid}, seccomp: {profile_type: 0}}}}' >"$home/$1.json"
}
for mode in 1 0; do  # CONTAINER, then POD: the second joins the PID namespace of the first process
  echo "processes of a pod are shared: $((1 - mode))"
  pod_json pod $mode
  container main 'echo started; trap "exit 0" TERM; while :; do sleep 1000 & wait $!; done' $mode
  container fails 'echo oh >&2; exit 4' $mode
  pod=$(c runp "$home/pod.json")
  check "runp" "$(c pods -o json | jq -r '.items[].state')" SANDBOX_READY
  id=$(c create "$pod" "$home/main.json" "$home/pod.json")
  check "start" "$(c start "$id")" "$id"
  check "ps" "$(c ps -o json | jq -r '.containers[].state')" CONTAINER_RUNNING
  check "fermata-oci has both" "$("$bin/fermata-oci" --root "$home/oci/k8s.io" list -q | sort)" "$(printf '%s\n%s\n' "$id" "$pod" | sort)"
  check "exec -s" "$(c exec -s "$id" sh -c 'echo in; exit 0')" in
  first=$(c exec -s "$id" sh -c 'tr "\0" " " </proc/1/cmdline | cut -c1-6')
  [ $mode = 1 ] && check "its process is the first" "$first" "sh -c " || check "pause is the first process" "$first" "/ferma"
  has_started() { [ "$(c logs "$id")" = started ]; }
  until_true has_started
  check "logs" "$(c logs "$id")" started
  failing=$(c create "$pod" "$home/fails.json" "$home/pod.json")
  c start "$failing" >/dev/null
  has_failed() { [ "$(c inspect "$failing" | jq -r .status.state)" = CONTAINER_EXITED ]; }
  until_true has_failed
  check "the exit code" "$(c inspect "$failing" | jq -r .status.exitCode)" 4
  check "stop" "$(c stop -t 5 "$id")" "$id"
  check "stopped gracefully" "$(c inspect "$id" | jq -r .status.exitCode)" 0
  check "rm" "$(c rm "$id" "$failing" | wc -l)" 2
  check "stopp" "$(c stopp "$pod")" "Stopped sandbox $pod"
  check "rmp" "$(c rmp "$pod")" "Removed sandbox $pod"
  pod=''
  check "nothing is left" "$("$bin/fermata-oci" --root "$home/oci/k8s.io" list -q)" ""
  check "no group is left" "$(find "$mount/$parent" -mindepth 1 -type d 2>/dev/null | wc -l)" 0
done
