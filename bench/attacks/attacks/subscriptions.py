"""A million filters of 100 clients: many wildcards, up to 200 levels; matching is timed meanwhile."""

import random
import time

import mqtt
from fleet import Fleet
from healthy import bucket, quantile

NAME = "subscriptions"
SECONDS = 120
SHARDS = 1
HEALTHY = (1000, 20)
FILTERS = 1_000_000
CLIENTS = 100
PER_PACKET = 200
BRANCHES = 20  # levels of the filters of which every one is `x` or `+`: 2^20 of them
LEVELS_MAX = 200
EVERYTHING = ["#", "+/#", "+/+", "ok/+"]  # of every client besides: the healthy ones' messages match
PROBES = {"no match": "probe/none/{}", "the branching filters": "/".join("x" * BRANCHES), "deep": "bomb/" + "/".join("y" * 150)}


def a_filter(chance, number):
    """One filter; `number` makes it another one than all before where that is not left to chance."""
    kind = number % 10
    if kind < 3:
        return "/".join("+" if number >> level & 1 else "x" for level in range(BRANCHES))
    if kind < 5:
        return f"a/+/b{number % 1000}/+/c{number}/#"
    if kind < 7:
        return "/".join(["+"] * (2 + number % 12)) + f"/z{number}"
    if kind < 9:
        return f"plain/{number % 997}/{number}/+"
    levels = chance.randrange(50, LEVELS_MAX - 1)
    return f"bomb/{number}/" + "/".join(chance.choice("y+") for _ in range(levels - 2))


def subscribe(worker, begin, clients, filters):
    """Each client subscribes to its share, a packet ahead; then all read and throw away what comes."""
    fleet = Fleet(worker)
    chance = random.Random(worker.seed * 1000 + worker.number)
    codes, left, sent_at = {}, {}, {}
    waits = []

    def more(client):
        if left[client.index] <= 0:
            return
        first = begin + client.index * filters + left[client.index]
        number = min(PER_PACKET, left[client.index])
        left[client.index] -= number
        batch = [a_filter(chance, first - i) for i in range(number)]
        sent_at[client.index] = time.monotonic()
        fleet.send(client, mqtt.subscribe(1, batch, 0, mqtt.V5))

    def on_packet(client, first, body):
        if first >> 4 == mqtt.SUBACK:
            length = 1 + body[2]
            for code in body[2 + length:]:
                codes[f"0x{code:02X}"] = codes.get(f"0x{code:02X}", 0) + 1
            worker.count("filters", len(body) - 2 - length)
            if body[1] == 1:
                waits.append(time.monotonic() - sent_at[client.index])
                more(client)
        elif first >> 4 == mqtt.PUBLISH:
            worker.count("received")
        elif first >> 4 == mqtt.DISCONNECT:
            codes[f"DISCONNECT {body[:1].hex()}"] = codes.get(f"DISCONNECT {body[:1].hex()}", 0) + 1

    fleet.on_packet = on_packet
    fleet.on_ready = lambda client: (left.__setitem__(client.index, filters), more(client))
    wide = mqtt.subscribe(2, EVERYTHING, 0, mqtt.V5)
    fleet.open_all(clients, lambda index: mqtt.connect(f"bomb-{begin}-{index}", mqtt.V5) + wide, mqtt.V5)
    while not worker.over:
        fleet.turn(0.5)
    remaining = sum(left.values())
    fleet.close_all()
    return {"codes": codes, "not_offered": remaining, "refusals": fleet.refusals,
            "suback_ms_max": round(max(waits, default=0) * 1000, 1)}


def probe(worker):
    """Publishes one message at a time with QoS 1, and notes how long each takes, by second."""
    fleet = Fleet(worker)
    times = {name: {} for name in PROBES}
    state = {"sent": None, "number": 0, "name": None}

    def send(client):
        names = list(PROBES)
        state["number"] += 1
        state["name"] = names[state["number"] % len(names)]
        topic = PROBES[state["name"]].format(state["number"])
        state["sent"] = time.perf_counter()
        fleet.send(client, mqtt.publish(topic, b"probe", 1, 1, mqtt.V5))

    def on_packet(client, first, _body):
        if first >> 4 == mqtt.PUBACK:
            place = bucket(int((time.perf_counter() - state["sent"]) * 1e6))
            counts = times[state["name"]]
            counts[place] = counts.get(place, 0) + 1
            worker.count("acked")
            state["sent"] = None

    fleet.on_packet = on_packet
    client = fleet.open(0, mqtt.connect("probe", mqtt.V5), mqtt.V5)
    if client is None:
        return {"failed": "not let in"}
    fleet.wait(lambda: client.ready, 10)
    while not worker.over and fleet.by_fd:
        send(client)
        fleet.wait(lambda: state["sent"] is None or not fleet.by_fd, 30)
        time.sleep(0.01)
    fleet.close_all()
    shown = {name: {"p50_us": quantile(counts, 0.5), "p99_us": quantile(counts, 0.99), "number": sum(counts.values())}
             for name, counts in times.items()}
    return shown


def run(context):
    clients, filters = CLIENTS, context.number(FILTERS) // CLIENTS
    half = clients // 2
    before = context.spawn(probe, seconds=3).result(20)
    tasks = [context.spawn(subscribe, part * half * filters, half, filters, seconds=context.seconds) for part in (0, 1)]
    during = context.spawn(probe, seconds=context.seconds * 0.6)
    asked, begun, ready = half * 2 * filters, time.monotonic(), None
    while time.monotonic() - begun < context.seconds * 0.6 and context.broker.alive():
        if context.counts.totals()["filters"] >= asked:
            ready = round(time.monotonic() - begun, 1)
            break
        time.sleep(0.1)
    during.stop()
    meanwhile = during.result(40)
    context.event(f"{context.counts.totals()['filters']} of {asked} filters answered in {ready} s; probes {meanwhile}")
    after = context.spawn(probe, seconds=min(10, context.seconds / 3)).result(40)
    count = context.sys("subscriptions/count")
    context.event(f"probes with the filters there: {after}; {count} subscriptions")
    for task in tasks:
        task.stop()
    return {"asked": asked, "seconds": ready, "before": before, "during": meanwhile, "there": after, "subscriptions": count,
            "clients": [task.result(60) for task in tasks]}


def checks(context, result):
    codes = {}
    for one in result["clients"]:
        for code, number in one.get("codes", {}).items():
            codes[code] = codes.get(code, 0) + number
    answered = sum(number for code, number in codes.items() if code.startswith("0x"))
    shown = lambda probes: ", ".join(f"{name} {one['p50_us']}/{one['p99_us']}" for name, one in probes.items() if isinstance(one, dict))
    return [
        ("every filter is answered", answered >= result["asked"] or (False if result["seconds"] else None),
         f"{answered:,} of {result['asked']:,} in {result['seconds']} s: {codes}"),
        ("publish to its acknowledgement, p50/p99 us, before", None, shown(result["before"])),
        ("the same while the filters come", None, shown(result["during"])),
        ("the same with all filters there", None, shown(result["there"])),
    ]
