#!/usr/bin/env python3
"""How long a quiet client waits for its PINGRESP while a publisher floods a fan-out to 500: quiet.py PROGRAM [SIZE].

The subscribers read; the publisher writes QoS 0 as fast as its socket takes it."""

import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

program, size = sys.argv[1], int((sys.argv[2:] or ["64"])[0])
PORT = 18850


def connect(name):
    client = socket.create_connection(("127.0.0.1", PORT))
    body = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(name)) + name.encode()
    client.sendall(bytes([0x10, len(body)]) + body)
    assert client.recv(4) == b"\x20\2\0\0"
    return client


def read_all(clients):
    poll = select.epoll()
    for client in clients:
        client.setblocking(False)
        poll.register(client.fileno(), select.EPOLLIN)
    by_number = {client.fileno(): client for client in clients}
    while True:
        for number, _ in poll.poll():
            if not by_number[number].recv(1 << 20):
                return


conf = tempfile.NamedTemporaryFile("w")
conf.write(f"listener {PORT} 127.0.0.1\nallow_anonymous true\nlog_type error\n")
conf.flush()
broker = subprocess.Popen(["taskset", "-c", "0", program, "serve", "-c", conf.name, "--shards", "1"], stdout=subprocess.DEVNULL)
children = []
try:
    time.sleep(0.5)
    subscribers = [connect(f"s{n}") for n in range(500)]
    for client in subscribers:
        client.sendall(b"\x82\6\0\1\0\1f\0")
        assert client.recv(5) == b"\x90\3\0\1\0"
    quiet, flooder = connect("quiet"), connect("flooder")
    children.append(os.fork())
    if children[-1] == 0:
        quiet.close()
        read_all(subscribers)
        os._exit(0)
    children.append(os.fork())
    if children[-1] == 0:
        body = b"\0\1f" + b"x" * size
        length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])
        burst = (b"\x30" + length + body) * 256
        end = time.monotonic() + 15
        while time.monotonic() < end:
            flooder.sendall(burst)
        os._exit(0)
    time.sleep(1)
    quiet.settimeout(5)
    waits = []
    for _ in range(20):
        start = time.monotonic()
        quiet.sendall(b"\xc0\0")
        try:
            assert quiet.recv(2) == b"\xd0\0"
        except TimeoutError:
            waits.append(float("inf"))
            break
        waits.append(time.monotonic() - start)
        time.sleep(0.1)
    waits.sort()
    print(f"{size} B: PINGRESP after {waits[len(waits) // 2] * 1000:.1f} ms (median), {waits[-1] * 1000:.1f} ms (worst) of {len(waits)}")
finally:
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    broker.kill()
    broker.wait()
