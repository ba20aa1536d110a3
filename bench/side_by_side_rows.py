"""The loads of bench/side_by_side.py, and what is to be reached under each."""

from dataclasses import dataclass, field

MOSQUITTO, FIREHOSE, TWO_SHARDS, BARE = "mosquitto", "firehose", "firehose-2-shards", "bare"


@dataclass(frozen=True)
class Target:
    """`broker`'s median of `metric` must be at most (or at least) `factor`, times that of `of` if there is one."""

    metric: str
    factor: float
    of: str = ""
    at_least: bool = False
    broker: str = FIREHOSE

    def text(self):
        bound = "at least" if self.at_least else "at most"
        base = f" x {self.of}" if self.of else ""
        return f"{self.metric} {bound} {self.factor:,.4g}{base}"

    def judge(self, median):
        """The measured figure that the factor is compared with, and whether it is good enough; None if not measured."""
        got, base = median(self.broker, self.metric), median(self.of, self.metric) if self.of else 1.0
        if got is None or not base:
            return None
        got /= base
        return got, (got >= self.factor if self.at_least else got <= self.factor)


@dataclass(frozen=True)
class Row:
    name: str
    text: str
    load: str
    targets: list = field(default_factory=list)
    brokers: tuple = (MOSQUITTO, FIREHOSE)
    metrics: tuple = ("per_s", "cpu_ns_each")

    def wanted(self):
        return "; ".join(target.text() for target in self.targets)


def cpu(fraction_of_mosquitto):
    return Target("cpu_ns_each", fraction_of_mosquitto, MOSQUITTO)


PACED = ("cpu_ns_each", "p50_us", "p99_us", "p999_us", "send_lag_p99_us")
NO_WORSE = [cpu(1.0), Target("p99_us", 1.0, MOSQUITTO)]
FANOUT = "fanout --subs 1000 --payload 64"
FANOUT_KB = "fanout --subs 100 --payload 1024"


def rows():
    yield Row(
        "fanout-qos0-w512",
        "fan-out 1 → 1000, 64 B, QoS 0, 512 outstanding",
        f"{FANOUT} --qos 0 --window 512",
        [
            Target("per_s", 12e6, at_least=True),
            Target("cpu_ns_each", 70),
            Target("per_s", 100, MOSQUITTO, at_least=True),
        ],
    )
    yield Row(
        "fanout-qos0-w1",
        "the same, 1 outstanding, beside a bare loop of 1000 `send()` calls",
        f"{FANOUT} --qos 0 --window 1",
        [Target("cpu_ns_each", 1.15, BARE)],
        (MOSQUITTO, FIREHOSE, BARE),
    )
    for name, text, load in [("fanout-qos1", "1 → 1000, 64 B", FANOUT), ("fanout-kb-qos1", "1 → 100, 1 KiB", FANOUT_KB)]:
        for window in (64, 512):
            yield Row(
                f"{name}-w{window}",
                f"fan-out {text}, QoS 1, {window} outstanding",
                f"{load} --qos 1 --window {window}",
                [cpu(1 / 20)],
            )
    for qos in (0, 1, 2):
        yield Row(
            f"pairs-qos{qos}",
            f"50 pairs, 256 B, QoS {qos}, 64 outstanding a publisher",
            f"pairs --pairs 50 --payload 256 --qos {qos} --window 64",
            [cpu(1 / 20)],
        )
    yield Row(
        "fanin-qos0",
        "fan-in 100 → 1, 64 B, QoS 0, 64 outstanding a publisher",
        "fanin --pubs 100 --payload 64 --qos 0 --window 64",
        [cpu(1 / 10)],
    )
    yield Row(
        "shared-qos1",
        "100 → 4 in a shared group, 64 B, QoS 1, 64 outstanding a publisher",
        "shared --pubs 100 --subs 4 --payload 64 --qos 1 --window 64",
        [cpu(1 / 15)],
    )
    # 512 outstanding are 2.6 deliveries to each of these subscribers, 4096 are 20: what a send carries is what it costs.
    for topics, window in ((200, 512), (200, 4096), (5000, 512), (5000, 4096)):
        yield Row(
            f"filters-{topics}-w{window}",
            f"1000 subscribers, each with a filter of its own, {topics} topics, 64 B, QoS 0, {window} outstanding",
            f"filters --topics {topics} --payload 64 --qos 0 --window {window}",
            [cpu(1 / 8)],
        )
    yield Row(
        "paced-fanout",
        "open loop: fan-out 1 → 100, 64 B, QoS 1, 100 messages/s",
        "fanout --subs 100 --payload 64 --qos 1 --rate 100",
        NO_WORSE,
        metrics=PACED,
    )
    for name, rate, text in [("paced-pairs", 2000, "2000/s in all"), ("paced-pairs-each", 40_000, "2000/s each")]:
        yield Row(
            name,
            f"open loop: 20 pairs, 256 B, QoS 1, {text}",
            f"pairs --pairs 20 --payload 256 --qos 1 --rate {rate}",
            NO_WORSE,
            metrics=PACED,
        )
    yield Row("churn", "connect, subscribe, disconnect, 16 at a time", "churn --slots 16", [cpu(0.8)])
    yield Row(
        "idle",
        "15,000 idle connections, each with one subscription of its own",
        "idle --connections 15000",
        [Target("bytes_each", 400)],
        metrics=("bytes_each", "bytes_each_from_fresh", "cpu_ns_each"),
    )
    yield Row(
        "shards-qos0-w512",
        "2 shards instead of 1: fan-out 1 → 1000, 64 B, QoS 0, 512 outstanding",
        f"{FANOUT} --qos 0 --window 512",
        [Target("cpu_ns_each", 1.3, FIREHOSE, broker=TWO_SHARDS)],
        (FIREHOSE, TWO_SHARDS),
    )


ROWS = list(rows())
