"""Clients that announce packets of 256 MB: half send a byte a second, then all send 64 KB a second each."""

import time

import mqtt
from fleet import Fleet

NAME = "announced"
SECONDS = 240
SHARDS = 1
HEALTHY = (1000, 20)
CLIENTS = 1000
ANNOUNCED = 268_435_455
CLOSED_WITHIN_S = 120  # of the first byte, a byte a second
FAST_BYTES = 64 << 10


def announce(worker, number, bytes_a_second):
    """Sends the head of a packet and then so many bytes a second; notes when each is closed."""
    fleet = Fleet(worker)
    lives, answers, born = [], {}, {}
    head = b"\x30" + mqtt.varint(ANNOUNCED) + mqtt.text("announced/topic")
    drop = b"x" * bytes_a_second

    def on_packet(_client, first, body):
        name = f"0x{first:02X} {body[:1].hex()}"
        answers[name] = answers.get(name, 0) + 1

    def on_close(client):
        lives.append(round(time.monotonic() - born.get(client.index, client.at), 1))

    fleet.on_packet, fleet.on_close = on_packet, on_close
    fleet.open_all(number, lambda index: mqtt.connect(f"announced-{worker.number}-{index}", mqtt.V5), mqtt.V5)
    for client in list(fleet.by_fd.values()):
        born[client.index] = time.monotonic()
        fleet.send(client, head)
    due = time.monotonic()
    while not worker.over and fleet.by_fd:
        for client in list(fleet.by_fd.values()):
            if len(client.out) < 4 * FAST_BYTES:
                fleet.send(client, drop)
        due += 1
        fleet.wait(lambda: time.monotonic() >= due or not fleet.by_fd, max(0.0, due - time.monotonic()))
    left = len(fleet.by_fd)
    fleet.close_all()
    return {"closed_after_s": sorted(lives), "still_open": left, "answers": answers, "refusals": fleet.refusals}


def run(context):
    half = context.seconds / 2
    slow = context.spawn(announce, context.number(CLIENTS), 1, seconds=half).result(half + 30)
    context.event(f"a byte a second: {len(slow.get('closed_after_s', []))} closed, {slow.get('still_open')} still open")
    fast = context.spawn(announce, context.number(CLIENTS), FAST_BYTES, seconds=half).result(half + 30)
    context.event(f"64 KB a second: {len(fast.get('closed_after_s', []))} closed, {fast.get('still_open')} still open")
    return {"slow": slow, "fast": fast}


def checks(context, result):
    lives = result["slow"].get("closed_after_s", [])
    waited = context.seconds / 2
    told = f"{result['slow'].get('still_open')} of {context.number(CLIENTS)} still open after {waited:.0f} s"
    if lives:
        told += f"; {len(lives)} closed {lives[0]} to {lives[-1]} s after the announcement"
    if waited < CLOSED_WITHIN_S and result["slow"].get("still_open"):
        return [("closed in time", None, told + " (too short a run to say)")]
    good = not result["slow"].get("still_open") and bool(lives) and lives[-1] <= CLOSED_WITHIN_S
    return [("closed in time", good, told)]
