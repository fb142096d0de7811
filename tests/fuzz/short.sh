#!/bin/sh
# short.sh TARGET CORPUS [SECONDS]
#
# Runs a libFuzzer target for SECONDS (default $FUZZ_SECONDS, or 10) on a copy of its corpus. What makes it
# crash, hang or leak is kept in the current folder as crash-TARGET-..., and fails.
set -eu
target=$1
name=$(basename "$target")
seconds=${3:-${FUZZ_SECONDS:-10}}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp "$2"/* "$copy"
"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=20000 -print_final_stats=1 \
    -artifact_prefix="crash-$name-" "$copy" >"$copy.log" 2>&1 || {
    tail -n 60 "$copy.log"
    rm -f "$copy.log"
    exit 1
}
grep -E '^stat::(number_of_executed_units|average_exec_per_sec)' "$copy.log" || true
rm -f "$copy.log"
