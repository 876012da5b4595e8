#!/bin/bash
# check-skips.sh RESULTS: lists the tests that were skipped, with their reasons, from the XML reports that GoogleTest
# wrote into RESULTS. With CI=true a skip that tests/allowed-skips.txt does not list is a failure.
set -euo pipefail
allowed=$(dirname "$(realpath "$0")")/allowed-skips.txt
shopt -s nullglob
reports=("$1"/*.xml)
[ ${#reports[@]} -gt 0 ] || { echo "no reports in $1: not run by tests/run.sh"; exit 0; }

# Suite.Test, a tab, the reason: what follows "file:line" in the message.
skipped=$(awk '
  function attribute(name) { return match($0, " " name "=\"[^\"]*\"") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4) : "" }
  /<testcase / { test = attribute("classname") "." attribute("name") }
  /<skipped message=/ {
    reason = attribute("message")
    sub(/^[^&]*&#x0A;/, "", reason); gsub(/&#x0A;/, " ", reason)
    gsub(/&quot;/, "\"", reason); gsub(/&apos;/, "\047", reason); gsub(/&lt;/, "<", reason); gsub(/&gt;/, ">", reason); gsub(/&amp;/, "\\&", reason)
    print test "\t" reason
  }' "${reports[@]}")
[ -n "$skipped" ] || { echo "No test was skipped."; exit 0; }

unexpected=()
echo "Skipped:"
while IFS=$'\t' read -r test reason; do
  listed=0
  while read -r pattern _; do
    case $pattern in '' | '#'*) continue ;; esac
    # shellcheck disable=SC2053: a pattern it is
    [[ $test != $pattern ]] || listed=1
  done <"$allowed"
  echo "  $test: $reason"
  [ $listed = 1 ] || unexpected+=("$test")
done <<<"$skipped"
if [ "${CI:-}" = true ] && [ ${#unexpected[@]} -gt 0 ]; then
  echo "CI=true, and not in $allowed:"
  printf '  %s\n' "${unexpected[@]}"
  exit 1
fi
