#!/bin/bash
# crictl_test.sh BIN-DIR: crictl (the environment names it: FERMATA_CRICTL) drives a daemon of its own through the whole
# life of a pod, and sees what it should. Skipped (77) where there is no crictl.
set -euo pipefail
bin=$(realpath "$1")
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$(realpath "$0")")/../fixtures/checks.sh"
[ -n "${FERMATA_CRICTL:-}" ] || skip "FERMATA_CRICTL does not name a crictl v1.36 (go install sigs.k8s.io/cri-tools/cmd/crictl@v1.36.0)"
[ -x "$FERMATA_CRICTL" ] || skip "FERMATA_CRICTL=$FERMATA_CRICTL is no program"

home=$(mktemp -d /tmp/fermata-crictl.XXXXXX)
group=$mount/fermata-$(printf %s "$home/data" | sha256sum | cut -c1-8)
daemon='' pod='' forward='' events=''
c() { "$FERMATA_CRICTL" --config "$home/crictl.yaml" --runtime-endpoint "unix://$home/s" --image-endpoint "unix://$home/s" --timeout "$((10 * scale))s" "$@"; }
cleanup() {
  status=$?
  [ -z "$forward" ] || kill "$forward" 2>/dev/null || true
  [ -z "$events" ] || kill "$events" 2>/dev/null || true
  if [ -n "$daemon" ]; then
    [ -z "$pod" ] || c rmp --force "$pod" >/dev/null 2>&1 || true
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" || { echo "fermatad ended with $?"; status=1; }
  fi
  for name in monitors pods .; do [ ! -d "$group/$name" ] || rmdir "${group}/${name%.}" || status=1; done
  [ $status = 0 ] || cat "$home/log"
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM


: >"$home/crictl.yaml"
printf '[cgroup]\nmissing_controllers = "warn"\n[network]\npods = "none"\ncni_conf_dir = "%s"\n' "$home/cni" >"$home/config.toml"
"$bin/fermatad" --config "$home/config.toml" --socket "$home/s" --data-dir "$home/data" --run-dir "$home/run" \
  --log-level debug >"$home/log" 2>&1 &
daemon=$!
answers() { kill -0 "$daemon" && "$bin/fermata" --socket "$home/s" version >/dev/null 2>&1 && c version >/dev/null 2>&1; }
until_true answers
"$source/packaging/make-image.sh" "$home/busybox.tar" demo.local/busybox:1
"$bin/fermata" --socket "$home/s" image import "$home/busybox.tar" demo.local/busybox:1 >/dev/null

check "version" "$(c version | awk '/^RuntimeApiVersion/ {print $2}')" v1
check "info: both conditions" "$(c info | jq -r '[.status.conditions[].type] | sort | join(" ")')" "NetworkReady RuntimeReady"
check "info: the daemon is ready" "$(c info | jq -r '.status.conditions[] | select(.type == "RuntimeReady").status')" true
check "images" "$(c images -o json | jq -r '.images[].repoTags[]')" demo.local/busybox:1
image=$(c images -o json | jq -r '.images[0].id')
check "inspecti" "$(c inspecti demo.local/busybox:1 | jq -r .status.id)" "$image"

cat >"$home/pod.json" <<END
{"metadata": {"name": "pod", "namespace": "test", "uid": "1234", "attempt": 1}, "hostname": "pod-host",
 "log_directory": "$home/logs", "labels": {"of": "crictl"}, "linux": {}}
END
# container NAME SCRIPT
container() {
  jq -n --arg name "$1" --arg script "$2" '{metadata: {name: $name}, image: {image: "demo.local/busybox:1"},
    command: ["sh", "-c", $script], log_path: ($name + ".log"), linux: {}}' >"$home/$1.json"
}
container main 'echo started; trap "exit 0" TERM; while :; do usleep 10000; done'
container fails 'echo oh >&2; exit 4'

"$FERMATA_CRICTL" --config "$home/crictl.yaml" --runtime-endpoint "unix://$home/s" --timeout "$((10 * scale))s" events -o json >"$home/events" 2>/dev/null &
events=$!
pod=$(c runp "$home/pod.json")
check "runp gives an id" "${#pod}" 64
check "pods" "$(c pods -o json | jq -r '.items[] | .id + " " + .state + " " + .metadata.name')" "$pod SANDBOX_READY pod"
check "pods by label" "$(c pods --label of=crictl -q)" "$pod"
check "pods by another label" "$(c pods --label of=other -q)" ""
check "inspectp" "$(c inspectp "${pod:0:13}" | jq -r '.status.id + " " + .status.state')" "$pod SANDBOX_READY"
check "inspectp: a pid" "$(test "$(c inspectp "$pod" | jq -r .info.pid)" -gt 1 && echo yes)" yes

id=$(c create "$pod" "$home/main.json" "$home/pod.json")
check "create gives an id" "${#id}" 64
check "ps -a shows it created" "$(c ps -a -o json | jq -r '.containers[].state')" CONTAINER_CREATED
check "start" "$(c start "${id:0:13}")" "${id:0:13}"
check "ps" "$(c ps -o json | jq -r '.containers[] | .id + " " + .state + " " + .metadata.name')" "$id CONTAINER_RUNNING main"
check "ps -q" "$(c ps -q --name main)" "$id"
check "inspect" "$(c inspect "$id" | jq -r '.status.state + " " + .status.logPath')" "CONTAINER_RUNNING $home/logs/main.log"
check "inspect: the pid is its process" "$(tr '\0' ' ' <"/proc/$(c inspect "$id" | jq -r .info.pid)/cmdline" | cut -c1-6)" "sh -c "
check "exec -s" "$(c exec -s "$id" hostname)" pod-host
# Statistics.
check "stats" "$(c stats --seconds 1 -o json "${id:0:13}" | jq -r '.stats[] | .attributes.id + " " + .attributes.metadata.name')" "$id main"
check "stats: numbers" "$(c stats --id "$id" -o json | jq -r '.stats[] | (.cpu.timestamp | tonumber > 0) and (.memory.workingSetBytes.value | tonumber > 0)')" true
check "stats as a table" "$(c stats | awk -v id="${id:0:13}" '$1 == id {print $2, (NF > 5)}')" "main 1"
check "stats by label" "$(c stats --label of=nothing -o json | jq '.stats | length')" 0
check "statsp" "$(c statsp -o json --id "$pod" | jq -r '.stats[] | .attributes.id + " " + .linux.containers[0].attributes.id')" "$pod $id"
check "statsp: numbers" "$(c statsp -o json | jq -r '.stats[0].linux | (.cpu.usageCoreNanoSeconds.value | tonumber > 0) and (.process.processCount.value | tonumber >= 2)')" true
check "statsp as a table" "$(c statsp | awk -v id="${pod:0:13}" '/pod/ {print (NF > 2); exit}')" 1
c metricdescs -o json >"$home/descriptors"
check "metricdescs" "$(jq -r '[.descriptors[] | select(.help != "" and (.labelKeys | length) > 0)] | length > 50' "$home/descriptors")" true
c metricsp -o json >"$home/metrics"
check "metricsp: the pod" "$(jq -r '.podMetrics[].podSandboxId' "$home/metrics")" "$pod"
check "metricsp: every name is described" "$(jq -n --slurpfile d "$home/descriptors" --slurpfile m "$home/metrics" \
  '[$m[0].podMetrics[] | .metrics[], .containerMetrics[].metrics[] | .name] - [$d[0].descriptors[].name] | length')" 0
check "metricsp: a value" "$(jq -r '[.podMetrics[].containerMetrics[].metrics[] | select(.name == "container_start_time_seconds").value.value | tonumber > 0] | all' "$home/metrics")" true
status=0
c exec -s "$id" sh -c 'exit 9' >/dev/null 2>&1 || status=$?
check "exec -s: a failure is one" "$((status != 0))" 1
# Streams, over both transports. `script` gives the terminal that -t wants.
on_terminal() { script -qec "$*" /dev/null </dev/null | tr -d '\r'; }
cr="$FERMATA_CRICTL --config $home/crictl.yaml --runtime-endpoint unix://$home/s --image-endpoint unix://$home/s --timeout $((10 * scale))s"
for transport in spdy websocket; do
  check "exec by $transport" "$(c exec -r $transport "$id" echo -n hello)" hello
  check "exec by $transport: the standard error" "$(c exec -r $transport "$id" sh -c 'echo oh >&2' 2>&1 >/dev/null)" oh
  check "exec -i by $transport" "$(printf 'some input' | c exec -i -r $transport "$id" cat)" "some input"
  check "exec -i by $transport: much" "$(head -c 3000000 /dev/zero | c exec -i -r $transport "$id" cat | wc -c)" 3000000
  check "exec -it by $transport" "$(on_terminal "stty cols 91 rows 37; $cr exec -it -r $transport $id sh -c 'tty >/dev/null && sleep .2 && echo is \$(stty size)'" | grep -oE 'is [0-9 ]+')" "is 37 91"
  status=0
  c exec -r $transport "$id" sh -c 'exit 7' >"$home/exit" 2>&1 || status=$?
  check "exec by $transport: the exit status" "$status $(grep -c 'exit code 7' "$home/exit" || true)" "1 1"
  container "attached-$transport" 'while read -r line; do echo "got $line"; done; echo end'
  jq '. + {stdin: true, stdin_once: true}' "$home/attached-$transport.json" >"$home/attached.json"
  attached=$(c create "$pod" "$home/attached.json" "$home/pod.json")
  c start "$attached" >/dev/null
  check "attach -i by $transport" "$(printf 'one\ntwo\n' | c attach -i -r $transport "$attached" | tr '\n' ' ')" "got one got two end "
  check "attach by $transport: the log has it too" "$(c logs "$attached" | tr '\n' ' ')" "got one got two end "
  c rm -f "$attached" >/dev/null
  c exec "$id" sh -c 'busybox nc -l -p 8080 -e sh -c "read line; echo answer to \$line" >/dev/null 2>&1 &'
  : >"$home/forward"
  c port-forward -r $transport "$pod" 0:8080 >"$home/forward" 2>&1 &
  forward=$!
  listens() { grep -qE 'Forwarding from 127.0.0.1:[0-9]+' "$home/forward"; }
  until_true listens
  port=$(sed -nE 's/.*Forwarding from 127.0.0.1:([0-9]+).*/\1/p' "$home/forward" | head -n 1)
  check "port-forward by $transport" "$(exec 3<>"/dev/tcp/127.0.0.1/$port" && echo question >&3 && timeout 10 cat <&3)" "answer to question"
  check "port-forward by $transport: nobody listens" "$( (exec 3<>"/dev/tcp/127.0.0.1/$port" && timeout 10 cat <&3) | wc -c)" 0
  kill "$forward" 2>/dev/null || true  # the refused connection has ended it
  wait "$forward" || true
  forward=''
done
has_started() { [ "$(c logs "$id")" = started ]; }
until_true has_started
check "logs" "$(c logs --tail 1 "$id")" started
failing=$(c create "$pod" "$home/fails.json" "$home/pod.json")
c start "$failing" >/dev/null
has_failed() { [ "$(c inspect "$failing" | jq -r '.status.state')" = CONTAINER_EXITED ]; }
until_true has_failed
check "the exit code and its reason" "$(c inspect "$failing" | jq -r '"\(.status.exitCode) \(.status.reason)"')" "4 Error"
check "logs of the standard error" "$(c logs "$failing" 2>&1 >/dev/null)" oh

check "stop" "$(c stop -t 5 "$id")" "$id"
check "stopped gracefully" "$(c inspect "$id" | jq -r '"\(.status.exitCode) \(.status.reason)"')" "0 Completed"
check "ps without the stopped" "$(c ps -q)" ""
check "rm" "$(c rm "$id" "$failing" | wc -l)" 2
check "ps -a after rm" "$(c ps -a -q)" ""
check "stopp" "$(c stopp "$pod")" "Stopped sandbox $pod"
check "pods after stopp" "$(c pods -o json | jq -r '.items[].state')" SANDBOX_NOTREADY
echo "$pod" >"$home/pod-id"
check "rmp" "$(c rmp "$pod")" "Removed sandbox $pod"
pod=''
check "pods after rmp" "$(c pods -q)" ""
seen() { [ "$(grep -c CONTAINER_DELETED_EVENT "$home/events")" -ge 3 ]; }
until_true seen
kill "$events"
wait "$events" || true
events=''
check "events of the pod" "$(jq -rc --arg id "$(head -c 64 "$home/pod-id")" 'select(.containerId == $id).containerEventType' "$home/events" | tr '\n' ' ')" \
  "CONTAINER_CREATED_EVENT CONTAINER_STARTED_EVENT CONTAINER_STOPPED_EVENT CONTAINER_DELETED_EVENT "
check "events of the container" "$(jq -rc --arg id "$id" 'select(.containerId == $id).containerEventType' "$home/events" | tr '\n' ' ')" \
  "CONTAINER_CREATED_EVENT CONTAINER_STARTED_EVENT CONTAINER_STOPPED_EVENT CONTAINER_DELETED_EVENT "
c rmi demo.local/busybox:1 >/dev/null
check "images after rmi" "$(c images -q)" ""
check "no group is left of the pod" "$(find "$group/pods" "$group/monitors" -mindepth 1 -type d 2>/dev/null | wc -l)" 0
