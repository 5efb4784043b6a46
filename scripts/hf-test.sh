#!/usr/bin/env bash
# Exports tiny random models with the real exporters of Hugging Face and compares what scry answers with what Python's
# pipelines answered. The packages, several gigabytes with PyTorch, go to .bench/hf, or lie in the environment that
# SCRY_HF_VENV names.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${SCRY_HF_VENV:-.bench/hf}
requirements=bundle/testdata/hf/requirements.txt
if [ -z "${SCRY_HF_VENV:-}" ] && ! cmp -s "$requirements" "$venv/installed.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$venv/installed.txt"
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
OMP_NUM_THREADS=1 "$venv/bin/python" -W ignore bundle/testdata/hf/make.py "$out"
SCRY_HF=$out SCRY_REQUIRE_ORT=1 "${GO:-go}" test -count=1 -run HuggingFace ./pipeline ./cmd/scryd
