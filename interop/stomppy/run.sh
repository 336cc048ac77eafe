#!/usr/bin/env bash
# Runs stomp.py against the broker of bin/, in a virtual environment of its own: interop/stomppy/run.sh [words of test names...]
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || {
    echo "interop/stomppy needs Python 3.10 or later (python3)" >&2
    exit 1
}
if ! cmp -s requirements.txt .venv/installed; then
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 || {
        echo "interop/stomppy needs Python's venv (the package python3-venv)" >&2
        exit 1
    }
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt || {
        echo "interop/stomppy could not install $(tr '\n' ' ' <requirements.txt)with pip" >&2
        exit 1
    }
    cp requirements.txt .venv/installed
fi
version=$(sed -n 's/^stomp\.py==//p' requirements.txt)
exec .venv/bin/python ../harness/run.py . --client stomp.py --version "$version" "$@"
