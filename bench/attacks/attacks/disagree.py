"""Publishers that retain on the same topics at once: all who are subscribed end with the same value, the one that is retained."""

import time

import mqtt
from fleet import Fleet

NAME = "disagree"
SECONDS = 60
SHARDS = 2
HEALTHY = (100, 20)
PUBLISHERS = 4
TOPICS = 2000
SUBSCRIBERS = 6
SETTLE_S = 20
BATCH = 20  # the least receive maximum that is usual


def retain(worker, topics):
    """All topics again and again: the same few on every connection before anybody is answered, so that they meet."""
    fleet = Fleet(worker)
    kinds, waiting, sent = {}, [0], 0

    def on_packet(_client, first, body):
        if first >> 4 == mqtt.PUBACK:
            code = f"0x{mqtt.reason(body):02X}"
            kinds[code] = kinds.get(code, 0) + 1
            waiting[0] -= 1

    fleet.on_packet = on_packet
    fleet.open_all(PUBLISHERS, lambda index: mqtt.connect(f"disagree-{index}", mqtt.V5), mqtt.V5)
    clients = list(fleet.by_fd.values())
    begin = 0
    while not worker.over and len(clients) == PUBLISHERS:
        some = range(begin, min(begin + BATCH, topics))
        for client in clients:
            value = f"{client.index}:{sent}".encode()
            batch = [mqtt.publish(f"disagree/{topic}", value, 1, n + 1, mqtt.V5, retain=True) for n, topic in enumerate(some)]
            fleet.send(client, b"".join(batch))
            waiting[0] += len(batch)
            sent += len(batch)
        if not fleet.wait(lambda: waiting[0] <= 0, SETTLE_S):
            break
        begin = begin + BATCH if begin + BATCH < topics else 0
    fleet.close_all()
    return {"sent": sent, "codes": kinds, "unanswered": waiting[0]}


def watch(worker, number):
    """Live subscribers and, when nothing comes any more, a new one: the last value of each topic at each."""
    fleet = Fleet(worker)
    last, moved = {}, [time.monotonic()]

    def on_packet(client, first, body):
        if first >> 4 == mqtt.PUBLISH:
            size = int.from_bytes(body[:2], "big")
            last.setdefault(client.index, {})[body[2 : 2 + size]] = body[2 + size :]
            moved[0] = time.monotonic()

    fleet.on_packet = on_packet
    opening = lambda index: mqtt.connect(f"disagree-s{worker.number}-{index}") + mqtt.subscribe(1, ["disagree/#"], 0)
    fleet.open_all(number, opening)
    while not worker.over:
        fleet.turn(0.1)
    quiet = time.monotonic() + SETTLE_S
    while time.monotonic() < min(quiet, max(moved[0] + 2, quiet - SETTLE_S + 2)):
        fleet.turn(0.1)
    live = {index: dict(values) for index, values in last.items()}
    fleet.open(number, opening(number))
    moved[0], quiet = time.monotonic(), time.monotonic() + SETTLE_S
    while time.monotonic() < min(quiet, moved[0] + 2):
        fleet.turn(0.1)
    stored = last.get(number, {})
    differ = {topic for values in live.values() for topic in stored.keys() | values.keys() if values.get(topic) != stored.get(topic)}
    still = len(fleet.by_fd)
    fleet.close_all()
    return {"stored": len(stored), "differ": len(differ), "subscribers": still - 1, "examples": [one.decode() for one in sorted(differ)[:5]]}


def run(context):
    topics = context.number(TOPICS)
    watching = context.spawn(watch, SUBSCRIBERS, seconds=context.seconds)
    context.sleep(1)
    published = context.spawn(retain, topics, seconds=max(2, context.seconds - 5)).result(context.seconds + SETTLE_S)
    watching.stop()
    seen = watching.result(4 * SETTLE_S)
    return {"topics": topics, "published": published, "seen": seen}


def checks(context, result):
    seen = result["seen"]
    whole = not seen.get("failed") and seen.get("subscribers") == SUBSCRIBERS and seen.get("stored", 0) > 0
    return [("subscribers agree with each other and with what is retained", whole and seen["differ"] == 0,
             f"{seen}, after {result['published']} on {result['topics']} topics")]
