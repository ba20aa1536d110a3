"""Publishers of QoS 0, retained or not, to 100 topics that two subscribers of all read, on two shards: messages a second, and CPU of the
broker a message. retained_order.py BEFORE AFTER: two builds, in turn, five rounds."""

import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "attacks"))
import mqtt

MESSAGES, TOPICS, ROUNDS = 120_000, 100, 5
TICK = os.sysconf("SC_CLK_TCK")


def connect(port, name):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(mqtt.connect(name))
    assert sock.recv(4)[3] == 0
    sock.settimeout(30)
    return sock


def cpu(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def drain(sock, size):
    while size > 0:
        size -= len(sock.recv(1 << 18))


def run(program, publishers, retain, port):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type error\nuser root\n")
        conf.flush()
        broker = subprocess.Popen([program, "serve", "-c", conf.name, "--shards", "2"], stdout=subprocess.PIPE)
        try:
            broker.stdout.readline()
            readers = [connect(port, f"reader{index}") for index in range(2)]
            for sock in readers:
                sock.sendall(mqtt.subscribe(1, ["r/#"]))
                sock.recv(5)
            batch = b"".join(mqtt.publish(f"r/{topic:03}", b"x" * 64, retain=retain) for topic in range(TOPICS))
            batches = MESSAGES // publishers // TOPICS
            total = batches * publishers
            writers = [connect(port, f"writer{index}") for index in range(publishers)]
            before, begun = cpu(broker.pid), time.monotonic()
            jobs = [threading.Thread(target=drain, args=(sock, total * len(batch))) for sock in readers]
            jobs += [threading.Thread(target=lambda sock=sock: [sock.sendall(batch) for _ in range(batches)]) for sock in writers]
            for job in jobs:
                job.start()
            for job in jobs:
                job.join()
            seconds = time.monotonic() - begun
            return total * TOPICS / seconds, (cpu(broker.pid) - before) / (total * TOPICS) * 1e9
        finally:
            broker.terminate()
            broker.wait()


port = 9400
for publishers in (1, 4):
    for retain in (0, 1):
        rows = {"before": [], "after": []}
        for _ in range(ROUNDS):
            for name, program in zip(rows, sys.argv[1:3]):
                port += 1
                rows[name].append(run(program, publishers, retain, port))
        for name, figures in rows.items():
            rate = statistics.median(rate for rate, _ in figures)
            spent = sorted(round(spent) for _, spent in figures)
            print(publishers, "retained" if retain else "plain", name, f"{rate:,.0f}/s", f"{statistics.median(spent)} ns a message", spent, flush=True)
