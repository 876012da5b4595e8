#!/bin/bash
# critest_streaming_test.sh BIN-DIR WEB-SERVER: the specs of critest (the environment names it: FERMATA_CRITEST)
# for streams, by SPDY and then by WebSocket, and for statistics, against a daemon of its own. Its images are made here. Skipped (77)
# where there is no critest.
set -euo pipefail
bin=$(realpath "$1") server=$(realpath "$2")
source=$(realpath "$(dirname "$0")/../..")
skip() { echo "SKIPPED: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root"
[ -n "${FERMATA_CRITEST:-}" ] || skip "FERMATA_CRITEST does not name a critest v1.36 (tests/run.sh makes one where there is Go)"
[ -x "$FERMATA_CRITEST" ] || skip "FERMATA_CRITEST=$FERMATA_CRITEST is no program"

home=$(mktemp -d /tmp/fermata-critest.XXXXXX)
daemon=''
mount=$(awk '{for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") {print $5; exit}}' /proc/self/mountinfo)
group=$mount/fermata-$(printf %s "$home/data" | sha256sum | cut -c1-8)
cleanup() {
  status=$?
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" || { echo "fermatad ended with $?"; status=1; }
  fi
  for name in monitors pods .; do [ ! -d "$group/$name" ] || rmdir "${group}/${name%.}" || status=1; done
  [ $status = 0 ] || tail -n 50 "$home/log"
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

printf '[cgroup]\nmissing_controllers = "warn"\n[network]\npods = "none"\ncni_conf_dir = "%s"\n' "$home/cni" >"$home/config.toml"
"$bin/fermatad" --config "$home/config.toml" --socket "$home/s" --data-dir "$home/data" --run-dir "$home/run" >"$home/log" 2>&1 &
daemon=$!
fermata() { "$bin/fermata" --socket "$home/s" "$@"; }
for _ in $(seq 200); do fermata info >/dev/null 2>&1 && break; sleep .05; done

# image NAME [PROGRAM]
image() {
  "$source/packaging/make-image.sh" "$home/image.tar" "$@"
  fermata image import "$home/image.tar" "$1" >/dev/null
}
busybox=registry.k8s.io/e2e-test-images/busybox:1.29-2 web=registry.k8s.io/e2e-test-images/nginx:1.14-2
image $busybox
cp "$server" "$home/web-80"
cp "$server" "$home/web-12003"
image $web "$home/web-80"
image gcr.io/k8s-staging-cri-tools/hostnet-nginx-amd64:latest "$home/web-12003"
printf 'defaultTestContainerImage: %s\nwebServerTestImage: %s\n' $busybox $web >"$home/images.yaml"

# One spec asks the pod's own address first, which it has only where there is a network for pods.
no_network='runtime should support portforward \[Conformance\]'
# specs FOCUS PASSED [OPTION...]
specs() {
  local focus=$1 passed=$2 result
  shift 2
  "$FERMATA_CRITEST" -runtime-endpoint "unix://$home/s" -test-images-file "$home/images.yaml" -ginkgo.no-color \
    -ginkgo.focus "$focus" -ginkgo.skip "$no_network" "$@" >"$home/out" 2>&1 || {
    cat "$home/out"
    echo "FAILED: critest $focus $*"
    exit 1
  }
  result=$(grep -oE '[0-9]+ Passed \| [0-9]+ Failed' "$home/out")
  echo "$focus $*: $result"
  [ "$result" = "$passed Passed | 0 Failed" ] || { cat "$home/out"; exit 1; }
}
streams='runtime should support (exec with tty|attach|portforward)'
specs "$streams" 4
specs "$streams" 4 -websocket-exec -websocket-attach -websocket-portforward
# v1.36 has none of metrics yet.
specs 'runtime should support listing (container )?stats' 5
