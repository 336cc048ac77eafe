#!/usr/bin/env bash
# Starts three nats-server with JetStream on loopback, with data in a temporary folder, measures, and ends them.
# Needs: nats-server (Debian package), Go.
set -euo pipefail
cd "$(dirname "$0")"
command -v nats-server >/dev/null || { echo "needs nats-server (apt-get install nats-server)" >&2; exit 1; }
data=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$data"' EXIT
for i in 1 2 3; do
    nats-server -js -sd "$data/$i" -n "n$i" -a 127.0.0.1 -p 422$i --cluster_name bench --cluster nats://127.0.0.1:622$i \
        --routes nats://127.0.0.1:6221,nats://127.0.0.1:6222,nats://127.0.0.1:6223 -l "$data/$i.log" &
    pids+=($!)
done
sleep 6 # for a leader of the meta group
go build -o "$data/bench" .
"$data/bench" --subscribers 1 "$@"
"$data/bench" --subscribers 10 "$@"
