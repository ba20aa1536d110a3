"""QoS 1 and 2 to 100,000 durable sessions that are away: to each, then to all of them."""

import time

import mqtt
from attacks.publishing import Batches
from fleet import Fleet

NAME = "absent"
SECONDS = 240
SHARDS = 1
HEALTHY = (1000, 20)
SESSIONS = 100_000
COMMON = "absent/all"
COMMON_BYTES, OWN_BYTES = 1024, 8192
WINDOW = 16
GRACE_S = 10  # sessions expire so long after the attack


def leave(worker, begin, end):
    """Makes durable sessions with a filter each and a common one, half with QoS 1 and half with 2, and goes."""
    fleet = Fleet(worker)
    made = {"sessions": 0, "codes": {}}

    def opening(index):
        number = begin + index
        expiry = max(GRACE_S, int(worker.until - time.monotonic()) + GRACE_S)
        hello = mqtt.connect(f"absent-{number}", mqtt.V5, clean=False, expiry=expiry)
        return hello + mqtt.subscribe(1, [f"absent/c/{number}", COMMON], 1 + number % 2, mqtt.V5)

    def on_packet(client, first, body):
        if first >> 4 == mqtt.SUBACK:
            code = f"0x{body[-1]:02X}"
            made["codes"][code] = made["codes"].get(code, 0) + 1
            made["sessions"] += body[-1] < 0x80
            worker.count("filters", 2)
            try:
                client.sock.send(mqtt.GOODBYE)
            except OSError:
                pass
            fleet.close(client)

    fleet.on_packet = on_packet
    fleet.open_all(end - begin, opening, mqtt.V5)
    fleet.wait(lambda: not fleet.by_fd, 20)
    fleet.close_all()
    return {**made, "refusals": fleet.refusals}


def publish(worker, sessions, common, qos):
    """Publishes to all sessions, or to one after the other."""
    payload = b"a" * (COMMON_BYTES if common else OWN_BYTES)
    state = {"at": worker.number * 7919}

    def make(_client, window):
        number = min(window, WINDOW)
        if common:
            return b"".join(mqtt.publish(COMMON, payload, qos, i + 1, mqtt.V5) for i in range(number)), number
        first = state["at"]
        state["at"] += number
        topics = (f"absent/c/{(first + i) % sessions}" for i in range(number))
        return b"".join(mqtt.publish(t, payload, qos, i + 1, mqtt.V5) for i, t in enumerate(topics)), number

    return Batches(worker, "feed", 2 if common else 8, make, qos).run()


def run(context):
    sessions, seconds, begun = context.number(SESSIONS), context.seconds, time.monotonic()
    half = sessions // 2
    makers = [context.spawn(leave, begin, end, seconds=seconds) for begin, end in ((0, half), (half, sessions))]
    made = [maker.result(seconds) for maker in makers]
    number = sum(one.get("sessions", 0) for one in made)
    context.event(f"{number} sessions are away after {time.monotonic() - begun:.0f} s")
    left = max(10.0, seconds - 2 - (time.monotonic() - begun))
    results = {}
    for common in (False, True):  # to each first: what is for all fills their queues
        feeds = {qos: context.spawn(publish, sessions, common, qos, seconds=left / 2) for qos in (1, 2)}
        context.sleep(left / 2)
        for qos, feed in feeds.items():
            results[f"{'common' if common else 'own'} qos {qos}"] = feed.result(20)
    time.sleep(1.5)  # until the counters have been published
    dropped = context.sys("publish/messages/dropped")
    common = sum(one.get("codes", {}).get("0x00", 0) for name, one in results.items() if name.startswith("common"))
    own = sum(one.get("codes", {}).get("0x00", 0) for name, one in results.items() if name.startswith("own"))
    context.event(f"taken: {common} for all, {own} for one each; dropped {dropped}")
    return {"made": made, "sessions": number, "feeds": results, "dropped": dropped, "common": common, "own": own,
            "payload_bytes_asked_for": common * COMMON_BYTES * number + own * OWN_BYTES}


def checks(context, result):
    asked = result["payload_bytes_asked_for"]
    told = f"{result['dropped']} dropped; {result['common']} messages to all and {result['own']} to one each taken, " \
           f"{asked / 2**30:.1f} GiB if each session had its own copy"
    made = result["sessions"]
    return [
        ("the sessions were made", made == context.number(SESSIONS), f"{made}"),
        ("what was dropped is counted", bool(result["dropped"]), told),
    ]
