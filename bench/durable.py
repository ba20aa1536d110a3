"""What durable sessions cost, and how long a start takes, against Mosquitto where that has the same. durable.py WORKLOAD [--program P]

    puback       one PUBLISH outstanding to a durable session that is away: its PUBACK, beside a bare write and fdatasync of 4 KiB
    absent       100 messages to 100,000 durable sessions that are away: CPU, bytes written, resident memory
    checkpoint   100,000 sessions with 200 messages each: round trips of a bystander while all is written anew, and without that
    recovery     10 million messages of 80 B for 100 sessions: time of a start behind them, beside reading the files
    backlog      messages acknowledged to durable sessions that are away, and what is left of them after kill -9

One line of JSON a measurement. The broker is on CPU 0 with one shard, or on all CPUs where it says so; the load is on the last one."""

import argparse
import contextlib
import json
import mmap
import os
import pathlib
import shutil
import signal
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

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
READY_MAX_S = 600
COMMON = """listener {port} 127.0.0.1
allow_anonymous true
user root
max_connections -1
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes 0
memory_limit 0
log_type none
log_dest none
persistence_location {store}/
"""
SETTINGS = {
    "off": "persistence false\n",
    "group": "persistence true\npersistence_sync group\n",
    "interval": "persistence true\npersistence_sync interval 200\n",
    "none": "persistence true\npersistence_sync none\n",
    "mosquitto": "persistence true\nautosave_interval 0\n",
    "mosquitto-autosave": "persistence true\nautosave_interval 1\nautosave_on_changes true\n",
}
CPUS = sorted(os.sched_getaffinity(0))


class Broker:
    """A broker of one kind in SETTINGS with a store of its own, that may be started again."""

    def __init__(self, program, kind, work, port, cpus=CPUS[:1], lines=""):
        self.kind, self.port, self.cpus = kind, port, cpus
        self.store, self.config = work / "store", work / "broker.conf"
        shutil.rmtree(self.store, ignore_errors=True)
        self.store.mkdir()
        self.config.write_text((COMMON + SETTINGS[kind] + lines).format(port=port, store=self.store))
        self.is_ours = not kind.startswith("mosquitto")
        self.command = [program, "serve", "-c", self.config, "--shards", str(len(cpus))] if self.is_ours else ["/usr/sbin/mosquitto", "-c", self.config]
        self.start()

    def start(self):
        """Starts it; returns the seconds until a client is let in."""
        begun = time.monotonic()
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.sched_setaffinity(self.process.pid, self.cpus)
        while time.monotonic() - begun < READY_MAX_S:
            with contextlib.suppress(OSError, IndexError):
                self.client("looks").close()
                return time.monotonic() - begun
            assert self.process.poll() is None, "the broker has ended"
            time.sleep(0.002)
        raise TimeoutError

    def client(self, name, clean=True):
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(120)
        sock.sendall(mqtt.connect(name, clean=clean))
        assert exactly(sock, 4)[3] == 0
        return sock

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(READY_MAX_S)

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident(self):
        return int(open(f"/proc/{self.process.pid}/statm").read().split()[1]) * PAGE

    def written(self):
        """Bytes that it has written to the disk; what the kernel still keeps counts for who writes through it."""
        return int(open(f"/proc/{self.process.pid}/io").read().split("\nwrite_bytes: ")[1].split()[0])

    def sessions(self, count, filter_of):
        """Durable sessions that are away."""
        for number in range(count):
            with self.client(f"s{number}", clean=False) as sock:
                sock.sendall(mqtt.subscribe(1, [filter_of(number)], qos=1) + mqtt.GOODBYE)
                exactly(sock, 5)


def exactly(sock, size):
    got = b""
    while len(got) < size:
        part = sock.recv(size - len(got))
        if not part:
            raise OSError("closed")
        got += part
    return got


def publish_all(sock, topics, payload, count, outstanding=60_000):
    """Publishes with QoS 1, by turns to the topics; waits for all acknowledgements. Each payload begins with the message's number: no two
    messages are the same, as a reader may hold those once that are."""
    acked = threading.Semaphore(0)
    lot = min(outstanding, count, 30_000)

    def read():
        left = count * 4
        got = 0
        while left > 0:
            part = len(sock.recv(min(1 << 18, left)))
            left -= part
            got += part
            acked.release(got // 4)
            got %= 4

    reader = threading.Thread(target=read)
    reader.start()
    sent = 0
    while sent < count:
        many = min(lot, count - sent)
        blob = b"".join(mqtt.publish(topics[(sent + one) % len(topics)], b"%08d" % (sent + one) + payload[8:], qos=1, packet_id=1 + one % 65_535) for one in range(many))
        for _ in range(many if sent >= lot else 0):
            acked.acquire()
        sock.sendall(blob)
        sent += many
    reader.join()


def say(**what):
    print(json.dumps(what), flush=True)


def quantiles(values):
    values = sorted(values)
    return {name: round(values[min(int(len(values) * share), len(values) - 1)] * 1e6, 1) for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999))}


def bare(work, rounds):
    """A write of 4 KiB and its fdatasync, past the kernel's cache, in a file that is there, on the broker's CPU: the disk's interrupts
    come to one of them."""
    os.sched_setaffinity(0, CPUS[:1])
    path = work / "bare"
    path.write_bytes(bytes(4096 * rounds))
    page = mmap.mmap(-1, 4096)
    file = os.open(path, os.O_WRONLY | os.O_DIRECT)
    os.fsync(file)
    took = []
    for number in range(rounds):
        begun = time.perf_counter()
        os.pwrite(file, page, number * 4096)
        os.fdatasync(file)
        took.append(time.perf_counter() - begun)
    os.close(file)
    path.unlink()
    os.sched_setaffinity(0, CPUS[-1:])
    return took


def puback(options, work):
    kinds = ["off", "group", "interval", "none"]
    for number in range(options.rounds):
        say(workload="puback", round=number, what="bare write and fdatasync", **quantiles(bare(work, 3000)))
        for kind in kinds[number % 4 :] + kinds[: number % 4]:
            broker = Broker(options.program, kind, work, options.port)
            broker.sessions(1, lambda _: "t")
            sock, took = broker.client("writer"), []
            blob = mqtt.publish("t", b"x" * 64, qos=1, packet_id=1)
            for _ in range(3000):
                begun = time.perf_counter()
                sock.sendall(blob)
                exactly(sock, 4)
                took.append(time.perf_counter() - begun)
            say(workload="puback", round=number, what=kind, **quantiles(took))
            broker.end()


def absent(options, work):
    for kind in options.kinds or ["off", "group", "mosquitto"]:
        broker = Broker(options.program, kind, work, options.port)
        sessions, messages = options.sessions, 100 if broker.is_ours else 10
        broker.sessions(sessions, lambda _: "a/b")
        sock = broker.client("writer")
        time.sleep(2)
        before = broker.cpu(), broker.resident(), broker.written(), time.monotonic()
        publish_all(sock, ["a/b"], b"x" * 64, messages, outstanding=16)
        wall = time.monotonic() - before[3]
        time.sleep(0.5)
        say(workload="absent", what=kind, sessions=sessions, messages=messages, ms_a_message=round(wall / messages * 1e3, 3),
            cpu_ns_a_delivery=round((broker.cpu() - before[0]) / messages / sessions * 1e9, 1),
            resident_bytes_a_message=(broker.resident() - before[1]) // messages, written_bytes_a_message=(broker.written() - before[2]) // messages)
        broker.end(signal.SIGKILL)


def round_trips(broker, seconds, watch=lambda: True):
    sock, took, end = broker.client("bystander"), [], time.monotonic() + seconds
    while time.monotonic() < end and watch():
        begun = time.perf_counter()
        sock.sendall(mqtt.PING)
        exactly(sock, 2)
        took.append(time.perf_counter() - begun)
        time.sleep(0.0005)
    return took


def checkpoint(options, work):
    """As much as makes a checkpoint due comes by messages to nobody's session that are retained, over and over."""
    broker = Broker(options.program, "group", work, options.port)
    broker.sessions(options.sessions, lambda _: "a/b")
    sock = broker.client("writer")
    before = broker.resident()
    publish_all(sock, ["a/b"], b"x" * 64, 200, outstanding=16)
    time.sleep(2)
    say(workload="checkpoint", what="resident memory of what waits", bytes=broker.resident() - before, sessions=options.sessions, messages=200)
    stats = broker.client("stats")
    stats.sendall(mqtt.subscribe(1, ["$SYS/broker/firehose/store/checkpoints"]))
    exactly(stats, 5)
    files = lambda: sum(file.stat().st_size for file in (broker.store / "firehose").iterdir())
    for number in range(options.rounds):
        # Churn of one retained message, with a pause so that a bystander's turn is not the publisher's.
        blob = b"".join(mqtt.publish("r", os.urandom(32_000), qos=1, packet_id=1 + one, retain=True) for one in range(4))
        stop = threading.Event()

        def churn():
            while not stop.is_set():
                sock.sendall(blob)
                exactly(sock, 16)
                time.sleep(0.004)

        quiet = round_trips(broker, 10)
        thread = threading.Thread(target=churn)
        seen = checkpoints(stats)
        thread.start()
        busy = round_trips(broker, 20)
        stop.set()
        thread.join()
        say(workload="checkpoint", round=number, what="round trips without anything", count=len(quiet), **quantiles(quiet))
        say(workload="checkpoint", round=number, what="round trips while retained messages come", checkpoints=checkpoints(stats) - seen, files_bytes=files(), count=len(busy), max_us=round(max(busy) * 1e6), **quantiles(busy))
    broker.end()


def checkpoints(stats):
    """The newest that is said of their number."""
    stats.settimeout(11)
    said = b""
    with contextlib.suppress(TimeoutError):
        while True:
            said += stats.recv(4096)
            if len(said) > 200:
                break
    tail = said.rsplit(b"checkpoints", 1)[-1] if b"checkpoints" in said else b"0"
    digits = bytes(byte for byte in tail[:8] if 48 <= byte <= 57)
    return int(digits or 0)


def recovery(options, work):
    messages = options.messages
    topics = [f"t/{number}" for number in range(100)]
    for kind in options.kinds or ["group", "mosquitto"]:
        broker = Broker(options.program, kind, work, options.port, cpus=CPUS)
        broker.sessions(100, lambda number: topics[number])
        begun = time.monotonic()
        publish_all(broker.client("writer"), topics, b"x" * 80, messages)
        loaded = time.monotonic() - begun
        broker.end()
        size = sum(file.stat().st_size for file in broker.store.rglob("*") if file.is_file())
        if options.before and broker.is_ours:
            interleaved(options, broker, size)
            continue
        for number in range(options.rounds):
            begun = time.monotonic()
            for file in broker.store.rglob("*"):
                if file.is_file() and size:
                    subprocess.run(["dd", f"if={file}", "of=/dev/null", "bs=1M", "iflag=direct", "status=none"], check=True)
            reading = time.monotonic() - begun
            os.sync()
            took = broker.start()
            cpu, resident = broker.cpu(), broker.resident()
            say(workload="recovery", what=kind, round=number, messages=messages, files_bytes=size, loading_s=round(loaded, 1), reading_files_s=round(reading, 2), start_s=round(took, 2), cpu_s=round(cpu, 2), resident_bytes=resident)
            broker.end(signal.SIGKILL if broker.is_ours else signal.SIGTERM)


def interleaved(options, broker, size):
    """Each program starts behind a copy of its own of the same files, of which the page cache has nothing, and once more behind what that
    start has written."""
    kept = broker.store.rename(broker.store.with_name("kept"))
    for number in range(options.rounds):
        for name, program in (("before", options.before), ("now", options.program)):
            shutil.rmtree(broker.store, ignore_errors=True)
            shutil.copytree(kept, broker.store)
            broker.command[0] = program
            for behind in ("a run", "a start"):
                forget(broker.store)
                took = broker.start()
                say(workload="recovery", what=broker.kind, program=name, behind=behind, round=number, messages=options.messages, files_bytes=size,
                    start_s=round(took, 2), cpu_s=round(broker.cpu(), 2), resident_bytes=broker.resident())
                broker.end(signal.SIGKILL)


def forget(folder):
    """What lies in a folder is on the disk, and not in the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def backlog(options, work):
    kinds = options.kinds or ["off", "group", "interval", "none", "mosquitto-autosave"]
    for number in range(options.rounds):
        begin = number % len(kinds)
        for kind in kinds[begin:] + kinds[:begin]:
            broker = Broker(options.program, kind, work, options.port)
            broker.sessions(100, lambda _: "a/b")
            sock, before, begun = broker.client("writer"), broker.cpu(), time.monotonic()
            publish_all(sock, ["a/b"], b"x" * 256, options.messages // 100, outstanding=1024)
            wall, used = time.monotonic() - begun, broker.cpu() - before
            broker.end(signal.SIGKILL)
            broker.start()
            left = 0
            with contextlib.suppress(OSError):
                left = count_left(broker, options.messages // 100)
            deliveries = options.messages
            say(workload="backlog", round=number, what=kind, sessions=100, messages=options.messages // 100, messages_a_second=round(options.messages / 100 / wall), cpu_ns_a_delivery=round(used / deliveries * 1e9, 1), left_after_kill=left)
            broker.end(signal.SIGKILL)


def count_left(broker, most):
    """How many of the messages of one session are there."""
    sock = socket.create_connection(("127.0.0.1", broker.port))
    sock.settimeout(3)
    sock.sendall(mqtt.connect("s0", clean=False))
    if not exactly(sock, 4)[2]:
        return 0
    one = len(mqtt.publish("a/b", b"x" * 256, qos=1, packet_id=1))
    got = 0
    with contextlib.suppress(TimeoutError):
        while got < most * one:
            got += len(sock.recv(1 << 18))
    return got // one


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    workloads = {one.__name__: one for one in (puback, absent, checkpoint, recovery, backlog)}
    parser.add_argument("workload", choices=workloads)
    parser.add_argument("--program", default=str(ROOT / "target/release/firehose"))
    parser.add_argument("--before", help="of recovery: another firehose, which starts by turns with the program")
    parser.add_argument("--port", type=int, default=21_100)
    parser.add_argument("--kinds", type=lambda text: text.split(","), help="only these brokers, where a workload has several")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=10_000_000, help="of recovery; of backlog deliveries")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        os.sched_setaffinity(0, CPUS[-1:])
        workloads[options.workload](options, pathlib.Path(work))


if __name__ == "__main__":
    main()
