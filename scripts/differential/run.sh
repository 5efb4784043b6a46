#!/usr/bin/env bash
# Compares package tokenizer with Hugging Face tokenizers, and package pixel with Pillow, on fresh random inputs:
# run.sh [TEXTS [PICTURES]]. SEED=N repeats a run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
texts=${1:-5000} pictures=${2:-2000} seed=${SEED:-$(date +%s)}
scripts/differential/install.sh
python=.bench/reference/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "SEED=$seed: $texts texts for each tokenizer, $pictures pictures, $pictures resizes"
PYTHONPATH=scripts/tokenizer "$python" scripts/differential/texts.py "$work/texts.json" "$seed" "$texts"
SCRY_TOKENIZER_TEXTS=$work/texts.json go test ./tokenizer -count=1 -v -run '^TestDifferential$'
PYTHONPATH=scripts/pixel "$python" scripts/pixel/random_pictures.py "$work/pictures" "$seed" "$pictures"
PYTHONPATH=scripts/pixel "$python" scripts/differential/resizes.py "$work/resize.json" "$seed" "$pictures"
SCRY_PIXEL_PICTURES=$work/pictures SCRY_PIXEL_RESIZES=$work/resize.json \
  go test ./pixel -count=1 -run '^(TestDecodeAgainstPillow|TestResizeEqualsPillow)$'
