#!/bin/bash
# Rounds in turn, broker on CPU 0, load on CPU 1.
row() { # name broker port
    timeout 60 ./fh-after bench fanout --broker "$2" --port $3 --broker-cpus 0 --cpus 1 --workers 1 --quiet --json - --cafile ca.crt --tls-version tlsv1.3 $FAN > out.json 2> err.txt
    echo "$1 $? $(python3 -c "
import json; r=json.load(open('out.json')); s=r['summary']; st=r['runs'][0]['steps'][0]
print(st['delivered'], s.get('broker_cpu_ns_per_delivery'))")"
}
for size in 256; do FAN="--publishers 1 --subscribers 500 --size $size --qos 0 --window 64 --duration 3s --allow-loss"
for round in 1 2 3; do
    row "$size before" "./fh-before serve -c before.conf --shards 1" 28883
    row "$size full" "./fh-after serve -c full.conf --shards 1" 28884
    row "$size packet" "./fh-after serve -c packet.conf --shards 1" 28885
    row "$size mosquitto" "/usr/sbin/mosquitto -c mq.conf" 29883
done; done
