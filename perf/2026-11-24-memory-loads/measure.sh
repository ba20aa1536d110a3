#!/bin/bash
# Two builds in turn, broker on CPU 0, load on CPU 1: measure.sh BEFORE AFTER ROUNDS > plain.txt
B=$1; A=$2
printf 'listener 18899 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nsys_interval 0\nlog_type error\nmax_inflight_messages 0\n' > plain.conf
row() { # build program name workload options
    local build=$1 program=$2 name=$3; shift 3
    timeout 60 "$A" bench "$@" --broker "$program serve -c plain.conf --shards 1" --port 18899 --broker-cpus 0 --cpus 1 --workers 1 \
        --quiet --json - > out.json 2> err.txt
    echo "$build $name $? $(python3 -c '
import json
s = json.load(open("out.json"))["summary"]
print(json.dumps({k: s[k] for k in ("broker_cpu_ns_per_delivery", "delivered_per_s", "broker_bytes_per_connection") if k in s}))')"
}
for round in $(seq "$3"); do
    for build in before after; do
        program=$B; [ $build = after ] && program=$A
        row $build "$program" fanout fanout --publishers 1 --subscribers 1000 --size 64 --window 512 --duration 3s --allow-loss
        row $build "$program" fanout-4096 fanout --publishers 1 --subscribers 1000 --size 64 --window 4096 --duration 3s --allow-loss
        row $build "$program" fanout-qos1-1k fanout --publishers 1 --subscribers 500 --size 1024 --qos 1 --window 64 --duration 3s
        row $build "$program" pairs-qos1 pairs --publishers 50 --subscribers 50 --size 64 --qos 1 --window 20 --duration 3s
        row $build "$program" pairs-qos0 pairs --publishers 50 --subscribers 50 --size 64 --qos 0 --window 64 --duration 3s --allow-loss
        row $build "$program" fanin fanin --publishers 50 --size 64 --window 64 --duration 3s --allow-loss
        row $build "$program" idle idle --subscribers 10000 --duration 2s
    done
done
