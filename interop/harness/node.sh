#!/usr/bin/env bash
# Runs the tests of a suite in Node.js and keeps their results: ../harness/node.sh [options of node --test...], called in the suite's folder.
set -euo pipefail

major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 18 ] || {
    echo "interop/$(basename "$PWD") needs Node.js 18 or later; this is $(node --version)" >&2
    exit 1
}
reporters=(--test-reporter=spec --test-reporter-destination=stdout)
if [ -n "${ARTIFACTS:-}" ]; then
    mkdir -p "$ARTIFACTS/clients"
    reporters+=(--test-reporter="$(dirname "$0")/reporter.js" --test-reporter-destination="$ARTIFACTS/clients/$(basename "$PWD").jsonl")
fi
exec node --test "${reporters[@]}" "$@"
