#!/usr/bin/env bash
# Makes .bench/reference, a Python with Hugging Face tokenizers and Pillow; does nothing when it is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir=.bench/reference
requirements=scripts/differential/requirements.txt
sha256sum --status --check "$dir/requirements.sha256" 2>/dev/null && exit 0

die() { echo "differential: $*" >&2; exit 1; }

command -v python3 >/dev/null || die "python3 is missing"
mkdir -p .bench
rm -rf "$dir"
echo "  installing tokenizers and Pillow into $dir"
python3 -m venv --without-pip "$dir" || die "python3 cannot make an environment"
PIP_ROOT_USER_ACTION=ignore python3 -m pip --python "$dir/bin/python" install --quiet --disable-pip-version-check --only-binary=:all: \
  --requirement "$requirements" || die "pip cannot install $requirements (its reason is above)"
sha256sum "$requirements" >"$dir/requirements.sha256"
