#!/usr/bin/env bash
# The main job, end to end: a server with the starter models in a store of its own, three customers, four reviews, two
# pictures and a recommendation. What it starts it ends, by process id.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
server=
finish() {
  if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
    kill -TERM "$server"
    wait "$server" || true
  fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

step() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
[ -t 2 ] || step() { printf '\n%s\n' "$*" >&2; }

step "Starting the server and importing the starter models (each is loaded in a child process and checked first)"
# Port 0: the demo does not mind a server that runs already.
bin/scryd --store "$work/store" --import models --grpc 127.0.0.1:0 --admin '' 2>"$work/log" &
server=$!
address=
for _ in $(seq 1800); do
  if ! kill -0 "$server" 2>/dev/null; then
    echo "the server ended; its log:" >&2
    cat "$work/log" >&2
    exit 1
  fi
  grep -o 'msg=imported model=[a-z_]*' "$work/log" | sed 's/.*model=/  imported /' >"$work/imported" || true
  if ! cmp -s "$work/imported" "$work/shown"; then
    comm -13 "$work/shown" "$work/imported" 2>/dev/null >&2 || cat "$work/imported" >&2
    cp "$work/imported" "$work/shown"
  fi
  address=$(sed -n 's/.*msg=serving grpc=\([0-9.:]*\).*/\1/p' "$work/log")
  [ -n "$address" ] && break
  sleep 0.1
done
[ -n "$address" ] || { echo "the server did not start within three minutes" >&2; exit 1; }
export SCRY_SERVER=$address

step "Waiting until the models are loaded and warm"
bin/scry status --wait 5m >/dev/null

step "Three customers: how likely is each to leave, and why?"
bin/scry score --reasons 3 --served scripts/demo/customers.jsonl

step "What sets each apart from typical customers?"
bin/scry explain churn --top 3 scripts/demo/customers.jsonl

step "Three more: which offer pays, if any?"
bin/scry choose offers -n 2 scripts/demo/offers.csv

step "When is a message to each best sent?"
bin/scry sendtime sendtime --quiet-hours 22-7 scripts/demo/messages.csv

step "Four reviews: what do they think?"
bin/scry sentiment --served --file scripts/demo/reviews.txt

step "Two pictures: what do they show?"
bin/scry image --top 3 --served scripts/demo/*.jpg

step "A customer of an online shop: what else may be of use, at less than 5 pounds?"
bin/scry recommend --history 85123A,22423 --filter 'price < 5' --attributes title,price -n 5

step "What runs where"
bin/scry status
