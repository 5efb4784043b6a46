#!/usr/bin/env bash
# Tests scry with Triton's own Python client, in an environment of its own:
# tritonclient.sh [DIR]. Without Python it says so and does nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir=${1:-.venv/tritonclient}
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 0; }
if ! "$dir/bin/python" -c 'import tritonclient.grpc' 2>/dev/null; then
  python3 -m venv "$dir" || { echo "skipped: python3 has no venv"; exit 0; }
  "$dir/bin/python" -m pip install --quiet --requirement scripts/inference/requirements.txt
fi
SCRY_TRITONCLIENT_PYTHON=$(realpath --no-symlinks "$dir/bin/python") go test -count=1 -run '^TestTritonClient$' -v ./server
