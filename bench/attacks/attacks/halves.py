"""Clients over every transport that subscribe to a flood, stop reading and shut their sending side; then new ones come."""

import random
import socket
import time

import mqtt
from attacks.stalled import flood
from doors import Doors
from link import TRANSPORTS, Gone, Link

NAME = "halves"
SECONDS = 60
SHARDS = 2
HEALTHY = (100, 20)
DOORS = True
CLIENTS = 3000
OPEN_MAX = 40
NEW = 200
ANSWER_S = 10
MISSES_MAX = 5
PAYLOAD_BYTES = 16_000


def halve(worker, doors, number):
    """Each reads a little, waits until the broker's sends are short, and shuts its side; some read on, some reset."""
    authority, chance = doors.context(), random.Random(worker.seed * 10 + worker.number)
    done, refused, open_ = 0, 0, []
    while done < number and not worker.over:
        try:
            transport = "tcp" if done % 8 == 0 else chance.choice(("tls", "ws", "ws", "ws", "wss"))
            # A small window: sends are short.
            window = chance.choice((None, 4096, 16_384))
            link = Link(transport, doors.ports, next(worker.sources), authority, window)
            link.send(mqtt.connect(f"halves-{worker.number}-{done}") + mqtt.subscribe(1, ["flood/#"]))
            open_.append((time.monotonic() + chance.uniform(0.02, 0.2), link))
            worker.count("connected")
        except Gone:
            refused += 1
        done += 1
        while open_ and (len(open_) >= OPEN_MAX or open_[0][0] <= time.monotonic()):
            _, link = open_.pop(0)
            try:
                for _ in range(chance.choice((0, 1, 5))):
                    link.sock.recv(1 << 16)
                if chance.random() < 0.8:
                    # Past TLS: an end without close_notify. What is on its way is read all the same.
                    socket.socket.shutdown(link.sock, socket.SHUT_WR)
                    until = time.monotonic() + chance.choice((0, 0.002, 0.02))
                    while time.monotonic() < until and link.sock.recv(1 << 16):
                        pass
            except OSError:
                pass
            link.close(chance.choice(("reset", "close")))
    for _, link in open_:
        link.close("reset")
    return {"clients": done, "refused": refused}


def arrive(worker, doors, number):
    """New clients, as many on each transport: how many got their CONNACK, and answers to a ping."""
    authority, answered, misses = doors.context(), {}, 0
    for index in range(number):
        transport = TRANSPORTS[index % 4]
        try:
            link = Link(transport, doors.ports, next(worker.sources), authority)
            link.send(mqtt.connect(f"new-{worker.number}-{index}") + mqtt.PING)
            until, kinds = time.monotonic() + ANSWER_S, []
            while len(kinds) < 2 and time.monotonic() < until:
                kinds += [first >> 4 for first, _ in link.feed()]
                time.sleep(0.001)
            link.close("close")
        except Gone as error:
            kinds = [str(error)]
        if kinds[:2] == [mqtt.CONNACK, mqtt.PINGRESP]:
            answered[transport] = answered.get(transport, 0) + 1
        else:
            misses += 1
            if misses == MISSES_MAX:
                break  # it is known by now
    return answered


def run(context):
    doors: Doors = context.doors
    context.spawn(flood, PAYLOAD_BYTES, seconds=context.seconds)
    task = context.spawn(halve, doors, context.number(CLIENTS), seconds=context.seconds - 2)
    halved = task.result(context.seconds + 20)
    new = context.number(NEW) // 4 * 4 or 4
    arrived = context.spawn(arrive, doors, new, seconds=120).result(150)
    return {"halved": halved, "new": new, "arrived": arrived}


def checks(_context, result):
    whole = all(result["arrived"].get(transport, 0) == result["new"] // 4 for transport in TRANSPORTS)
    return [("new clients are let in and answered afterwards", whole,
             f"{result['arrived']} of {result['new'] // 4} on each, after {result['halved']}")]
