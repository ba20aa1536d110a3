"""Subscribers of `#` that never read and come again when they are closed, and one publisher at full speed: 1 KB, QoS 0."""

import time

import mqtt
from fleet import AHEAD, Fleet

NAME = "stalled"
SECONDS = 600
SHARDS = 1
HEALTHY = (1000, 20)
STALLED = 1000
P99_FACTOR = 2  # of the quiet phase: what the issue asks for
BLOB_MESSAGES = 64
PAYLOAD_BYTES = 1024


def stall(worker, number):
    """Subscribes and never reads again; who is closed is counted and comes again, for the pressure to last."""
    fleet = Fleet(worker)
    state = {"subscribed": 0, "closed_at": []}
    gone = []
    opening = lambda index: mqtt.connect(f"stalled-{worker.number}-{index}") + mqtt.subscribe(1, ["#"])

    def on_packet(client, first, _body):
        if first >> 4 == mqtt.SUBACK:
            state["subscribed"] += 1
            fleet.stop_reading(client)

    fleet.on_packet = on_packet
    fleet.on_close = lambda client: (state["closed_at"].append(time.time()), gone.append(client.index))
    fleet.open_all(number, opening)
    while not worker.over:
        fleet.turn(0.2)
        again = [gone.pop() for _ in range(min(len(gone), AHEAD))]
        gone.extend(index for index in again if fleet.open(index, opening(index)) is None)
    fleet.close_all()
    return {**state, "refusals": fleet.refusals}


def flood(worker, payload_bytes):
    """Publishes as fast as the broker takes it, and comes again when it is closed."""
    fleet = Fleet(worker)
    blob = mqtt.publish("flood/topic", b"x" * payload_bytes) * BLOB_MESSAGES
    closed = 0
    while not worker.over:
        client = fleet.open(0, mqtt.connect(f"flood-{worker.number}"))
        if client is None or not fleet.wait(lambda: client.ready, 10):
            time.sleep(0.2)
            continue
        closed += 1
        client.sock.settimeout(1)
        rest = memoryview(blob)
        try:
            while not worker.over:
                try:
                    sent = client.sock.send(rest)
                except TimeoutError:
                    continue
                worker.count("sent_bytes", sent)
                rest = rest[sent:]
                if not rest:
                    rest = memoryview(blob)
                    worker.count("offered", BLOB_MESSAGES)
        except OSError:
            fleet.close(client, lost=True)
    fleet.close_all()
    return {"connections": closed}


def run(context):
    stalled = context.spawn(stall, context.number(STALLED), seconds=context.seconds)
    context.sleep(2)
    publisher = context.spawn(flood, PAYLOAD_BYTES, seconds=context.seconds - 2)
    context.sleep(context.seconds)
    return {"stalled": stalled.result(20), "publisher": publisher.result(20)}


def checks(context, result):
    subscribed, closed = result["stalled"].get("subscribed", 0), len(result["stalled"].get("closed_at", []))
    return [("subscribers that never read were let in", subscribed >= context.number(STALLED),
             f"{subscribed} times for {context.number(STALLED)}; {closed} times one was closed")]
