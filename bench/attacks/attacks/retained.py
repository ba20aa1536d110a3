"""Ten million retained messages, then readers of `#` that take 10 kB a second."""

import time

import mqtt
from attacks.publishing import Batches
from fleet import Fleet

NAME = "retained"
SECONDS = 240
SHARDS = 1
HEALTHY = (1000, 20)
MESSAGES = 10_000_000
PAYLOAD = b"r" * 100
BATCH = 20  # messages with one number; every broker's receive maximum is at least this here
READERS = 21
READ_BYTES_A_SECOND = 10_000
UPDATED = 5_000
CONNECTIONS = 16
OFFER_SHARE, READ_SHARE = 0.55, 0.2
MARK = b"########"


def template(payload):
    """A batch of retained messages whose topics have a mark where the number of the batch goes."""
    topic = "retained/" + MARK.decode() + "/sensor-{:02d}/temperature"
    return b"".join(
        mqtt.publish(topic.format(i), payload, 1, i + 1, mqtt.V5, retain=True) for i in range(BATCH)
    )


def offer(worker, begin, end, payload, name):
    """Publishes batches begin to end; returns the codes and some batches that were wholly taken."""
    blob = template(payload)
    state = {"next": begin}
    numbers, kept = {}, []

    def make(client, _window):
        if state["next"] >= end:
            return None
        numbers[client.index] = state["next"]
        state["next"] += 1
        return blob.replace(MARK, b"%08d" % numbers[client.index]), BATCH

    def on_batch(client, codes):
        if len(kept) < UPDATED // BATCH and not any(code >= 0x80 for code in codes):
            kept.append(numbers[client.index])

    batches = Batches(worker, name, CONNECTIONS, make)
    batches.on_batch = on_batch
    started = time.monotonic()
    result = batches.run()
    return {**result, "seconds": round(time.monotonic() - started, 1), "offered_to": state["next"], "kept": kept}


def update(worker, numbers):
    """Publishes anew to topics that the broker has kept."""
    blob = template(PAYLOAD.upper())
    left = list(numbers)

    def make(_client, _window):
        return (blob.replace(MARK, b"%08d" % left.pop()), BATCH) if left else None

    return Batches(worker, "updater", 4, make).run()


def read(worker, readers):
    """Subscribes to everything and reads slowly, the first reader alone at first."""
    fleet = Fleet(worker)
    fleet.on_packet = lambda *_: None
    clients, seen = [], 0
    for index in range(readers):
        opening = mqtt.connect(f"slow-{index}") + mqtt.subscribe(1, ["#"])
        client = fleet.open(index, opening, receive_bytes=4096)
        if client is not None:
            fleet.stop_reading(client)
            clients.append(client)
        time.sleep(1 if index == 0 else 0)
    while not worker.over:
        for client in clients:
            try:
                seen += len(client.sock.recv(READ_BYTES_A_SECOND // 5))
            except OSError:
                pass
        fleet.turn(0.2)
    left = len(fleet.by_fd)
    fleet.close_all()
    return {"bytes_read": seen, "open_at_end": left}


def run(context):
    batches, seconds = context.number(MESSAGES) // BATCH, context.seconds
    begun = time.monotonic()
    offered = context.spawn(offer, 0, batches, PAYLOAD, "offer", seconds=seconds * OFFER_SHARE).result(seconds)
    context.event(f"offered {offered.get('offered_to', 0) * BATCH} in {offered.get('seconds')} s: {offered.get('codes')}")
    result = {"offered": offered, "retained_seen": context.sys("retained messages/count"), "asked": batches * BATCH}
    if context.broker.alive():
        result["updated"] = context.spawn(update, offered.get("kept", []), seconds=20).result(25)
        context.event(f"updates of kept topics: {result['updated'].get('codes')}")
        span = max(5.0, seconds * READ_SHARE)
        result["readers"] = context.spawn(read, READERS, seconds=span).result(span + 20)
        context.event(f"slow readers of #: {result['readers']}")
    if context.broker.alive():
        # All of it, so that memory can come back.
        span = max(seconds - (time.monotonic() - begun), 2 * offered.get("seconds", 0))
        cleared = context.spawn(offer, 0, offered.get("offered_to", 0), b"", "clear", seconds=span).result(span + 20)
        cleared.pop("kept", None)
        result["cleared"] = cleared
        context.event(f"cleared {cleared.get('offered_to', 0) * BATCH} in {cleared.get('seconds')} s")
    offered.pop("kept", None)
    return result


def checks(context, result):
    offered, updated = result["offered"], result.get("updated", {})
    codes = offered.get("codes", {})
    taken = sum(number for code, number in codes.items() if code in ("0x00", "0x10"))
    refused = codes.get("0x97", 0)
    told = f"{taken} kept, {refused} refused with 0x97, {offered.get('unanswered')} unanswered, of {result['asked']}"
    complete = taken + refused >= result["asked"]
    answered = complete if offered.get("offered_to", 0) * BATCH >= result["asked"] else None
    bad = {code: number for code, number in updated.get("codes", {}).items() if code not in ("0x00", "0x10")}
    return [
        ("every message kept or refused with 0x97", answered, told + ("" if complete else " (time was up)")),
        ("updates of kept messages are taken", bool(updated.get("codes")) and not bad, f"{updated.get('codes')}"),
    ]
