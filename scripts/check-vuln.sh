#!/usr/bin/env bash
# Looks for known vulnerabilities in what is called. Where the database cannot be reached the check is skipped, and says
# so: it must not keep a build without internet access from passing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
status=0
out=$(go tool -modfile=tools/go.mod govulncheck ./... 2>&1) || status=$?
if [ "$status" != 0 ] && grep -q '^govulncheck: fetching vulnerabilities' <<<"$out"; then
  echo "govulncheck: SKIPPED, the vulnerability database cannot be reached from here"
  exit 0
fi
echo "$out"
exit "$status"
