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

# hugot links a tokenizers library in Rust, which is built here from the sources of its Go module and of crates.io. Its
# manifest asks for a fork of tiktoken-rs from a repository; the published one does, as the benchmark's model does not use it.
install_hugot() {
  local source=scripts/bench/peers/hugot stamp=$dir/hugot.sha256 module
  sha256sum --status --check "$stamp" 2>/dev/null && return
  command -v cargo >/dev/null || { echo "  hugot is left out: there is no cargo (apt-get install cargo)"; return; }
  echo "  building hugot (some minutes)"
  module=$(cd $source && go mod download -json github.com/daulet/tokenizers | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p')
  mkdir -p "$dir/tokenizers" "$dir/lib"
  cp -r "$module/src" "$module/Cargo.toml" "$dir/tokenizers" && chmod -R u+w "$dir/tokenizers"
  sed -i 's/^tiktoken-rs = .*/tiktoken-rs = "0.7"/; /^\[dev-dependencies\]/,$d' "$dir/tokenizers/Cargo.toml"
  (cd "$dir/tokenizers" && cargo build --quiet --release) || { echo "  hugot is left out: its tokenizers library does not build (the reason is above)"; return; }
  ln -sf "$PWD"/.runtime/onnxruntime/libonnxruntime.so.* "$dir/lib/libonnxruntime.so"
  (cd $source && CGO_LDFLAGS="-L$OLDPWD/$dir/tokenizers/target/release" go build -tags ORT -o "$OLDPWD/$dir/hugot" .) ||
    { echo "  hugot is left out: it does not build (the reason is above)"; return; }
  sha256sum $source/* >"$stamp"
}
install_hugot

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
