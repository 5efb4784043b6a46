#!/usr/bin/env bash
# Installs the servers that `make bench-peers` compares with into .bench/peers. What cannot be had is said and left out.
#
# PyTriton's server opens the system's libpython, so the system's own Python is taken where there is one.
# SCRY_BENCH_PYTHON=/path/python3 names another.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
dir=.bench/peers
requirements=scripts/bench/peers/requirements.txt
mkdir -p "$dir"
sha256sum --status --check "$dir/requirements.sha256" 2>/dev/null && exit 0

leave_out() { echo "  the Python servers are left out: $1"; rm -rf "$dir/venv"; exit 0; }

python=${SCRY_BENCH_PYTHON:-/usr/bin/python3}
[ -x "$python" ] || python=$(command -v python3) || leave_out "there is no python3"
rm -rf "$dir/venv"
echo "  installing pytriton and ONNX Runtime for Python"
"$python" -m venv --without-pip "$dir/venv" || leave_out "$python cannot make an environment"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --only-binary=:all: --requirement "$requirements" ||
  leave_out "pip cannot install them (its reason is above)"
sha256sum "$requirements" >"$dir/requirements.sha256"
