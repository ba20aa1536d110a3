"""38,000 connections on two shards, each with a common filter and one of its own; then messages to all and to each."""

import socket
import time

import mqtt
from fleet import Fleet

NAME = "crowd"
SECONDS = 120
SHARDS = 2
HEALTHY = (100, 20)
CONNECTIONS = 38_000
PROCESSES = 4
COMMON = "crowd/all"
PAYLOAD = b"c" * 64
TO_ALL = 3
SETTLE_S = 5


def attend(worker, begin, end):
    """Connects, subscribes, and counts what each connection gets."""
    fleet = Fleet(worker)
    common, own, wrong = [0] * (end - begin), [0] * (end - begin), 0
    mine = [f"crowd/own/{number}".encode() for number in range(begin, end)]
    state = {"wrong": 0, "subacks": 0}

    def on_packet(client, first, body):
        if first >> 4 == mqtt.SUBACK:
            state["subacks"] += 1
            worker.count("filters", 2)
        elif first >> 4 == mqtt.PUBLISH:
            topic = bytes(body[2 : 2 + int.from_bytes(body[:2], "big")])
            worker.count("received")
            if topic == b"crowd/all":
                common[client.index] += 1
            elif topic == mine[client.index]:
                own[client.index] += 1
            else:
                state["wrong"] += 1

    fleet.on_packet = on_packet
    opening = lambda index: mqtt.connect(f"crowd-{begin + index}") + mqtt.subscribe(1, [COMMON, mine[index].decode()])
    fleet.open_all(end - begin, opening)
    while not worker.over:
        fleet.turn(0.5)
    left = sum(client.ready for client in fleet.by_fd.values())
    fleet.close_all()
    return {**state, "connected_at_end": left, "common": common, "own": own, "refusals": fleet.refusals}


def publish(sock, topics):
    """Publishes to the topics and waits until the broker has taken all."""
    for begin in range(0, len(topics), 500):
        sock.sendall(b"".join(mqtt.publish(topic, PAYLOAD) for topic in topics[begin : begin + 500]))
    sock.sendall(mqtt.PING)
    reader = mqtt.Reader()
    while True:
        data = sock.recv(4096)
        if not data:
            raise ConnectionError("the publisher was closed")
        if any(first >> 4 == mqtt.PINGRESP for first, _ in reader.feed(data)):
            return


def arrived(context, number, seconds, begun):
    """Waits until so many messages have come; how long that took since `begun`, or None."""
    while time.monotonic() - begun < seconds and context.broker.alive():
        if context.counts.totals()["received"] >= number:
            return round(time.monotonic() - begun, 3)
        time.sleep(0.005)
    return None


def memory(context):
    row = {**context.group.sample(), **context.broker.sample()}
    return {name: row.get(name, 0) for name in ("rss", "kernel", "tcp", "level")}


def run(context):
    asked = context.number(CONNECTIONS)
    edges = [asked * part // PROCESSES for part in range(PROCESSES + 1)]
    publisher = socket.create_connection(("127.0.0.1", context.port), 10)  # while there is room for it
    publisher.sendall(mqtt.connect("crowd-publisher"))
    before = memory(context)
    life = context.seconds + 60
    tasks = [context.spawn(attend, begin, end, seconds=life) for begin, end in zip(edges, edges[1:])]
    until, last, moved = time.monotonic() + context.seconds * 0.6, -1, time.monotonic()
    while time.monotonic() < until and context.broker.alive():
        totals = context.counts.totals()
        done = totals["filters"] // 2 + totals["refused"]
        if done >= asked or (done == last and time.monotonic() - moved > 15):
            break
        if done != last:
            last, moved = done, time.monotonic()
        time.sleep(0.2)
    there = context.counts.totals()["filters"] // 2
    context.event(f"{there} connections are subscribed")
    context.sleep(SETTLE_S)
    during = memory(context)
    each = {name: round((during[name] - before[name]) / max(1, there), 1) for name in before}
    context.event(f"bytes a connection: {each}")
    times = []
    for round_number in range(TO_ALL if there else 0):
        begun = time.monotonic()
        publish(publisher, [COMMON])
        times.append(arrived(context, there * (round_number + 1), 30, begun))
    begun = time.monotonic()
    publish(publisher, [f"crowd/own/{number}" for number in range(asked)])
    own_time = arrived(context, there * (TO_ALL + 1), 60, begun)
    context.event(f"to all: {times} s; to each: {own_time} s")
    publisher.close()
    for task in tasks:
        task.stop()
    results = [task.result(60) for task in tasks]
    common = [count for one in results for count in one.pop("common", [])]
    own = [count for one in results for count in one.pop("own", [])]
    return {"asked": asked, "subscribed": there, "bytes_a_connection": each, "to_all_s": times, "to_each_s": own_time,
            "complete": sum(c == TO_ALL and o == 1 for c, o in zip(common, own)), "processes": results}


def checks(context, result):
    each = result["bytes_a_connection"]
    refusals = {}
    for one in result["processes"]:
        for why, number in one.get("refusals", {}).items():
            refusals[why] = refusals.get(why, 0) + number
    return [
        ("all connections are let in and subscribed", result["subscribed"] == result["asked"],
         f"{result['subscribed']:,} of {result['asked']:,}; refusals {refusals}"),
        ("everybody gets every message, once", result["complete"] == result["asked"],
         f"{result['complete']:,} of {result['asked']:,}; to all {result['to_all_s']} s, one to each {result['to_each_s']} s"),
        ("memory a connection (stated)", None, f"{each['rss']:,.0f} B resident, {each['kernel']:,.0f} B kernel, {each['tcp']:,.0f} B TCP buffers"),
    ]
