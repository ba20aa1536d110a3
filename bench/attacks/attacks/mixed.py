"""Publishers of packets of every size at full speed, where listeners have the buffers of a small budget: none may stand still."""

import random
import time

import mqtt
from fleet import new_socket, reset

NAME = "mixed"
SECONDS = 60
SHARDS = 2
HEALTHY = (100, 20)
CONFIG = "memory_limit 1500M\n"
PUBLISHERS = 4
SIZES = (10, 100, 1000, 5000, 14_000, 20_000, 60_000, 200_000)
LEAST_BYTES_S = 1 << 20  # a stalled one was seen to have 63 KB/s
BLOCK_BYTES = 1 << 20


def blocks(chance):
    """Streams of packets in random order of size, a megabyte each."""
    made = []
    for _ in range(8):
        block = b""
        while len(block) < BLOCK_BYTES:
            block += mqtt.publish("mixed/x", b"m" * chance.choice(SIZES), 0)
        made.append(block)
    return made


def publish(worker):
    """Bytes that were taken in each second."""
    chance = random.Random(worker.seed * 100 + worker.number)
    made = blocks(chance)
    sock = new_socket(next(worker.sources))
    sock.settimeout(10)
    sock.connect(("127.0.0.1", worker.port))
    sock.sendall(mqtt.connect(f"mixed-{worker.number}"))
    if sock.recv(4)[:1] != b"\x20":
        return {"failed": "not let in"}
    sock.settimeout(0.2)
    rest, seconds, begun, failed = memoryview(b""), [0], time.monotonic(), None
    while not worker.over:
        if not rest:
            rest = memoryview(chance.choice(made))
        while time.monotonic() >= begun + len(seconds):
            seconds.append(0)
        try:
            # Applications write what they have: parts of every size.
            sent = sock.send(rest[: chance.choice((700, 4096, 14_000, 65_536, len(rest)))])
        except TimeoutError:
            continue
        except OSError as error:
            failed = str(error)
            break
        rest = rest[sent:]
        seconds[-1] += sent
        worker.count("sent_bytes", sent)
    reset(sock)
    return {"seconds": seconds[:-1], "failed": failed}


def run(context):
    tasks = [context.spawn(publish, seconds=context.seconds) for _ in range(max(1, context.number(PUBLISHERS)))]
    context.sleep(context.seconds)
    return {"publishers": [task.result(20) for task in tasks]}


def checks(_context, result):
    failed = [one["failed"] for one in result["publishers"] if one.get("failed")]
    slowest = [min(one["seconds"]) for one in result["publishers"] if one.get("seconds")]
    median = [sorted(one["seconds"])[len(one["seconds"]) // 2] for one in result["publishers"] if one.get("seconds")]
    # Many on one CPU have seconds without any; a stall lasts.
    stalls = [longest_below(one["seconds"], LEAST_BYTES_S) for one in result["publishers"] if one.get("seconds")]
    told = f"least in a second {[value >> 10 for value in slowest]} KiB, median {[value >> 10 for value in median]} KiB, longest slow " \
        f"stretch {stalls} s; {failed}"
    return [("no publisher stands still", bool(stalls) and not failed and max(stalls) < 5, told)]


def longest_below(seconds, least):
    longest = current = 0
    for value in seconds:
        current = current + 1 if value < least else 0
        longest = max(longest, current)
    return longest
