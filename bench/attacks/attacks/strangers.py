"""Strangers who take what all share: absent sessions that fill the backlog, packets that never come whole, branching filters."""

import time

import mqtt
from attacks.hasty import dial, packets

NAME = "strangers"
SECONDS = 90
SHARDS = 2
HEALTHY = (100, 20)
SESSIONS, SESSION_BYTES = 12, 60 << 20
MESSAGES = 200
CONNECTIONS, PART = 4000, 65_000
BRANCHING, LEVELS = 1500, 16
PLAIN = ("#", "+/status", "a/b/c", "x/+/x/y")


def open_one(worker, name, clean=True, expiry=None):
    sock = dial(worker, mqtt.connect(name, mqtt.V5, clean, expiry=expiry))
    packets(sock, lambda found: len(found) >= 1)
    return sock


def away(worker, name):
    """A durable session that is subscribed to the topic of its name, and away."""
    sock = open_one(worker, name, expiry=3600)
    sock.sendall(mqtt.subscribe(1, [name], 1, mqtt.V5))
    packets(sock, lambda found: len(found) >= 1)
    sock.sendall(mqtt.GOODBYE)
    packets(sock, lambda _: False)
    sock.close()


def publish(sock, topic, payload, number):
    """So many with QoS 1, ten at a time; how many were acknowledged with success."""
    taken = 0
    for first in range(0, number, 10):
        count = min(10, number - first)
        sock.sendall(b"".join(mqtt.publish(topic, payload, 1, at + 1, mqtt.V5) for at in range(count)))
        acks = packets(sock, lambda found: len(found) >= count)
        taken += sum(first >> 4 == mqtt.PUBACK and mqtt.reason(body) < 0x80 for first, body in acks)
    return taken


def backlog(worker, session_bytes):
    """Sessions of a stranger are filled; then messages go to somebody else's, who comes back for them."""
    victim = f"strangers-victim-{worker.number}"
    names = [f"strangers-{worker.number}-{index}" for index in range(SESSIONS)]
    for name in [victim, *names]:
        away(worker, name)
    publisher, payload = open_one(worker, f"strangers-p-{worker.number}"), b"x" * 100_000
    for _ in range(max(1, session_bytes // (10 * len(payload)))):
        for name in names:
            if not worker.over:
                publish(publisher, name, payload, 10)
    taken, came = publish(publisher, victim, b"y" * 1000, MESSAGES), 0
    with dial(worker, mqtt.connect(victim, mqtt.V5, False, expiry=0)) as sock:
        while came < taken:
            got = [body for first, body in packets(sock, lambda found: any(first >> 4 == mqtt.PUBLISH for first, _ in found))
                   if first >> 4 == mqtt.PUBLISH]
            if not got:
                break
            came += len(got)
            ids = [int.from_bytes(body[2 + len(victim):4 + len(victim)], "big") for body in got]
            sock.sendall(b"".join(mqtt.ack(mqtt.PUBACK, one) for one in ids))
    for name in [victim, *names]:
        open_one(worker, name).close()
    publisher.close()
    return {"acknowledged": taken, "came": came}


def unfinished(worker, number, established):
    """Packets that never come whole; meanwhile one of 100 KB comes in parts, again and again."""
    publisher, held, taken, tried = open_one(worker, f"strangers-parts-{worker.number}"), [], 0, 0
    begun = mqtt.packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x00\xff\xff" + b"c" * 66_000)
    if established:
        begun = mqtt.publish("strangers/unfinished", b"x" * 200_000)
    whole = mqtt.publish("strangers/parts", b"y" * 100_000, 1, 1, mqtt.V5)
    for index in range(number):
        if worker.over:
            break
        opening = mqtt.connect(f"strangers-u-{worker.number}-{index}") if established else b""
        try:
            held.append(dial(worker, opening))
            held[-1].sendall(begun[:PART])
        except OSError:
            pass  # it was refused, or gave way already
        if index % max(1, number // 20) == 0:
            tried += 1
            for at in range(0, len(whole), 30_000):
                publisher.sendall(whole[at:at + 30_000])
            taken += any(first >> 4 == mqtt.PUBACK for first, _ in packets(publisher, lambda found: len(found) >= 1))
    for sock in held:
        sock.close()
    publisher.close()
    return {"tried": tried, "taken": taken, "connections": len(held)}


def branching(worker, number):
    """Sessions with 32 branching filters each; then a newcomer subscribes to what people subscribe to."""
    held, codes = [], {}
    for index in range(number):
        if worker.over:
            break
        held.append(open_one(worker, f"strangers-f-{worker.number}-{index}"))
        filters = ["/".join("x+"[number >> bit & 1] for bit in range(LEVELS)) for number in range(32 * index, 32 * index + 32)]
        held[-1].sendall(mqtt.subscribe(1, filters, 0, mqtt.V5))
        packets(held[-1], lambda found: len(found) >= 1)
    newcomer = open_one(worker, f"strangers-n-{worker.number}")
    for one in PLAIN:
        newcomer.sendall(mqtt.subscribe(1, [one], 0, mqtt.V5))
        for first, body in packets(newcomer, lambda found: any(first >> 4 == mqtt.SUBACK for first, _ in found)):
            if first >> 4 == mqtt.SUBACK:
                codes[one] = body[-1]
    for sock in [newcomer, *held]:
        sock.close()
    return {"sessions": len(held), "codes": codes}


def run(context):
    share = context.seconds / 4
    jobs = (("backlog", backlog, (context.number(SESSION_BYTES),)), ("connects", unfinished, (context.number(CONNECTIONS), False)),
            ("established", unfinished, (context.number(CONNECTIONS), True)), ("filters", branching, (context.number(BRANCHING),)))
    result = {}
    for name, job, arguments in jobs:
        result[name] = context.spawn(job, *arguments, seconds=share).result(share + 60)
        context.event(f"{name}: {result[name]}")
    return result


def checks(_context, result):
    one, failed = result["backlog"], [name for name, one in result.items() if one.get("failed")]
    out = [("every part has a result", not failed, ", ".join(failed) or "four")]
    if failed:
        return out
    out.append(("what was acknowledged for a session within its share comes", one["acknowledged"] == one["came"] == MESSAGES, str(one)))
    for name in ("connects", "established"):
        one = result[name]
        out.append((f"packets in parts are taken beside unfinished ones ({name})", one["taken"] == one["tried"] > 0, str(one)))
    codes = result["filters"]["codes"]
    out.append(("plain filters are taken", set(codes) == set(PLAIN) and set(codes.values()) == {0}, str(result["filters"])))
    return out
