#!/usr/bin/env bash
# Makes client/python/.venv with what the client's tests, its generator and its wheel need; does nothing when it is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

die() { echo "client/python: $*" >&2; exit 1; }

stamp=.venv/requirements.sha256
sha256sum --status --check "$stamp" 2>/dev/null && .venv/bin/python -c '' 2>/dev/null && exit
command -v python3 >/dev/null || die "python3 is missing: apt-get install python3 python3-pip python3-venv"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "$(python3 --version) is too old for the tests' packages: install Python 3.11 or newer"
python3 -c 'import venv' 2>/dev/null || die "python3 has no venv module: apt-get install python3-venv"
python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip: apt-get install python3-pip"
echo "  making client/python/.venv (some 300 MB to fetch)"
rm -rf .venv
python3 -m venv --without-pip .venv # Debian keeps ensurepip in a package of its own
PIP_ROOT_USER_ACTION=ignore python3 -m pip --python .venv/bin/python install --quiet --disable-pip-version-check --no-cache-dir --no-deps \
  --only-binary=:all: --requirement requirements.txt || die "pip cannot install client/python/requirements.txt (its reason is above)"
echo "$PWD" >"$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/scry.pth"
sha256sum requirements.txt >"$stamp"
