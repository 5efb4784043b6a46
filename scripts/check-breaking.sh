#!/usr/bin/env bash
# Fails when proto/ breaks what main promises: check-breaking.sh BUF.
# A clone without main (a shallow one of a branch, say) is compared with origin/main.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
buf=$1
for ref in origin/main main; do
  base=$(git rev-parse --verify --quiet "$ref^{commit}") || continue
  # A checkout of main itself is compared with the commit before.
  if [ "$base" = "$(git rev-parse HEAD)" ]; then
    base=$(git rev-parse --verify --quiet "$base~1") || { echo "buf breaking: nothing to compare with: the first commit"; exit 0; }
  fi
  git cat-file -e "$base:proto/scry" 2>/dev/null || { echo "buf breaking: nothing to compare with: $ref has no proto/scry"; exit 0; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  git archive "$base" proto third_party buf.yaml | tar -x -C "$work"
  exec "$buf" breaking --against "$work"
done
echo "buf breaking: nothing to compare with: there is no main"
