"""Durable clients that send CONNECT, SUBSCRIBE and DISCONNECT in one segment and leave: each has its answers and its messages."""

import time

import mqtt
from fleet import new_socket

NAME = "hasty"
SECONDS = 60
SHARDS = 2
HEALTHY = (100, 20)
CLIENTS = 1000
MESSAGES = 5
ANSWER_S = 10


def packets(sock, until):
    """What comes until the broker closes or `until` holds for the kinds so far."""
    reader, found = mqtt.Reader(), []
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline and not until(found):
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data = sock.recv(65536)
        except OSError:
            break
        if not data:
            break
        found += reader.feed(data)
    return found


def dial(worker, data):
    sock = new_socket(next(worker.sources))
    sock.settimeout(ANSWER_S)
    sock.connect(("127.0.0.1", worker.port))
    sock.sendall(data)
    return sock


def hurry(worker, number):
    """One after the other: subscribes and leaves; messages are published for it; it comes back for them."""
    result = {"clients": 0, "no_suback": 0, "acknowledged": 0, "missing": 0, "refused": 0}
    publisher = dial(worker, mqtt.connect(f"hasty-p-{worker.number}", mqtt.V5))
    packets(publisher, lambda found: len(found) >= 1)
    for index in range(number):
        if worker.over:
            break
        name, topic = f"hasty-{worker.number}-{index}", f"hasty/{worker.number}/{index}"
        with dial(worker, mqtt.connect(name, clean=False) + mqtt.subscribe(1, [topic], 1) + mqtt.GOODBYE) as sock:
            kinds = [first >> 4 for first, _ in packets(sock, lambda _: False)]
        result["clients"] += 1
        if kinds[:1] != [mqtt.CONNACK]:
            result["refused"] += 1
            continue
        result["no_suback"] += mqtt.SUBACK not in kinds
        batch = b"".join(mqtt.publish(topic, bytes([n]), 1, n + 1, mqtt.V5) for n in range(MESSAGES))
        publisher.sendall(batch)
        acks = packets(publisher, lambda found: len(found) >= MESSAGES)
        taken = sum(mqtt.reason(body) < 0x80 for first, body in acks if first >> 4 == mqtt.PUBACK)
        result["acknowledged"] += taken
        with dial(worker, mqtt.connect(name, clean=False)) as sock:
            got = packets(sock, lambda found: sum(first >> 4 == mqtt.PUBLISH for first, _ in found) >= taken)
        result["missing"] += max(0, taken - sum(first >> 4 == mqtt.PUBLISH for first, _ in got))
        dial(worker, mqtt.connect(name) + mqtt.GOODBYE).close()
    publisher.close()
    return result


def run(context):
    task = context.spawn(hurry, context.number(CLIENTS), seconds=context.seconds)
    return {"hasty": task.result(context.seconds + 2 * ANSWER_S)}


def checks(_context, result):
    one = result["hasty"]
    good = not one.get("failed") and one["no_suback"] == 0 and one["missing"] == 0 and one["clients"] > one["refused"]
    return [("each SUBSCRIBE is answered, each acknowledged message is there", good, str(one))]
