#!/bin/bash
# Rounds in turn, broker on CPU 0, load on CPU 1.
F=${F:-firehose}
row() { # name workload broker port options
    local name=$1; shift
    timeout 60 $F bench $1 --broker "$2" --port $3 --broker-cpus 0 --cpus 1 --workers 1 --quiet --json - "${@:4}" > out.json 2> err.txt
    echo "$? $(python3 - "$name" <<'P'
import json,sys
r=json.load(open('out.json')); s=r['summary']; st=r['runs'][0]['steps'][0]; sm=r['runs'][0]['samples']
cpu=lambda at: next((x['user_s']+x['system_s'] for x in sm if x['at_s']>=at), sm[-1]['user_s']+sm[-1]['system_s'])
out={'delivered':st['delivered'],'ns_per_delivery':s.get('broker_cpu_ns_per_delivery')}
ops=st.get('operations')
if ops: out.update(operations=ops.get('done', ops.get('completed')), all=ops)
out['cpu_s_of_step']=round(cpu(st['at_s']+st['seconds'])-cpu(st['at_s']),3)
out['step_s']=st['seconds']; out['bytes_per_connection']=s.get('broker_bytes_per_connection')
if ops: out['all']={k:v for k,v in ops.items() if not isinstance(v,(dict,list))}
print(sys.argv[1], json.dumps(out))
P
)"
}
FAN="--publishers 1 --subscribers 500 --size 256 --qos 0 --window 64 --duration 3s --allow-loss"
CH="--connections 200 --duration 4s --connect-rate 300"
for round in 1 2 3; do
    row "tls fanout firehose" fanout "$F serve -c fb.conf --shards 1" 28883 $FAN --cafile ca.crt --tls-version tlsv1.3
    row "tls fanout mosquitto" fanout "mosquitto -c mq.conf" 29883 $FAN --cafile ca.crt --tls-version tlsv1.3
    row "ws fanout firehose" fanout "$F serve -c fb.conf --shards 1" 28801 $FAN --websocket
    row "ws fanout mosquitto" fanout "mosquitto -c mqws.conf" 29801 $FAN --websocket
    row "full handshakes firehose" churn "$F serve -c fb.conf --shards 1" 28883 $CH --cafile ca.crt --tls-version tlsv1.3
    row "full handshakes mosquitto" churn "mosquitto -c mq.conf" 29883 $CH --cafile ca.crt --tls-version tlsv1.3
    row "resumed handshakes firehose" churn "$F serve -c fb.conf --shards 1" 28883 $CH --cafile ca.crt --tls-version tlsv1.3 --resume
    row "resumed handshakes mosquitto" churn "mosquitto -c mq.conf" 29883 $CH --cafile ca.crt --tls-version tlsv1.3 --resume
    row "idle tls firehose" idle "$F serve -c fb.conf --shards 1" 28883 --cafile ca.crt --subscribers 5000 --duration 2s
    row "idle tls mosquitto" idle "mosquitto -c mq.conf" 29883 --cafile ca.crt --subscribers 5000 --duration 2s
done
