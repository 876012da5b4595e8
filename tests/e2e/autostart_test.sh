#!/bin/bash
# autostart_test.sh BIN-DIR: `fermata` starts a daemon where none answers, with the directories that it has by default.
# Those are made private by a mount namespace. Skipped (77) where an instance of the machine may be running.
set -euo pipefail
bin=$(realpath "$1")
skip() { echo "SKIPPED: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root"
mount=$(awk '{for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") {print $5; exit}}' /proc/self/mountinfo)
[ -n "$mount" ] || skip "needs a cgroup2 mount"
group=$mount/fermata
if [ -z "${FERMATA_TEST_INSIDE:-}" ]; then
  [ ! -e /etc/systemd/system/fermatad.service ] && [ ! -e /lib/systemd/system/fermatad.service ] || skip "fermatad is installed here"
  [ ! -d "$group" ] || skip "$group is there: an instance with the default directories"
  FERMATA_TEST_INSIDE=1 exec unshare --mount --net "$0" "$bin"
fi

daemon=''
cleanup() {
  status=$?
  if [ -n "$daemon" ] && kill -TERM "$daemon" 2>/dev/null; then
    timeout 20 tail --pid="$daemon" -f /dev/null || status=1
  fi
  for name in daemon monitors pods .; do [ ! -d "$group/$name" ] || rmdir "${group}/${name%.}" || status=1; done
  [ $status = 0 ] || cat /run/fermata/fermatad.log || true
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=0755 tmpfs /var/lib
unset FERMATA_SOCKET

check() {  # WHAT VALUE EXPECTED
  [ "$2" = "$3" ] && { echo "ok: $1"; return; }
  printf 'FAILED: %s\n  is:     %s\n  wanted: %s\n' "$1" "$2" "$3"
  exit 1
}
daemon=$("$bin/fermata" info --json | jq -r .pid)
check "a daemon runs" "$(cat "/proc/$daemon/comm")" fermatad
check "in a group of its own" "$(sed -n 's/^0:://p' "/proc/$daemon/cgroup")" /fermata/daemon
check "on the default socket" "$(stat -c '%F %a' /run/fermata/fermata.sock)" "socket 600"
check "the next command finds it" "$("$bin/fermata" info --json | jq -r .pid)" "$daemon"
check "it has no pods" "$("$bin/fermata" pods --json | jq -c .pods)" '[]'
kill -KILL "$daemon"
timeout 20 tail --pid="$daemon" -f /dev/null
old=$daemon
daemon=$("$bin/fermata" info --json | jq -r .pid)
[ "$daemon" != "$old" ] || { echo "FAILED: the same daemon after its end"; exit 1; }
check "and starts another one after a crash" "$(cat "/proc/$daemon/comm")" fermatad
