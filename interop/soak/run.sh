#!/usr/bin/env bash
# Builds what a soak needs and runs it: SOAK=3m SEED=7 interop/soak/run.sh [flags of main.js]
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
for tool in go node npm java mvn; do
    command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "soak: missing ${missing[*]}. It needs Go, Node.js 18 or later with npm, and Java 17 or later with Maven." >&2
    exit 2
fi
if ! node -e 'process.exit(process.versions.node.split(".")[0] >= 18 ? 0 : 1)'; then
    echo "soak: Node.js is $(node --version); it needs 18 or later." >&2
    exit 2
fi

go build -o bin/stampede ./cmd/stampede
go build -o bin/cluster ./interop/cluster
if [ -z "${SPRING_JAR:-}" ]; then
    mvn --quiet --batch-mode -f interop/spring/pom.xml -DskipTests package
fi
(cd interop/soak && npm ci --no-audit --no-fund --loglevel=error)
exec node interop/soak/main.js "$@"
