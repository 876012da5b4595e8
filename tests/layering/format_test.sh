#!/bin/sh
# Every C++ file of ours is as clang-format makes it.
set -eu
cd "$(dirname "$0")/../.."
command -v clang-format >/dev/null || { echo "SKIPPED: no clang-format: packaging/setup.sh --tests installs it"; exit 77; }
files=$(find runtime cgroups overlay sandbox cri tests \( -name '*.cc' -o -name '*.h' \))
unformatted=$(echo "$files" | xargs -P "$(nproc)" -n 16 clang-format --dry-run 2>&1 | sed -nE 's/^([^ ]+\.(cc|h)):[0-9]+:.*\[-Wclang-format-violations\]$/\1/p' | sort -u)
[ -n "$unformatted" ] || exit 0
echo "to be formatted, by: clang-format -i"
echo "$unformatted" | sed 's/^/  /'
exit 1
