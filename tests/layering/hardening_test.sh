#!/bin/bash
# hardening_test.sh BIN-DIR: the programs are what the build options promise: position independent, relocations
# read-only before main, no executable stack, stack protector, fortified calls, landing pads for indirect branches.
# Skipped (77) for builds with a sanitizer, which have their own.
set -euo pipefail
bin=$1
failed=0
check() {  # PROGRAM WHAT COMMAND...
  local program=$1 what=$2
  shift 2
  "$@" >/dev/null || { echo "FAILED: $program: $what"; failed=1; }
}
has() { grep -qE -- "$1" <<<"$2"; }
lacks() { ! grep -qE -- "$1" <<<"$2"; }

if grep -q __asan_init "$bin/fermatad" || grep -q __tsan_init "$bin/fermatad"; then
  echo "SKIPPED: built with a sanitizer"
  exit 77
fi
for program in fermatad fermata fermata-monitor fermata-unpack fermata-helper fermata-oci fermata-cni; do
  file=$bin/$program
  segments=$(readelf -hlW "$file")
  dynamic=$(readelf -dW "$file")
  check "$program" "not position independent" has 'Type: +DYN' "$segments"
  check "$program" "no read-only relocations" has 'GNU_RELRO' "$segments"
  check "$program" "relocations are not done before main" has 'BIND_NOW|FLAGS_1.*NOW' "$dynamic"
  check "$program" "executable stack" lacks 'GNU_STACK.* RWE' "$segments"
  check "$program" "a segment is writable and executable" lacks 'LOAD .* RWE' "$segments"
  check "$program" "no stack protector" grep -q __stack_chk_fail "$file"
  # Counted, because the C library that is linked statically has landing pads of its own.
  pads=$(objdump -d --no-show-raw-insn "$file" | grep -c endbr64)
  check "$program" "few landing pads for indirect branches: $pads" test "$pads" -gt 100
done
check fermatad "no fortified calls" has '__[a-z]+_chk@' "$(readelf --dyn-syms -W "$bin/fermatad")"
for program in fermata-monitor fermata-helper; do
  check "$program" "needs libraries of the host" lacks 'NEEDED|INTERP' "$(readelf -dlW "$bin/$program")"
done
check fermata-pause "executable stack" lacks 'GNU_STACK.* RWE' "$(readelf -lW "$bin/fermata-pause")"
exit $failed
