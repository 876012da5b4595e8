#!/bin/sh
# Every C++ file of ours is as clang-format makes it.
set -eu
cd "$(dirname "$0")/../.."
command -v clang-format >/dev/null || { echo "SKIPPED: no clang-format: packaging/setup.sh --tests installs it"; exit 77; }
find runtime cgroups overlay sandbox cri tests \( -name '*.cc' -o -name '*.h' \) -print0 |
  xargs -0 -P "$(nproc)" -n 16 clang-format --dry-run --Werror
