"""What it costs to be looked at. observing.py WORKLOAD [--program P] [--rounds N]

    metrics     a scrape of a broker with 16 shards: CPU and bytes of both forms
    viewers     fan-out 1 to 1000 by the load tester, with ten viewers of /api/v1/live and without: CPU a delivery
    paint       the page in headless Chromium: from the request to its first paint, and to the figures of its first event
    disconnect  from DELETE /api/v1/clients/ID to the end of that client's connection
    pages       300,000 sessions, 15,000 of them connected, listed from the first to the last page in each order: turns meanwhile, and a bystander's round trips
    silent      100 viewers that do not read, beside a page of 300,000 sessions if those are there: resident memory

One line of JSON a measurement. The broker is on CPU 0 with one shard unless it says otherwise, the load on the last CPU."""

import argparse
import atexit
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench/attacks"))
sys.path.insert(0, str(ROOT / "tests"))
import mqtt
from bench_page import BROWSERS, Browser
from durable import exactly, quantiles, round_trips, say

CPUS = sorted(os.sched_getaffinity(0))
USER, PASSWORD = "ann", "right"
CONFIG = """listener {port} 127.0.0.1
max_connections -1
listener {web} 127.0.0.1
protocol http_api
allow_anonymous true
password_file {folder}/passwords
user root
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
log_type none
log_dest none
"""
TURNS = "firehose_turn_seconds"
# The bound of its buckets that is next to a millisecond.
MS = 0.001024


class Broker:
    """A broker with a listener for HTTP, which one may ask over one connection."""

    def __init__(self, options, work, shards=1, cpus=CPUS[:1]):
        self.port, self.web = options.port, options.port + 1
        self.program = options.program
        config = work / "broker.conf"
        config.write_text(CONFIG.format(port=self.port, web=self.web, folder=work))
        subprocess.run([self.program, "passwd", "-c", "-b", "-H", "sha512", work / "passwords", USER, PASSWORD], check=True)
        self.process = subprocess.Popen([self.program, "serve", "-c", config, "--shards", str(shards)],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        atexit.register(self.process.kill)
        assert "ready" in self.process.stdout.readline()
        self.link = http.client.HTTPConnection("127.0.0.1", self.web, timeout=60)

    def ask(self, target, method="GET", **headers):
        self.link.request(method, target, headers=headers)
        answer = self.link.getresponse()
        body = answer.read()
        assert answer.status < 300, (answer.status, body[:200])
        return body

    def client(self, name, clean=True):
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(60)
        sock.sendall(mqtt.connect(name, clean=clean))
        assert exactly(sock, 4)[3] == 0
        return sock

    def cpu(self):
        """Seconds, of all threads."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def resident(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def turns(self):
        """Turns by their upper bound in seconds, as many as ended below it."""
        text = self.ask("/metrics").decode()
        found = re.findall(rf'^{TURNS}_bucket{{(?:[^}}]*,)?le="([^"]+)"[^}}]*}} (\d+)', text, re.M)
        assert found, "no histogram of turns"
        sums = {}
        for bound, count in found:
            sums[float(bound)] = sums.get(float(bound), 0) + int(count)
        return sums

    def end(self):
        self.process.terminate()
        self.process.wait(60)


def metrics(options, work):
    broker = Broker(options, work, shards=16, cpus=CPUS)
    # Every histogram has something to show, and every shard a client.
    clients = [broker.client(f"c{number}") for number in range(64)]
    for sock in clients:
        sock.sendall(mqtt.subscribe(1, ["a/#"]) + mqtt.publish("a/b", b"x" * 64) * 50)
    time.sleep(2)
    scrapes = 200
    for number in range(options.rounds):
        for form, accept in (("text", "text/plain"), ("openmetrics", "application/openmetrics-text")):
            before, begun, took = broker.cpu(), time.monotonic(), []
            for _ in range(scrapes):
                one = time.perf_counter()
                body = broker.ask("/metrics", Accept=accept)
                took.append(time.perf_counter() - one)
            used, lasted = broker.cpu() - before, time.monotonic() - begun
            before = broker.cpu()
            time.sleep(lasted)
            idle = broker.cpu() - before
            say(workload="metrics", round=number, form=form, shards=16, bytes=len(body), cpu_ms_a_scrape=round((used - idle) / scrapes * 1e3, 3), **quantiles(took))
    broker.end()


def live(broker, reads=True):
    """A viewer, and what it has been sent is thrown away."""
    sock = socket.socket()
    if not reads:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", broker.web))
    sock.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if reads:
        def read():
            try:
                while sock.recv(1 << 16):
                    pass
            except OSError:
                pass
        threading.Thread(target=read, daemon=True).start()
    return sock


def viewers(options, work):
    costs = {0: [], 10: []}
    for number in range(options.rounds):
        for many in ((0, 10), (10, 0))[number % 2]:
            broker = Broker(options, work)
            watching = [live(broker) for _ in range(many)]
            report = work / "report.json"
            subprocess.run([options.program, "bench", "fanout", "--host", "127.0.0.1", "--port", str(broker.port), "--broker-pid", str(broker.process.pid),
                            "--subscribers", "1000", "--size", "64", "--qos", options.qos, "--window", "64", "--duration", "4", "--warm-up", "1",
                            "--cpus", str(CPUS[-1]), "--json", report, "--quiet"], check=False, stdout=subprocess.DEVNULL)
            summary = json.loads(report.read_text())["summary"]
            costs[many].append(summary["broker_cpu_ns_per_delivery"])
            say(workload="viewers", round=number, viewers=many, qos=options.qos, cpu_ns_a_delivery=summary["broker_cpu_ns_per_delivery"],
                deliveries_a_second=summary["delivery_rate_per_s"])
            for sock in watching:
                sock.close()
            broker.end()
    medians = {many: statistics.median(values) for many, values in costs.items()}
    say(workload="viewers", qos=options.qos, medians=medians, ratio=round(medians[10] / medians[0], 4))


def paint(options, work):
    program = next(filter(None, map(__import__("shutil").which, BROWSERS)))
    broker = Broker(options, work)
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as profile:
            browser = Browser(program, profile)
            browser.attach()
            begun = time.monotonic()
            browser.call("Page.navigate", url=f"http://127.0.0.1:{broker.web}/")
            browser.wait("Page.loadEventFired")
            script = "JSON.stringify(performance.getEntriesByType('paint').map(entry => [entry.name, entry.startTime]))"
            shown = []
            while len(shown) < 2 and time.monotonic() - begun < 10:
                shown = json.loads(browser.call("Runtime.evaluate", expression=script)["result"]["value"])
                time.sleep(0.02)
            say(workload="paint", round=number, **{name.replace("-", "_") + "_ms": round(at, 1) for name, at in shown})
            browser.close()
    broker.end()


def disconnect(options, work):
    import base64
    broker = Broker(options, work)
    right = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    took = []
    for number in range(100):
        sock = broker.client(f"victim{number}")
        begun = time.perf_counter()
        ended = []

        def wait():
            while sock.recv(100):
                pass
            ended.append(time.perf_counter() - begun)

        thread = threading.Thread(target=wait)
        thread.start()
        broker.ask(f"/api/v1/clients/victim{number}", "DELETE", Authorization=right)
        thread.join()
        took += ended
    say(workload="disconnect", what="idle broker", most_us=round(max(took) * 1e6, 1), **quantiles(took))
    broker.end()


def populated(options, work):
    """A broker with sessions, some of them connected by the load tester, which has room for more descriptors than a process of ours."""
    broker = Broker(options, work)
    away = options.sessions - options.connected

    def many(first, behind):
        for number in range(first, behind):
            with broker.client(f"away{number}", clean=False) as sock:
                sock.sendall(mqtt.subscribe(1, [f"a/{number}"], qos=1) + mqtt.GOODBYE)
                exactly(sock, 5)

    many(0, away)
    load = subprocess.Popen([options.program, "bench", "idle", "--host", "127.0.0.1", "--port", str(broker.port), "--connections", str(options.connected),
                             "--duration", "600", "--cpus", str(CPUS[-1]), "--quiet"], stdout=subprocess.DEVNULL)
    atexit.register(load.kill)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        found = re.findall(r"^firehose_clients_connected{\S+ (\d+)", broker.ask("/metrics").decode(), re.M)
        if sum(map(int, found)) >= options.connected:
            break
        time.sleep(0.5)
    time.sleep(2)
    return broker, load


def pages(options, work):
    broker, load = populated(options, work)
    for order in ("nobody", "", "name", *("lag", "bytes") * options.rounds):
        before, begun, listed, cursor, asked = broker.turns(), time.monotonic(), 0, None, 0
        # A process of its own, which does not wait for what is done with the pages here.
        stop, (here, there) = multiprocessing.Event(), multiprocessing.Pipe()
        watcher = multiprocessing.Process(target=lambda: there.send(round_trips(broker, 600, lambda: not stop.is_set())))
        watcher.start()
        if order == "nobody":
            # What this machine does by itself.
            time.sleep(options.alone)
        while order != "nobody":
            target = "/api/v1/clients?limit=1000" + (f"&sort={order}" if order else "") + (f"&after={cursor}" if cursor else "")
            page = json.loads(broker.ask(target))
            listed += len(page["items"])
            asked += 1
            cursor = page.get("next")
            if not cursor or asked >= (options.pages if order != "name" else options.named):
                break
        lasted = time.monotonic() - begun
        stop.set()
        took = here.recv()
        watcher.join()
        after = broker.turns()
        longer = after[float("inf")] - before[float("inf")] - (after[MS] - before[MS])
        say(workload="pages", order=order or "none", sessions=options.sessions, connected=options.connected, pages=asked, listed=listed, seconds=round(lasted, 2),
            turns=after[float("inf")] - before[float("inf")], turns_above_1_ms=longer, bystander=quantiles(took))
    load.terminate()
    load.wait(60)
    broker.end()


def silent(options, work):
    broker = Broker(options, work)
    time.sleep(3)
    before = broker.resident()
    deaf = [live(broker, reads=False) for _ in range(100)]
    for seconds in (5, 30, 60):
        time.sleep(seconds)
        text = broker.ask("/metrics").decode()
        held = re.findall(r'^firehose_memory_account_bytes{account="http"} (\d+)', text, re.M)
        say(workload="silent", viewers=len(deaf), seconds=seconds, resident_more=broker.resident() - before, account_http=held)
    broker.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    workloads = {work.__name__: work for work in (metrics, viewers, paint, disconnect, pages, silent)}
    parser.add_argument("workload", choices=workloads)
    parser.add_argument("--program", default=str(ROOT / "target/release/firehose"))
    parser.add_argument("--port", type=int, default=21_200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--qos", default="0")
    parser.add_argument("--sessions", type=int, default=300_000)
    parser.add_argument("--connected", type=int, default=15_000)
    parser.add_argument("--pages", type=int, default=400, help="at most so many")
    parser.add_argument("--alone", type=float, default=20, help="seconds in which nobody lists anything")
    parser.add_argument("--named", type=int, default=50, help="at most so many by name, each of which looks at all sessions")
    options = parser.parse_args()
    multiprocessing.set_start_method("fork")
    os.sched_setaffinity(0, CPUS[-1:])
    with tempfile.TemporaryDirectory() as folder:
        workloads[options.workload](options, pathlib.Path(folder))


if __name__ == "__main__":
    main()
