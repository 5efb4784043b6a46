#!/usr/bin/env bash
# Fails when `go fix` would change something. Generated code is protoc's business.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
changes=$(go fix -diff $(go list ./... | grep -v '/proto/') 2>/dev/null) || true
if [ -n "$changes" ]; then
  echo "$changes"
  echo "go fix would change the code: run go fix ./..." >&2
  exit 1
fi
