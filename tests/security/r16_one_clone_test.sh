#!/bin/sh
# R-16: no object of ours asks for fork, vfork, clone, or what calls them; runtime/base/clone.cc makes the system call.
#   r16_one_clone_test.sh BUILD-DIRECTORY
set -eu
command -v nm > /dev/null || { echo "SKIPPED: needs nm"; exit 77; }
build=$1
found=$(find "$build/runtime" "$build/cgroups" "$build/overlay" "$build/sandbox" "$build/cri" -name '*.o' \
          -exec nm -A --undefined-only {} + |
        grep -E ' U (_?_?fork|_?vfork|_?_?clone|posix_spawnp?|popen|system|daemon|forkpty)(@.*)?$' || true)
test "$(find "$build/runtime" -name 'clone.cc.o' | wc -l)" -ge 1 || { echo "no objects in $build"; exit 1; }
[ -z "$found" ] || { echo "$found"; exit 1; }
# And by number in one more file only: the second stage of a launch, in a process of one thread.
source=$(dirname "$0")/../..
found=$(grep -rlE 'SYS_(clone3?|fork|vfork)\b|__NR_(clone|fork|vfork)' "$source/runtime" "$source/cgroups" \
          "$source/overlay" "$source/sandbox" "$source/cri" --include='*.cc' |
        grep -v -e 'runtime/base/clone.cc$' -e 'runtime/launch/child_' || true)
[ -z "$found" ] || { echo "$found"; exit 1; }
