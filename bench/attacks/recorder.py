"""What is written down while an attack runs: memory, CPU and counters several times a second, `$SYS` as it changes."""

import socket
import threading
import time

import mqtt

SAMPLE_S = 0.25
FILTERS = ["$SYS/broker/firehose/#", "$SYS/broker/clients/#", "$SYS/broker/messages/#", "$SYS/broker/publish/#",
           "$SYS/broker/retained messages/#", "$SYS/broker/subscriptions/#", "$SYS/broker/heap/#"]
RUNGS = (b"calm", b"trim", b"shrink", b"refuse", b"slow", b"drop", b"shed")  # of the ladder, as numbers from 0
LEFT_OUT = ("/shard/", "/load/", "/turn")


class Recorder(threading.Thread):
    """Samples until `finish`."""

    def __init__(self, group, broker, counts):
        super().__init__(daemon=True)
        self.group, self.broker, self.counts = group, broker, counts
        self.samples, self.phases, self.events = [], [], []
        self.ended = threading.Event()
        self.died = None
        self.sys = Sys(broker.port, self.ended)

    def run(self):
        self.sys.start()
        while not self.ended.wait(SAMPLE_S):
            self.sample()

    def sample(self):
        row = {"t": time.time(), **self.group.sample(), **self.broker.sample(), **self.counts.totals()}
        self.samples.append(row)
        if self.died is None and not self.broker.alive():
            self.died = row["t"]
            self.event(f"the broker is gone: {self.broker.cause}")

    def phase(self, name):
        """A part of the run begins."""
        self.phases.append([name, time.time()])

    def event(self, what):
        self.events.append([time.time(), what])

    def finish(self):
        self.sample()
        self.ended.set()
        self.join(5)
        self.sys.join(5)
        self.phases.append(["end", time.time()])

    def span(self, name):
        """(begin, end) of a phase; None where there was none."""
        for (phase, begin), (_, end) in zip(self.phases, self.phases[1:]):
            if phase == name:
                return begin, end
        return None

    def within(self, name, last=None):
        """Samples of a phase, or of its last seconds."""
        span = self.span(name)
        if span is None:
            return []
        begin = span[0] if last is None else max(span[0], span[1] - last)
        return [row for row in self.samples if begin <= row["t"] <= span[1]]


class Sys(threading.Thread):
    """Reads `$SYS`: numbers only, changes only. A broker that does not answer is asked again."""

    def __init__(self, port, ended):
        super().__init__(daemon=True)
        self.port, self.ended = port, ended
        self.latest, self.changes, self.connections = {}, [], 0

    def run(self):
        while not self.ended.is_set():
            try:
                self._read()
            except (OSError, mqtt.Malformed):
                pass
            self.ended.wait(1)

    def _read(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(mqtt.connect(f"attacks-record-{self.connections}") + mqtt.subscribe(1, FILTERS))
            self.connections += 1
            sock.settimeout(0.5)
            reader = mqtt.Reader()
            while not self.ended.is_set():
                try:
                    data = sock.recv(1 << 16)
                except TimeoutError:
                    continue
                if not data:
                    return
                self._note(packet for packet in reader.feed(data) if packet[0] >> 4 == mqtt.PUBLISH)

    def _note(self, packets):
        now, changed = round(time.time(), 1), {}
        for _, body in packets:
            end = 2 + int.from_bytes(body[:2], "big")
            name, raw = body[2:end].decode(errors="replace"), body[end:]
            if any(part in name for part in LEFT_OUT):
                continue
            try:
                value = RUNGS.index(raw) if raw in RUNGS else float(raw) if b"." in raw else int(raw)
            except ValueError:
                continue
            name = name.removeprefix("$SYS/broker/")
            if self.latest.get(name) != value:
                self.latest[name] = changed[name] = value
        if changed:
            self.changes.append([now, changed])

    def at(self, moment):
        """Values as they were last published before a moment."""
        values = {}
        for when, changed in self.changes:
            if when > moment:
                break
            values.update(changed)
        return values
