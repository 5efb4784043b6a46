#!/usr/bin/env bash
# Installs what `make bench-peers` compares with into .bench/peers. What cannot be had is said and left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
dir=.bench/peers
mkdir -p "$dir"

python() {
  sha256sum --status --check "$dir/requirements.sha256" 2>/dev/null && return
  command -v python3 >/dev/null || { echo "  the Python servers are left out: there is no python3"; return; }
  rm -rf "$dir/venv"
  echo "  installing pytriton and ONNX Runtime for Python"
  if python3 -m venv "$dir/venv" &&
    "$dir/venv/bin/python" -m pip install --quiet --only-binary=:all: --requirement scripts/bench/peers/requirements.txt; then
    sha256sum scripts/bench/peers/requirements.txt >"$dir/requirements.sha256"
  else
    rm -rf "$dir/venv"
    echo "  the Python servers are left out: pip cannot install them (its reason is above)"
  fi
}

# hugot stays out of scry's go.mod: it has a module of its own.
hugot() {
  echo "  building hugot"
  (cd scripts/bench/peers/hugot && go build -o "../../../../$dir/hugot" .) ||
    echo "  hugot is left out: it does not build (the reason is above)"
}

python
hugot
