#!/bin/bash
# Publishing connections that are more than the receive buffers: publishers.sh PROGRAM [PUBLISHERS] [SIZE] [WINDOW]
set -eu
program=$1 publishers=${2:-2000} size=${3:-64} window=${4:-64}
conf=$(mktemp)
printf 'listener 18840 127.0.0.1\nallow_anonymous true\nsys_interval 1\nlog_type error\n' >"$conf"
taskset -c 0 "$program" serve -c "$conf" --shards 1 >/dev/null &
broker=$!
trap 'kill $broker; rm "$conf"' EXIT
sleep 0.5
"${TESTER:-$program}" bench fanin --host 127.0.0.1 --port 18840 --broker-pid $broker --publishers "$publishers" --size "$size" \
    --window "$window" --duration ${SECONDS_LONG:-4s} --warm-up 1s --workers 1 --cpus 1 --quiet --json /tmp/publishers.json >/dev/null || true
python3 - "$publishers" "$size" "$window" <<'PY'
import json, sys
report = json.load(open("/tmp/publishers.json"))["summary"]
print(f"{sys.argv[1]} publishers, {sys.argv[2]} B, window {sys.argv[3]}: {report['delivery_rate_per_s']:.0f}/s,",
      f"{report['broker_cpu_ns_per_delivery']:.0f} ns of CPU a message")
PY
for name in receives starved completions overloaded_turns turns mesh_congested; do
    printf '  %s %s' $name "$(mosquitto_sub -p 18840 -t "\$SYS/broker/firehose/$name" -C 1 -W 3 || true)"
done
echo
