#!/usr/bin/env python3
"""What sockets cost the kernel, in a memory cgroup (version 1) of the server's own; the clients are outside.

    measure.py idle PROGRAM [COUNT]   a broker with COUNT connections, without and with a session
    measure.py buffers [KIND...]      a server that sends to clients that do not read, and reads from nobody

Needs root. Ends what it starts, and removes the cgroup.
"""

import os
import socket
import struct
import subprocess
import sys
import time

GROUP = "/sys/fs/cgroup/memory/firehose-sockets"
MIB = 1 << 20
TCP_NOTSENT_LOWAT = 25


def write(name, value):
    with open(f"{GROUP}/{name}", "w") as file:
        file.write(str(value))


def read(name):
    with open(f"{GROUP}/{name}") as file:
        return int(file.read())


def group():
    os.makedirs(GROUP, exist_ok=True)
    # The kernel counts TCP's memory of a group from the first limit on.
    write("memory.kmem.tcp.limit_in_bytes", 64 << 30)


def levels():
    """Bytes: all, slabs and pages of the kernel, TCP's own count."""
    names = ("memory.usage_in_bytes", "memory.kmem.usage_in_bytes", "memory.kmem.tcp.usage_in_bytes")
    return [read(name) for name in names]


def join():
    write("cgroup.procs", os.getpid())


# --- idle connections of a broker ---


def connect(port, name=None):
    client = socket.create_connection(("127.0.0.1", port))
    if name:
        body = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(name)) + name.encode()
        client.sendall(bytes([0x10, len(body)]) + body)
        assert client.recv(4) == b"\x20\2\0\0"
    return client


def slabs():
    """Objects of all caches of the machine and their sizes."""
    found = {}
    with open("/proc/slabinfo") as file:
        for line in file.read().splitlines()[2:]:
            words = line.split()
            found[words[0]] = (int(words[1]), int(words[3]))
    return found


def idle(program, count):
    port = 18830
    with open("/tmp/firehose-sockets.conf", "w") as file:
        file.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_connections_per_address 0\n"
                   "max_connection_rate_per_address 0\n")
    broker = subprocess.Popen([program, "serve", "-c", "/tmp/firehose-sockets.conf", "--shards", "1"],
                              preexec_fn=join, stdout=subprocess.DEVNULL)
    time.sleep(1)
    try:
        for kind in ("accepted", "with a session"):
            before, objects = levels(), slabs()
            clients = [connect(port, kind != "accepted" and f"c{n}") for n in range(count)]
            time.sleep(2)
            after, later = levels(), slabs()
            each = [(b - a) / count for a, b in zip(before, after)]
            print(f"{count} connections, {kind}: {each[0]:.0f} B each in all, of it kernel {each[1]:.0f} B; "
                  f"TCP buffers {each[2]:.0f} B")
            if kind == "accepted":
                grown = {name: (later[name][0] - objects.get(name, (0, 0))[0]) / count for name in later}
                text = (f"{name} {more:.1f} x {later[name][1]} B" for name, more in grown.items() if more > 0.4)
                print("   objects of the whole machine for each (both ends):", ", ".join(text))
            for client in clients:
                client.close()
            time.sleep(2)
    finally:
        broker.kill()
        broker.wait()


# --- buffers ---


def serve(port, pipe, options, what, count):
    join()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for level, option, value in options:
        listener.setsockopt(level, option, value)
    listener.bind(("127.0.0.1", port))
    listener.listen(100)
    os.write(pipe, b"!")
    peers = [listener.accept()[0] for _ in range(count)]
    inherited = [peers[0].getsockopt(level, option) for level, option, _ in options]
    bulk = b"x" * (256 << 10)
    warm = what.endswith("fast")
    if what.startswith("send"):
        if warm:
            for peer in peers:
                for _ in range(16):
                    peer.sendall(bulk)
        taken = 0
        for peer in peers:
            peer.setblocking(False)
        for _ in range(30):
            for peer in peers:
                try:
                    while True:
                        taken += peer.send(bulk)
                except BlockingIOError:
                    pass
            time.sleep(0.05)
        os.write(pipe, f"{taken} {inherited}\n".encode().ljust(100))
    else:
        if warm:
            for peer in peers:
                left = 4 * MIB
                while left:
                    left -= len(peer.recv(min(left, MIB)))
        os.write(pipe, f"0 {inherited}\n".encode().ljust(100))
    time.sleep(60)


def case(name, options, what, count=20, port=18831):
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            serve(port, theirs, options, what, count)
        finally:
            os._exit(0)
    try:
        os.read(ours, 1)
        before = levels()
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        given = 0
        start = time.monotonic()
        if what == "send fast":
            for client in clients:
                left = 4 * MIB
                while left:
                    left -= len(client.recv(min(left, MIB)))
        if what == "receive fast":
            bulk = b"x" * MIB
            for client in clients:
                for _ in range(4):
                    client.sendall(bulk)
        moving = time.monotonic() - start
        told = os.read(ours, 100).decode().split(maxsplit=1)
        if what.startswith("receive"):
            for client in clients:
                client.setblocking(False)
            bulk = b"x" * (256 << 10)
            for _ in range(30):
                for client in clients:
                    try:
                        while True:
                            given += client.send(bulk)
                    except BlockingIOError:
                        pass
                time.sleep(0.05)
        after = levels()
        each = [(b - a) / count / 1024 for a, b in zip(before, after)]
        moved = (int(told[0]) + given) / count / 1024
        print(f"{what:13} {name:40} {each[2]:9.0f} KiB of TCP, {each[1]:7.0f} KiB of kmem, {moved:8.0f} KiB written "
              f"(both ends' buffers); {moving:.1f} s for what was read; inherited {told[1].strip()}", flush=True)
        for client in clients:
            client.close()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(ours)
        os.close(theirs)
        time.sleep(0.5)


def buffers(wanted):
    tcp, sol = socket.IPPROTO_TCP, socket.SOL_SOCKET
    lowat = {f"TCP_NOTSENT_LOWAT {kib} KiB": [(tcp, TCP_NOTSENT_LOWAT, kib << 10)] for kib in (16, 64, 128, 256)}
    sends = {f"SO_SNDBUF {kib} KiB": [(sol, socket.SO_SNDBUF, kib << 10)] for kib in (512, 128, 64)}
    both = {"SO_SNDBUF 128, TCP_NOTSENT_LOWAT 16 KiB": [(sol, socket.SO_SNDBUF, 128 << 10), (tcp, TCP_NOTSENT_LOWAT, 16 << 10)]}
    receives = {f"SO_RCVBUF {kib} KiB": [(sol, socket.SO_RCVBUF, kib << 10)] for kib in (4, 16, 64, 256)}
    for what in [one for one in ("send", "send fast") if one in wanted]:
        for name, options in {"as it is": [], **lowat, **both, **sends}.items():
            case(name, options, what)
    for what in [one for one in ("receive", "receive fast") if one in wanted]:
        for name, options in {"as it is": [], **receives}.items():
            case(name, options, what)


def main():
    group()
    try:
        if sys.argv[1] == "idle":
            idle(sys.argv[2], int((sys.argv[3:] or ["10000"])[0]))
        else:
            buffers(sys.argv[2:] or ["send", "send fast", "receive", "receive fast"])
    finally:
        time.sleep(0.5)
        os.rmdir(GROUP)


main()
