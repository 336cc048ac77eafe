# What run.sh and cluster.sh share: ending what was started, waiting for ports, noting figures. They set work (a temporary folder),
# lines (a file in it) and rows (which measurements are wanted).
# shellcheck shell=bash

ready_seconds=60    # a broker that is not ready by then is left out
measure_seconds=600 # a measurement that takes longer is ended and left out

started=() # process ids of the broker at hand, in the order in which they are ended

note() { printf '%s\n' "$*" >&2; }

# end_broker ends what was started: politely, and after 20 seconds for sure.
end_broker() {
	local pid
	for pid in "${started[@]}"; do
		kill -TERM "$pid" 2>/dev/null || continue
		for _ in $(seq 200); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	started=()
}

finish() {
	end_broker
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# await_port waits until something listens on a loopback port.
await_port() {
	for _ in $(seq $((ready_seconds * 10))); do
		if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
		kill -0 "${started[-1]}" 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}

# record runs a generator once and keeps its benchmark line: record BROKER ROW COMMAND...
record() {
	local broker=$1 row=$2 line
	shift 2
	[[ $row =~ $rows || $row == '(not kept)' ]] || return 0
	if line=$(timeout $measure_seconds "$@" 2>"$work/error"); then
		line=$(printf '%s\n' "$line" | grep '^BenchmarkBench/')
		printf '%s\t%s\t%s\n' "$broker" "$row" "${line/BenchmarkBench\//BenchmarkBench/broker=$broker/}" >>"$lines"
		note "$broker: $row: $(printf '%s\n' "$line" | cut -f3-)"
	else
		note "$broker: $row: $(tail -1 "$work/error")"
	fi
}
