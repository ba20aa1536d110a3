"""Traffic before the first level of memory is taken: a broker that has worked is compared with itself after the attack.

Without it the level before would be that of a broker whose receive buffers and log have never been written to, which
differ by some megabytes from what any traffic makes of them.
"""

import time

import mqtt
from fleet import Fleet

PAIRS = 8  # so that every shard has some
MESSAGES = 4096  # of a pair, 1 KB each
BLOB = 32
PATIENCE_S = 20


def job(worker):
    """Publishes to subscribers that read, with QoS 0; how much came."""
    fleet = Fleet(worker)
    opening = lambda index: mqtt.connect(f"warm-s{index}") + mqtt.subscribe(1, [f"warm/{index}"])
    fleet.open_all(PAIRS, opening)
    publishers = [fleet.open(PAIRS + index, mqtt.connect(f"warm-p{index}")) for index in range(PAIRS)]
    fleet.wait(lambda: all(client and client.ready for client in publishers), PATIENCE_S)
    came = [0]
    fleet.on_packet = lambda _client, first, _body: came.__setitem__(0, came[0] + (first >> 4 == mqtt.PUBLISH))
    blobs = [mqtt.publish(f"warm/{index}", b"w" * 1024) * BLOB for index in range(PAIRS)]
    until, sent = time.monotonic() + PATIENCE_S, 0
    while sent < MESSAGES and time.monotonic() < until:
        for client, blob in zip(publishers, blobs):
            if client and client.sock.fileno() in fleet.by_fd:
                fleet.send(client, blob)
        sent += BLOB
        fleet.wait(lambda: came[0] >= (sent - 4 * BLOB) * PAIRS, 1)
    fleet.close_all()
    return {"messages": came[0]}
