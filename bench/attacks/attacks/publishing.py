"""Publishers that wait for acknowledgements and count them by reason code, at the broker's receive maximum."""

import time

import mqtt
from fleet import Fleet

WINDOW_MAX = 100


class Batches:
    """Connections that publish one batch after the other. `make(client, window)` gives the next batch as bytes with
    packet identifiers from 1 and how many messages that is, or None at the end."""

    def __init__(self, worker, name, connections, make, qos=1):
        self.worker, self.make, self.qos = worker, make, qos
        self.fleet = Fleet(worker)
        self.acks = {}
        self.missing = {}
        self.closed = 0
        self.on_batch = lambda client, codes: None
        self.name, self.connections = name, connections
        self.fleet.on_packet, self.fleet.on_close = self._packet, self._closed
        self.next_index = 0
        self.codes, self.kinds = {}, {}
        self.ended = False

    def _open(self):
        index = self.next_index
        self.next_index += 1
        return self.fleet.open(index, mqtt.connect(f"{self.name}-{self.worker.number}-{index}", mqtt.V5), mqtt.V5)

    def _closed(self, client):
        self.closed += 1
        self.missing.pop(client.index, None)

    def _begin(self, client):
        batch = self.make(client, min(client.maximum, WINDOW_MAX))
        if batch is None:
            self.missing.pop(client.index, None)
            self.ended = True
            return
        data, number = batch
        self.missing[client.index] = number
        self.codes[client.index] = set()
        self.worker.count("offered", number)
        self.fleet.send(client, data)

    def _packet(self, client, first, body):
        kind = first >> 4
        if kind == mqtt.DISCONNECT:
            self.kinds["DISCONNECT " + body[:1].hex()] = self.kinds.get("DISCONNECT " + body[:1].hex(), 0) + 1
        elif kind == mqtt.PUBREC and mqtt.reason(body) < 0x80:
            self.fleet.send(client, mqtt.ack(mqtt.PUBREL, int.from_bytes(body[:2], "big")))
        elif kind in (mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBCOMP):
            code = mqtt.reason(body)
            self.kinds[f"0x{code:02X}"] = self.kinds.get(f"0x{code:02X}", 0) + 1
            self.worker.count("rejected" if code >= 0x80 else "acked")
            self.codes[client.index].add(code)
            self.missing[client.index] -= 1
            if self.missing[client.index] == 0:
                self.on_batch(client, self.codes[client.index])
                self._begin(client)

    def run(self, until=lambda: False):
        """Goes on until `make` has no more, the worker's time is up, or `until()`."""
        self.fleet.on_ready = self._begin
        failures = 0
        while not self.worker.over and not until():
            if self.ended and not self.missing:
                break
            if not self.ended and len(self.fleet.by_fd) < self.connections:
                if self._open() is None:
                    failures += 1
                    time.sleep(0.1)
            self.fleet.turn(0.0 if len(self.fleet.by_fd) < self.connections and not self.ended else 0.1)
            if self.ended and not self.fleet.by_fd:
                break
        unanswered = sum(self.missing.values())
        self.fleet.close_all()
        return {"codes": self.kinds, "unanswered": unanswered, "closed": self.closed, "connects_failed": failures,
                "refusals": self.fleet.refusals}
