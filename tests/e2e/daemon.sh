# Functions of the end-to-end tests in shell: source it with the folder of the programs in $bin. Makes $home, starts
# `fermatad` by start_daemon, and takes all away again at the end, also after a failure. A test that needs something
# that is not there calls skip. The checks are those of fixtures/checks.sh.
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../fixtures/checks.sh"

source_dir=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
home=$(mktemp -d /tmp/fermata-e2e.XXXXXX)
group=$mount/fermata-$(printf %s "$home/data" | sha256sum | cut -c1-8)
daemon=''
f() { "$bin/fermata" --socket "$home/s" "$@"; }
c() { "$FERMATA_CRICTL" --runtime-endpoint "unix://$home/s" --image-endpoint "unix://$home/s" --timeout "$((20 * scale))s" "$@"; }

# Redefined by a test that starts more.
end_test() { :; }
cleanup() {
  status=$?
  end_test || status=1
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" || { echo "fermatad ended with $?"; status=1; }
  fi
  for name in monitors pods .; do [ ! -d "$group/$name" ] || rmdir "${group}/${name%.}" || status=1; done
  [ $status = 0 ] || [ $status = 77 ] || tail -n 60 "$home"/*.log
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# start_daemon [CONFIG LINE...]: in the file there is also what lets limits be missing and the machine's network alone.
start_daemon() {
  { printf '%s\n' "$@"; printf '[cgroup]\nmissing_controllers = "warn"\n[network]\npods = "none"\ncni_conf_dir = "%s"\n' "$home/cni"; } >"$home/config.toml"
  "$bin/fermatad" --config "$home/config.toml" --socket "$home/s" --data-dir "$home/data" --run-dir "$home/run" \
    --log-level debug >>"$home/daemon.log" 2>&1 &
  daemon=$!
  until_true daemon_answers
}
daemon_answers() { kill -0 "$daemon" && f info >/dev/null 2>&1; }
