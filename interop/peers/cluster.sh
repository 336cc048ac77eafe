#!/usr/bin/env bash
# Measures clusters of three nodes side by side on this machine: Stampede, and NATS JetStream with as many copies, one after the other.
# Everything listens on loopback, keeps its data on disk in a temporary folder and is ended by process id. README.md says what is needed
# and how to read the table.
set -euo pipefail

usage() {
	cat <<-'END'
	usage: cluster.sh --stampede PATH [options]
	  --stampede PATH    the stampede binary to measure; its `bench` makes the load
	  --systems LIST     of stampede,nats, in this order (default: both)
	  --nats-load PATH   the load generator for NATS, built from nats/ here (default: NATS is left out)
	  --duration TIME    of each measurement (default: 10s)
	  --warmup TIME      before each measurement (default: 3s)
	  --messages N       of the queue (default: 1000000)
	  --runs N           rounds; the table shows the median (default: 3)
	  --rows PATTERN     measure only the rows that match this extended regular expression (default: all)
	  --folder PATH      where the temporary folder is made: the disk that is measured (default: TMPDIR)
	  --out FILE         where the lines for benchstat go (default: not kept)
	END
	exit 2
}

stampede='' systems=stampede,nats nats_load='' duration=10s warmup=3s messages=1000000 runs=3 rows=. folder=${TMPDIR:-/tmp} out=''
while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || usage
	case $1 in
	--stampede) stampede=$2 ;;
	--systems) systems=$2 ;;
	--nats-load) nats_load=$2 ;;
	--duration) duration=$2 ;;
	--warmup) warmup=$2 ;;
	--messages) messages=$2 ;;
	--runs) runs=$2 ;;
	--rows) rows=$2 ;;
	--folder) folder=$2 ;;
	--out) out=$2 ;;
	*) usage ;;
	esac
	shift 2
done
[ -x "$stampede" ] || usage
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "$folder/cluster.XXXXXX")
lines=$work/lines # system<TAB>measurement<TAB>benchmark line
: >"$lines"
# shellcheck source=measuring.sh
. "$here/measuring.sh"

# Ports above the range that the system gives to clients: these and the two behind each.
stomp=63113 http=63180 admin=63191 raft=63140 nats_client=63222 nats_route=63232
window=10000 # messages of a publisher without their receipt; Stampede itself takes no more than 1,000 of a session
# How many messages a publisher may be ahead of 1 and of 10 subscribers: more only measures how memory is filled.
ahead_1=20000 ahead_10=5000

# start_stampede starts three nodes and sets node1, the URL of the one that leads, node2 and node3.
start_stampede() {
	local i flags seeds=127.0.0.1:$raft,127.0.0.1:$((raft + 1)),127.0.0.1:$((raft + 2)) role urls=()
	for i in 0 1 2; do
		flags=(--data-dir "$work/stampede/$i" --http-addr 127.0.0.1:$((http + i)) --stomp-addr 127.0.0.1:$((stomp + i))
			--admin-addr 127.0.0.1:$((admin + i)) --cluster-addr 127.0.0.1:$((raft + i)) --cluster-seeds "$seeds" --log-format json)
		mkdir -p "$work/stampede/$i"
		"$stampede" serve "${flags[@]}" >"$work/stampede/$i.log" 2>&1 &
		started+=("$!")
	done
	for i in 0 1 2; do
		await_health $((http + i)) || { note "stampede: node $i is not ready"; tail -5 "$work/stampede/$i.log" >&2; return 1; }
	done
	node1=''
	for i in 0 1 2; do
		role=$("$stampede" status --json --admin 127.0.0.1:$((admin + i)) | sed -n 's/.*"role": *"\([a-z]*\)".*/\1/p')
		if [ "$role" = leader ]; then node1=tcp://127.0.0.1:$((stomp + i)); else urls+=("tcp://127.0.0.1:$((stomp + i))"); fi
	done
	[ -n "$node1" ] && [ ${#urls[@]} -eq 2 ] || { note "stampede: no leader"; return 1; }
	node2=${urls[0]} node3=${urls[1]}
}

# await_health waits until a node says over HTTP that it is ready.
await_health() {
	local answer
	for _ in $(seq $((ready_seconds * 10))); do
		answer=$( (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /health HTTP/1.0\r\n\r\n' >&3 && head -1 <&3) 2>/dev/null) || answer=''
		[[ $answer != *' 200 '* ]] || return 0
		sleep 0.1
	done
	return 1
}

measure_stampede() {
	local bench=("$stampede" bench) shared=(--body 128 --gobench --quiet)
	local fan=(fanout --publishers 1 "${shared[@]}" --duration "$duration" --warmup "$warmup")
	local at1=(--publish-url "$node1") at2=(--publish-url "$node2") subs=(--subscribe-url "$node2,$node3")
	local receipts=(--persistent true --receipts --window $window)
	record stampede "logged, receipts, 1 to 1, msg/s" "${bench[@]}" "${fan[@]}" "${at2[@]}" --subscribe-url "$node3" \
		--subscribers 1 --backlog $ahead_1 "${receipts[@]}"
	record stampede "logged, receipts, 1 to 10, deliveries/s" "${bench[@]}" "${fan[@]}" "${at1[@]}" "${subs[@]}" \
		--subscribers 10 --backlog $ahead_10 "${receipts[@]}"
	record stampede "logged, 1,000 msg/s to 10, ms" "${bench[@]}" "${fan[@]}" "${at2[@]}" "${subs[@]}" --subscribers 10 --rate 1000
	record stampede "logged, 10 msg/s to 10, ms" "${bench[@]}" "${fan[@]}" "${at2[@]}" "${subs[@]}" --subscribers 10 --rate 10
	record stampede "queue of $messages, receipts, acks, msg/s" "${bench[@]}" queue "${shared[@]}" --publishers 3 --consumers 6 \
		--publish-url "$node1,$node2,$node3" --subscribe-url "$node1,$node2,$node3" --messages "$messages" --window $window --backlog $ahead_1 --verify
	record stampede "not logged, 1 to 10, deliveries/s" "${bench[@]}" "${fan[@]}" "${at1[@]}" "${subs[@]}" \
		--subscribers 10 --backlog $ahead_10 --persistent false
}

start_nats() {
	local i server routes=''
	[ -x "$nats_load" ] || { note "nats: no --nats-load given"; return 1; }
	server=$(PATH=$PATH:/usr/sbin command -v nats-server) || { note "nats: nats-server is not installed"; return 1; }
	for i in 0 1 2; do routes+="nats://127.0.0.1:$((nats_route + i)), "; done
	mkdir -p "$work/nats"
	for i in 0 1 2; do
		cat >"$work/nats/$i.conf" <<-END
		server_name: n$i
		listen: 127.0.0.1:$((nats_client + i))
		jetstream { store_dir: "$work/nats/$i" }
		cluster { name: peers, listen: 127.0.0.1:$((nats_route + i)), routes: [${routes%, }] }
		END
		"$server" -c "$work/nats/$i.conf" >"$work/nats/$i.log" 2>&1 &
		started+=("$!")
		await_port $((nats_client + i)) || { note "nats: server $i is not ready"; tail -5 "$work/nats/$i.log" >&2; return 1; }
	done
	nats_servers=nats://127.0.0.1:$nats_client,nats://127.0.0.1:$((nats_client + 1)),nats://127.0.0.1:$((nats_client + 2))
}

# The generator calls the server that leads the stream 0.
measure_nats() {
	local load=("$nats_load" -servers "$nats_servers" -body 128 -duration "$duration" -warmup "$warmup")
	record nats "logged, receipts, 1 to 1, msg/s" "${load[@]}" -publish 1 -subscribe 2 -subscribers 1 -window $window -backlog $ahead_1
	record nats "logged, receipts, 1 to 10, deliveries/s" "${load[@]}" -publish 0 -subscribe 1,2 -subscribers 10 -window $window -backlog $ahead_10
	record nats "logged, 1,000 msg/s to 10, ms" "${load[@]}" -publish 1 -subscribe 1,2 -subscribers 10 -rate 1000
	record nats "logged, 10 msg/s to 10, ms" "${load[@]}" -publish 1 -subscribe 1,2 -subscribers 10 -rate 10
	record nats "not logged, 1 to 10, deliveries/s" "${load[@]}" -publish 0 -subscribe 1,2 -subscribers 10 -backlog $ahead_10 -core
}

for round in $(seq "$runs"); do
	note "round $round of $runs"
	for system in ${systems//,/ }; do
		if "start_$system"; then "measure_$system"; else note "$system: left out"; fi
		end_broker
		rm -rf "${work:?}/$system"
	done
done

[ -z "$out" ] || { printf 'goos: linux\npkg: stampede\n'; cut -f3- "$lines"; } >"$out"
# One measurement, two rows: what was published, and what was delivered.
awk -F '\t' -v OFS='\t' '{ print } $2 ~ /1 to 10, deliveries\/s$/ { sub(/deliveries\/s$/, "published msg/s", $2); print }' "$lines" | awk -f "$here/table.awk"
