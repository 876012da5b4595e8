#!/bin/bash
# run.sh [--seconds N] [--coverage] [--merge] [--full] [TARGET...]
#
# Builds the fuzz targets (preset fuzz) and lets libFuzzer work on each, or on those named, for N seconds (5), as many
# at once as there are processors. A crash ends it with the input that does it.
#   --coverage   prints the line coverage of the parsers and fails below 80 %
#   --merge      adds the inputs that reached new code to the committed corpus, which else stays as it is
#   --full       60 seconds each and the coverage; the same with FERMATA_FULL=1
# Skipped (77) where clang cannot be had.
set -euo pipefail
source=$(realpath "$(dirname "$0")/../..")
build=$source/build-fuzz
usage() { echo "usage: $0 [--seconds N] [--coverage] [--merge] [--full] [TARGET...]" >&2; exit 2; }

# What each target is for, by source files. cpu_list is a part of container_plan's, spdy_headers of spdy's.
declare -A sources=(
  [auth_challenge]=overlay/registry/challenge.cc
  [auth_file]=overlay/registry/auth_file.cc
  [cgroup_files]=cgroups/stats.cc
  [container_plan]='runtime/launch/container_plan.cc runtime/launch/identity.cc runtime/launch/launch_plan.cc
    runtime/launch/mounts.cc runtime/launch/scheduling.cc'
  [cpu_list]=''
  [device_rules]=cgroups/device_program.cc
  [exit_records]=runtime/monitor/exit_record.cc
  [hosts_toml]=overlay/registry/hosts.cc
  [image_config]=overlay/image/config.cc
  [inflate]=overlay/inflate.cc
  [launch_plan]=runtime/launch/plan_format.cc
  [log]=runtime/monitor/log_writer.cc
  [messages]=runtime/monitor/protocol.cc
  [mount_options]=runtime/launch/mount_options.cc
  [mountinfo]=cgroups/mount.cc
  [oci_archive]='overlay/digest.cc overlay/image/archive.cc overlay/image/resolve.cc'
  [pod_yaml]='sandbox/pods/manifest.cc sandbox/pods/manifest_container.cc sandbox/pods/manifest_expand.cc
    sandbox/pods/manifest_quantity.cc sandbox/pods/manifest_read.cc sandbox/pods/manifest_resources.cc
    sandbox/pods/manifest_security.cc sandbox/pods/manifest_volumes.cc sandbox/pods/manifest_yaml.cc'
  [records]='runtime/base/cbor.cc sandbox/record_codec.cc'
  [reference]=overlay/image/reference.cc
  [registry_headers]='overlay/registry/content_range.cc overlay/registry/retry.cc overlay/registry/url.cc'
  [seccomp]='runtime/launch/seccomp.cc runtime/launch/seccomp_compact.cc'
  [spec]='runtime/spec/spec_json.cc runtime/base/json.cc'
  [spec_checks]=sandbox/spec_checks.cc
  [spdy]='cri/streaming/spdy_connection.cc cri/streaming/spdy_frames.cc'
  [spdy_headers]=''
  [tar]='overlay/layer_path.cc overlay/layer_writer.cc overlay/tar_reader.cc overlay/unpack.cc'
  [users]=overlay/user_lookup.cc
  [websocket]='cri/streaming/websocket_frames.cc cri/streaming/websocket_protocol.cc cri/streaming/base64.cc'
)
least=80

seconds=5 coverage=0 merge=0 targets=()
full() { seconds=60 coverage=1; }
[ "${FERMATA_FULL:-}" != 1 ] || full
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=${2:?}; shift ;;
    --coverage) coverage=1 ;;
    --merge) merge=1 ;;
    --full) full ;;
    -*) usage ;;
    *) [ -v "sources[$1]" ] || { echo "$0: no target $1; there are: ${!sources[*]}" >&2; exit 2; }
       targets+=("$1") ;;
  esac
  shift
done
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(printf '%s\n' "${!sources[@]}" | sort)

why=$("$source/packaging/setup.sh" --fuzz 2>&1) || { echo "SKIPPED: no clang-19: ${why##*$'\n'}"; exit 77; }
mkdir -p "$build"
(cd "$source" && cmake --preset fuzz) >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; exit 1; }
ninja -C "$build" --quiet "${targets[@]/#/fuzz_}" >"$build/build.log" || { cat "$build/build.log" >&2; exit 1; }

work=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/fermata-fuzz-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'kill $(jobs -p) 2>/dev/null || true; wait; exit 130' INT TERM
crashes=$build/crashes
mkdir -p "$crashes"
export UBSAN_OPTIONS=print_stacktrace=1 TMPDIR=$work

# fuzz TARGET: output goes to $work/TARGET.log; $work/TARGET is the corpus, grown.
fuzz() {
  local target=$1 options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2500 -print_final_stats=1)
  local dictionary=$source/tests/fuzz/dictionaries/$target.dict
  [ ! -e "$dictionary" ] || options+=(-dict="$dictionary")
  cp -r "$source/tests/fuzz/corpus/$target" "$work/$target"
  LLVM_PROFILE_FILE=/dev/null "$build/fuzz/fuzz_$target" "${options[@]}" -artifact_prefix="$crashes/$target-" \
    "$work/$target" >"$work/$target.log" 2>&1 &
  trap 'kill $! 2>/dev/null; exit 1' TERM
  wait $! || { touch "$work/$target.failed"; return; }
  local runs
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log")
  echo "$target: $runs runs, no crash"
}
report_crash() {
  local target=$1 file
  file=$(sed -n 's/.*Test unit written to //p' "$work/$target.log" | tail -n 1)
  grep -vE '^#[0-9]+.*(NEW|REDUCE|pulse|INITED|RELOAD)|^INFO|DE: ' "$work/$target.log" | tail -n 60
  echo "FAILED: $target: ${file:+input $file, again by: $build/fuzz/fuzz_$target $file}"
  echo "  mend it, and put the input into tests/fuzz/corpus/$target/ under a name that says what it does"
}

jobs=$(nproc)
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
  fuzz "$target" &
done
wait
failed=0
for target in "${targets[@]}"; do
  [ ! -e "$work/$target.failed" ] || { report_crash "$target"; failed=1; }
done
[ $failed = 0 ] || exit 1

# By edges alone, and nothing large: the committed corpus is for every checkout. Inputs that are there stay.
if [ $merge = 1 ]; then
  for target in "${targets[@]}"; do
    find "$work/$target" -type f -size +1023c -delete
    LLVM_PROFILE_FILE=/dev/null "$build/fuzz/fuzz_$target" -merge=1 -use_counters=0 \
      "$source/tests/fuzz/corpus/$target" "$work/$target" >"$work/$target.log" 2>&1 || { cat "$work/$target.log"; exit 1; }
  done
  du -sh --apparent-size "$source/tests/fuzz/corpus"
fi

[ $coverage = 1 ] || exit 0
for target in "${targets[@]}"; do
  [ -n "${sources[$target]}" ] || continue
  LLVM_PROFILE_FILE=$work/$target.profraw "$build/fuzz/fuzz_$target" -runs=0 "$source/tests/fuzz/corpus/$target" \
    "$work/$target" >"$work/$target.log" 2>&1
  llvm-profdata-19 merge -o "$work/$target.profdata" "$work/$target.profraw"
  read -ra files <<<"${sources[$target]//$'\n'/ }"
  llvm-cov-19 export -summary-only -instr-profile="$work/$target.profdata" "$build/fuzz/fuzz_$target" \
    "${files[@]/#/$source/}" >"$work/$target.json"
  jq -r --arg target "$target" --arg root "$source/" \
    '.data[0].files[] | [$target, (.filename | ltrimstr($root)), (.summary.lines.percent * 10 | floor / 10)] | @tsv' \
    "$work/$target.json"
done >"$work/coverage"
awk -F '\t' -v least=$least '
  { printf "%-16s %-42s %5.1f %%%s\n", $1, $2, $3, $3 < least ? "  below " least : ""; low += $3 < least }
  END { if (low) { print "FAILED: line coverage below " least " %"; exit 1 } }' "$work/coverage"
