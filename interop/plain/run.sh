#!/usr/bin/env bash
# Runs the plain client, which needs Python alone, against the broker of bin/: interop/plain/run.sh [words of test names...]
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || {
    echo "interop/plain needs Python 3.10 or later (python3)" >&2
    exit 1
}
exec "$python" ../harness/run.py . --client "plain sockets" "$@"
