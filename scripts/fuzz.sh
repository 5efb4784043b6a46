#!/usr/bin/env bash
# Runs every fuzz target for a while: fuzz.sh 1m.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "== $package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package"
  done
done
