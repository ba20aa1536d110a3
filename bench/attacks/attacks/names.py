"""Clients with names of 64 KB, refused and let in, while nobody reads the log."""

import time

import mqtt
from fleet import new_socket

NAME = "names"
SECONDS = 60
SHARDS = 2
HEALTHY = (100, 20)
CONFIG = "connection_messages true\nlog_type all\n"
BLOCKED_LOG = True
CLIENTS = 20_000
GROWTH_MAX = 64 << 20


def shout(worker, number):
    """Connects with as long a client id and user name as there can be, and leaves."""
    done = failed = 0
    while done < number and not worker.over:
        name = f"{worker.number}-{done}-".ljust(65_000, "n")
        body = mqtt.text("MQTT") + bytes([4, 0x82]) + b"\0\0" + mqtt.text(name) + mqtt.text("u" * 65_000)
        done += 1
        try:
            with new_socket(next(worker.sources)) as sock:
                sock.settimeout(5)
                sock.connect(("127.0.0.1", worker.port))
                sock.sendall(mqtt.packet(0x10, body))
                sock.recv(4)
                worker.count("connected")
        except OSError:
            failed += 1
    return {"clients": done, "failed": failed}


def run(context):
    before = context.broker.sample().get("rss", 0)
    task = context.spawn(shout, context.number(CLIENTS), seconds=context.seconds)
    highest, until = before, time.monotonic() + context.seconds
    while time.monotonic() < until and task.process.is_alive() and context.sleep(0.5):
        highest = max(highest, context.broker.sample().get("rss", 0))
    return {"before": before, "highest": highest, **task.result(20)}


def checks(_context, result):
    grown = result["highest"] - result["before"]
    return [("names that nobody reads do not pile up", grown <= GROWTH_MAX,
             f"{grown >> 20} MiB more at most, after {result.get('clients')} clients, {result.get('failed')} without an answer")]
