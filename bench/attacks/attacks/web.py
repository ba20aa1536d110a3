"""HTTP beside the flows: connects that say nothing, heads that come slowly, are too large or half, and viewers that do not read."""

import os
import random
import socket
import time

from broker import listening
from fleet import new_socket, reset

NAME = "web"
SECONDS = 60
SHARDS = 2
HEALTHY = (100, 20)
# Below the ports of brokers.
PORT = next(port for port in range(15_000 + os.getpid() % 4_000, 20_000) if not listening(port))
CONFIG = f"listener {PORT} 127.0.0.1\nprotocol http_api\n"
CONNECTS = 10_000
OPEN_MAX = 400
VIEWERS = 100
WINDOW = 2048
GROWTH_MAX = 64 << 20
HELD_MAX = 1 << 20
PROBE_S = 10
ANSWERED_MIN = 0.9


def request(path, more=""):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()


def dial(worker, window=None, wait_s=5):
    sock = new_socket(next(worker.sources), window)
    sock.settimeout(wait_s)
    sock.connect(("127.0.0.1", PORT))
    return sock


def annoy(worker, number):
    """One kind of bad client after the other, some hundred open at a time."""
    chance, open_, done, failed = random.Random(worker.seed * 10 + worker.number), [], 0, 0
    whole = request("/healthz")
    kinds = (b"", b"GET / HT", whole + b"GET /met", request("/", "x: " + "y" * 60_000 + "\r\n"), b"\x16\x03\x01\x02\x00" + b"\0" * 300,
             request("/healthz") * 50, b"DELETE /api/v1/clients/x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
    while done < number and not worker.over:
        done += 1
        try:
            sock = dial(worker, wait_s=0.5)
            sock.sendall(chance.choice(kinds))
            open_.append(sock)
            worker.count("connected")
        except OSError:
            failed += 1
        while len(open_) > OPEN_MAX:
            reset(open_.pop(chance.randrange(len(open_))))
    for sock in open_:
        reset(sock)
    return {"connects": done, "failed": failed}


def dawdle(worker, number):
    """Heads that come a byte at a time, over and over."""
    head, open_, sent = request("/metrics", "a: b\r\n" * 20), {}, 0
    while not worker.over:
        while len(open_) < number and not worker.over:
            try:
                open_[dial(worker, wait_s=0.2)] = 0
            except OSError:
                break
        for sock, at in list(open_.items()):
            try:
                sock.sendall(head[at:at + 1])
                open_[sock] = min(at + 1, len(head) - 2)
                sent += 1
            except OSError:
                reset(sock)
                del open_[sock]
        time.sleep(0.2)
    return {"bytes": sent}


def view(worker, number):
    """Viewers with a small window that ask for all there is, and read nothing."""
    open_, asked = [], 0
    while not worker.over:
        for path in ("/api/v1/live", "/metrics", "/api/v1/history", "/"):
            try:
                sock = dial(worker, WINDOW, 0.2)
                sock.sendall(request(path) * 20)
                open_.append(sock)
                asked += 1
            except OSError:
                pass
        while len(open_) > number:
            reset(open_.pop(0))
        time.sleep(0.05)
    return {"asked": asked}


def ask(path):
    """An answer, or None, and how long it took."""
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", PORT), PROBE_S) as sock:
            sock.settimeout(PROBE_S)
            sock.sendall(request(path, "Connection: close\r\n"))
            text = b""
            while part := sock.recv(1 << 16):
                text += part
    except OSError:
        text = b""
    return text.decode(errors="replace"), time.monotonic() - began


def held():
    """Bytes that the broker holds for who asks, by its own account; None without an answer."""
    text, _ = ask("/metrics")
    found = [line for line in text.splitlines() if line.startswith('firehose_memory_account_bytes{account="http"}')]
    return float(found[0].split()[-1]) if found else None


def run(context):
    before = context.broker.sample().get("rss", 0)
    tasks = [context.spawn(annoy, context.number(CONNECTS), seconds=context.seconds),
             context.spawn(dawdle, context.number(200), seconds=context.seconds),
             context.spawn(view, context.number(VIEWERS), seconds=context.seconds)]
    highest, took, answered, until = before, [], 0, time.monotonic() + context.seconds
    while time.monotonic() < until and context.sleep(0.3):
        text, seconds = ask(("/healthz", "/readyz", "/metrics")[len(took) % 3])
        answered += text.startswith("HTTP/1.1 200")
        took.append(seconds)
        highest = max(highest, context.broker.sample().get("rss", 0))
    done = [task.result(30) for task in tasks]
    context.sleep(2)
    return {"before": before, "highest": highest, "probes": len(took), "answered": answered, "slowest_s": max(took, default=0),
            "median_s": sorted(took)[len(took) // 2] if took else 0, "held": held(), "done": done}


def checks(_context, result):
    grown, after = result["highest"] - result["before"], result["held"]
    share = result["answered"] / max(1, result["probes"])
    words = (f"{result['answered']} of {result['probes']}, half within {result['median_s'] * 1000:.0f} ms, "
             f"all within {result['slowest_s']:.1f} s, beside {result['done']}")
    return [("who looks how the broker is is answered", share >= ANSWERED_MIN, words),
            ("what is held for who asks is bounded", grown <= GROWTH_MAX, f"{grown >> 20} MiB more at most"),
            ("and is given back", after is not None and after <= HELD_MAX, f"{after} bytes afterwards")]
