#!/usr/bin/env bash
# Measures STOMP brokers side by side on this machine: RabbitMQ, ActiveMQ Classic, Stampede and the bare fan-out, one after the
# other, with one generator and the same parameters. Everything listens on loopback, keeps its data in a temporary folder and is
# ended by process id. README.md says what is needed and how to read the table.
set -euo pipefail

usage() {
	cat <<-'END'
	usage: run.sh --generator PATH [options]
	  --generator PATH   the stampede binary whose `bench` makes the load (default: that of --stampede)
	  --stampede PATH    the stampede binary to measure (default: it is left out)
	  --brokers LIST     of rabbitmq,activemq,stampede,bare, in this order (default: all)
	  --duration TIME    of each measurement (default: 10s)
	  --warmup TIME      before each measurement (default: 3s)
	  --runs N           rounds; the table shows the median (default: 3)
	  --rows PATTERN     measure only the rows that match this extended regular expression (default: all)
	  --out FILE         where the lines for benchstat go (default: not kept)
	END
	exit 2
}

generator='' stampede='' brokers=rabbitmq,activemq,stampede,bare duration=10s warmup=3s runs=3 rows=. out=''
while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || usage
	case $1 in
	--generator) generator=$2 ;;
	--stampede) stampede=$2 ;;
	--brokers) brokers=$2 ;;
	--duration) duration=$2 ;;
	--warmup) warmup=$2 ;;
	--runs) runs=$2 ;;
	--rows) rows=$2 ;;
	--out) out=$2 ;;
	*) usage ;;
	esac
	shift 2
done
generator=${generator:-$stampede}
[ -x "$generator" ] || usage
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/peers.XXXXXX")
lines=$work/lines   # broker<TAB>measurement<TAB>benchmark line
: >"$lines"

# Ports above the range that the system gives to clients.
rabbit_stomp=62613 rabbit_ws=62674 rabbit_amqp=62672 rabbit_dist=62675 rabbit_epmd=62676
activemq_stomp=62713
stampede_stomp=62813 stampede_http=62880 stampede_admin=62891 stampede_cluster=62840
bare_port=62913
# How many messages the publishers may be ahead of 1, 10 and 100 subscribers: more only measures how brokers fill memory.
ahead_1=20000 ahead_10=5000 ahead_100=2000

# shellcheck source=measuring.sh
. "$here/measuring.sh"

# Each start_ function starts one broker and sets tcp, ws (empty: has none) and login (flags).
start_rabbitmq() {
	local dir=$work/rabbitmq server=/usr/lib/rabbitmq/bin/rabbitmq-server
	[ -x "$server" ] || { note "rabbitmq: not installed"; return 1; }
	mkdir -p "$dir"
	printf '[rabbitmq_stomp,rabbitmq_web_stomp].\n' >"$dir/enabled_plugins"
	cat >"$dir/rabbitmq.conf" <<-END
	listeners.tcp.1 = 127.0.0.1:$rabbit_amqp
	stomp.listeners.tcp.1 = 127.0.0.1:$rabbit_stomp
	web_stomp.tcp.ip = 127.0.0.1
	web_stomp.tcp.port = $rabbit_ws
	END
	epmd -address 127.0.0.1 -port $rabbit_epmd >"$dir/epmd.log" 2>&1 &
	local epmd_pid=$!
	started=("$epmd_pid")
	env HOME="$dir" ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$rabbit_epmd RABBITMQ_NODENAME=peer@localhost \
		RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins" \
		RABBITMQ_CONF_ENV_FILE="$dir/none" RABBITMQ_MNESIA_BASE="$dir/data" RABBITMQ_LOG_BASE="$dir/log" \
		RABBITMQ_PID_FILE="$dir/pid" RABBITMQ_DIST_PORT=$rabbit_dist \
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
		"$server" >"$dir/out.log" 2>&1 &
	started=("$!" "$epmd_pid")
	tcp=tcp://127.0.0.1:$rabbit_stomp ws=ws://127.0.0.1:$rabbit_ws/ws login='--login guest --passcode guest --host /'
	for port in $rabbit_stomp $rabbit_ws; do
		await_port "$port" || { note "rabbitmq: not ready"; tail -5 "$dir/out.log" >&2; return 1; }
	done
	[ -s "$dir/pid" ] && started=("$(cat "$dir/pid")" "${started[@]}")
}

start_activemq() {
	local dir=$work/activemq home=/usr/share/activemq
	[ -f $home/lib/activemq-broker.jar ] || { note "activemq: not installed"; return 1; }
	mkdir -p "$dir/conf"
	sed -e "s/@PORT@/$activemq_stomp/" "$here/activemq.xml" >"$dir/conf/activemq.xml"
	cp "$here/log4j.properties" "$dir/conf/"
	java -Xms512m -Xmx2g -Dactivemq.home=$home -Dactivemq.base="$dir" -Dactivemq.conf="$dir/conf" -Dlog4j.configuration="file:$dir/conf/log4j.properties" \
		-cp "$dir/conf:$home/lib/*:$home/lib/optional/*" org.apache.activemq.console.Main start "xbean:file:$dir/conf/activemq.xml" >"$dir/out.log" 2>&1 &
	started=("$!")
	tcp=tcp://127.0.0.1:$activemq_stomp ws='' login=''
	await_port $activemq_stomp || { note "activemq: not ready"; tail -5 "$dir/out.log" >&2; return 1; }
}

start_stampede() {
	local dir=$work/stampede flags=()
	[ -x "$stampede" ] || { note "stampede: no --stampede given"; return 1; }
	mkdir -p "$dir"
	if "$stampede" serve --help | grep -e --cluster-addr >/dev/null; then # a build that has no cluster yet has no port for it
		flags=(--cluster-addr "127.0.0.1:$stampede_cluster")
	fi
	"$stampede" serve --data-dir "$dir/data" --http-addr 127.0.0.1:$stampede_http --stomp-addr 127.0.0.1:$stampede_stomp \
		--admin-addr 127.0.0.1:$stampede_admin "${flags[@]}" >"$dir/out.log" 2>&1 &
	started=("$!")
	tcp=tcp://127.0.0.1:$stampede_stomp ws=ws://127.0.0.1:$stampede_http/ws login=''
	for port in $stampede_stomp $stampede_http; do
		await_port "$port" || { note "stampede: not ready"; tail -5 "$dir/out.log" >&2; return 1; }
	done
}

start_bare() {
	mkdir -p "$work/bare"
	"$generator" bench bare --serve 127.0.0.1:$bare_port >"$work/bare/out.log" 2>&1 &
	started=("$!")
	tcp=tcp://127.0.0.1:$bare_port ws=ws://127.0.0.1:$bare_port/ws login=''
	await_port $bare_port || { note "bare: not ready"; return 1; }
}

# measure runs the generator once: measure BROKER ROW URL bench-arguments...
measure() {
	local broker=$1 row=$2 url=$3
	shift 3
	[ -n "$url" ] || return 0
	# shellcheck disable=SC2086 # login is a list of flags
	record "$broker" "$row" "$generator" bench "$@" --url "$url" $login --gobench --quiet
}

# measure_all measures one broker. The first pass is not kept: it compiles what the broker compiles late.
measure_all() {
	local b=$1 fan="fanout --publishers 1 --body 128 --duration $duration --warmup $warmup" kept=$lines
	local queue="queue --publishers 2 --consumers 4 --body 128 --messages 0 --duration $duration --backlog $ahead_1 --ack client-individual"
	# shellcheck disable=SC2086 # fan and queue are lists of flags
	{
		lines=/dev/null
		measure "$b" "(not kept)" "$tcp" $fan --subscribers 10 --backlog $ahead_10 --persistent false
		[ "$b" = bare ] || measure "$b" "(not kept)" "$tcp" $queue --persistent true --window 200
		lines=$kept
		measure "$b" "1 to 1, deliveries/s" "$tcp" $fan --subscribers 1 --backlog $ahead_1 --persistent false
		measure "$b" "1 to 10, deliveries/s" "$tcp" $fan --subscribers 10 --backlog $ahead_10 --persistent false
		measure "$b" "1 to 100, deliveries/s" "$tcp" $fan --subscribers 100 --backlog $ahead_100 --persistent false
		measure "$b" "1 to 1 WebSocket, deliveries/s" "$ws" $fan --subscribers 1 --backlog $ahead_1 --persistent false
		measure "$b" "1 to 100 WebSocket, deliveries/s" "$ws" $fan --subscribers 100 --backlog $ahead_100 --persistent false
		measure "$b" "1,000 msg/s to 10, ms" "$tcp" $fan --subscribers 10 --backlog $ahead_10 --persistent false --rate 1000
		[ "$b" != bare ] || return 0
		measure "$b" "persistent, receipts, 1 to 1, deliveries/s" "$tcp" $fan --subscribers 1 --backlog $ahead_1 --persistent true --receipts --window 1000
		measure "$b" "persistent, receipts, 1 to 10, deliveries/s" "$tcp" $fan --subscribers 10 --backlog $ahead_10 --persistent true --receipts --window 1000
		measure "$b" "persistent, 1,000 msg/s to 10, ms" "$tcp" $fan --subscribers 10 --backlog $ahead_10 --persistent true --rate 1000
		measure "$b" "queue, not persistent, msg/s" "$tcp" $queue --persistent false --no-receipts
		measure "$b" "queue, persistent, receipts, msg/s" "$tcp" $queue --persistent true --window 200
		measure "$b" "queue, persistent, one at a time, receipt ms" "$tcp" $queue --persistent true --window 1 --publishers 1 --consumers 1
	}
}

for round in $(seq "$runs"); do
	note "round $round of $runs"
	for broker in ${brokers//,/ }; do
		if "start_$broker"; then measure_all "$broker"; else note "$broker: left out"; fi
		end_broker
		rm -rf "${work:?}/$broker"
	done
done

[ -z "$out" ] || { printf 'goos: linux\npkg: stampede\n'; cut -f3- "$lines"; } >"$out"
awk -f "$here/table.awk" "$lines"
