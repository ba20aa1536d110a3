#!/usr/bin/env python3
"""What sessions, subscriptions, retained and waiting messages cost in memory: measure.py FIREHOSE

One shard, a fresh broker for each row; the process's proportional set size before and after, and the account that it is charged to. Client ids
have 12 bytes, filters 20 to 26, topics 19 to 21. Standard library only."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

PORT = 18930
CONFIG = f"""listener {PORT} 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 20
memory_limit 4G
sys_interval 1
log_dest none
limit_local_addresses false
"""


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return len(value).to_bytes(2, "big") + value


def packet(first, body):
    length, rest = b"", len(body)
    while True:
        length += bytes([rest % 128 | (0x80 if rest > 127 else 0)])
        rest //= 128
        if not rest:
            return bytes([first]) + length + body


def read(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        assert more, "closed"
        data += more
    return data


class Client:
    def __init__(self, name, clean=True):
        self.sock = socket.create_connection(("127.0.0.1", PORT))
        self.sock.settimeout(300)
        self.sock.sendall(packet(0x10, text("MQTT") + bytes([4, 2 if clean else 0, 0, 0]) + text(name)))
        assert read(self.sock, 4)[3] == 0

    def subscribe(self, filters, qos=1):
        for at in range(0, len(filters), 500):
            part = filters[at : at + 500]
            self.sock.sendall(packet(0x82, b"\0\1" + b"".join(text(name) + bytes([qos]) for name in part)))
            answer = read(self.sock, 2)
            length = answer[1] if answer[1] < 128 else answer[1] - 128 + 128 * read(self.sock, 1)[0]
            codes = read(self.sock, length)[2:]
            assert set(codes) <= {0, 1}, set(codes)

    def publish(self, topics, size, retain):
        """With QoS 1, many at a time, until all are acknowledged."""
        for at in range(0, len(topics), 1000):
            part = topics[at : at + 1000]
            first = 0x32 | (1 if retain else 0)
            self.sock.sendall(b"".join(
                packet(first, text(topic) + (number + 1).to_bytes(2, "big") + b"x" * size) for number, topic in enumerate(part)))
            read(self.sock, 4 * len(part))

    def leave(self):
        self.sock.sendall(b"\xe0\0")
        self.sock.close()


class Broker:
    def __init__(self, program, folder):
        file = pathlib.Path(folder) / "c.conf"
        file.write_text(CONFIG)
        self.process = subprocess.Popen([program, "serve", "--shards", "1", "-c", str(file)], stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.warm()

    def warm(self):
        client = Client("warm")
        client.subscribe(["warm/#"], qos=0)
        client.leave()

    def pss(self):
        time.sleep(2)
        lines = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024

    def account(self, name):
        """What `$SYS` says of it, two publications later."""
        time.sleep(3)
        client = Client("asks")
        topic = f"$SYS/broker/firehose/memory/account/{name}/used"
        client.subscribe([topic], qos=0)
        head = read(client.sock, 2)
        value = int(read(client.sock, head[1])[2 + len(topic):])
        client.leave()
        return value

    def end(self):
        self.process.terminate()
        self.process.wait()


def sessions(broker, count):
    for number in range(count):
        Client(f"away-{number:07}", clean=False).leave()


def subscriptions(broker, count):
    clients = [Client(f"client{number:06}") for number in range(10)]
    for at, client in enumerate(clients):
        client.subscribe([f"site/{number % 1000:04}/{number:07}/+/#" for number in range(at, count, 10)])
    return clients


def retained(size):
    def run(broker, count):
        client = Client("publisher")
        client.publish([f"site/{number % 1000:04}/{number:07}/s" for number in range(count)], size, True)
        return client
    return run


def waiting(broker, count):
    for number in range(1000):
        client = Client(f"away-{number:07}", clean=False)
        client.subscribe(["wait/#"])
        client.leave()
    broker.before, broker.account_before = broker.pss(), broker.account("backlog")
    Client("publisher").publish([f"wait/{number:07}" for number in range(count // 1000)], 100, False)


ROWS = [
    ("session whose client is away", sessions, 20_000, "connections"),
    ("wildcard subscription of 26 bytes", subscriptions, 100_000, "subscriptions"),
    ("retained message of 100 B", retained(100), 200_000, "retained"),
    ("retained message of 1,000 B", retained(1000), 100_000, "retained"),
    ("place of a message of 100 B that waits for 1000 sessions", waiting, 2_000_000, "backlog"),
]


def main():
    program = os.path.abspath(sys.argv[1])
    print("| | how many | bytes each (PSS) | bytes each (account) |\n|---|---|---|---|")
    for name, run, count, account in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            broker = Broker(program, folder)
            broker.account_before, broker.before = broker.account(account), broker.pss()
            keep = run(broker, count)
            after, charged = broker.pss(), broker.account(account)
            each = (after - broker.before) / count
            print(f"| {name} | {count:,} | {each:.0f} | {(charged - broker.account_before) / count:.0f} ({account}) |", flush=True)
            del keep
            broker.end()


main()
