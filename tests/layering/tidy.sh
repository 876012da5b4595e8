#!/bin/sh
# tidy.sh BUILD [--all]: clang-tidy, with the checks of .clang-tidy, over the files that differ from the last commit
# (or over all of them), as BUILD/compile_commands.json compiles them.
set -eu
cd "$(dirname "$0")/../.."
build=$1
command -v clang-tidy >/dev/null || { echo "SKIPPED: no clang-tidy: packaging/setup.sh --tests installs it"; exit 77; }
all=$(find runtime cgroups overlay sandbox cri tests -name '*.cc' | sort)
files=$all
if [ "${2:-}" != --all ]; then
  git rev-parse --git-dir >/dev/null 2>&1 || { echo "SKIPPED: not a git checkout, and not asked for --all"; exit 77; }
  changed=$({ git diff --name-only HEAD -- '*.cc' '*.h'; git ls-files --others --exclude-standard -- '*.cc' '*.h'; } | sort -u)
  # A header is checked through the files that include it by name.
  files=$(for file in $changed; do
    case $file in
      *.cc) [ ! -e "$file" ] || echo "$file" ;;
      *.h) grep -lF "#include \"$file\"" $all || true ;;
    esac
  done | sort -u)
fi
# Only what this build compiles has a command line.
files=$(for file in $files; do grep -qF "/$file\"" "$build/compile_commands.json" && echo "$file" || true; done)
[ -n "$files" ] || { echo "nothing to check"; exit 0; }
# The compiler's precompiled headers are not clang's, and it wants a warning signed for the last option.
mkdir -p "$build/tidy"
sed -E 's/ -include [^ ]*cmake_pch\.hxx//; s/ -Winvalid-pch//; s/ -fpch-preprocess//; s/ -ftrivial-auto-var-init=zero//' "$build/compile_commands.json" >"$build/tidy/compile_commands.json"
echo "$files" | tr '\n' '\0' | xargs -0 -P "$(nproc)" -n 1 clang-tidy -p "$build/tidy" --quiet --extra-arg=-Wno-unknown-warning-option 2>/dev/null
