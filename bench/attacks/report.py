"""From what was recorded to a verdict: JSON and a picture for each run, and a table of all runs in a folder."""

import collections
import gzip
import json
import os
import platform
import time

import flows
import plot
from healthy import quantile

BACK_FACTOR = 1.10  # memory after an attack, times that before
BACK_FLOOR = 4 << 20  # what the kernel's slabs, and the allocator's caches of threads other than shards, come and go by
# A shard's heap keeps a page of 64 KiB for each size of blocks up to 10 KiB as long as one of that size lives (37 sizes: 2.3 MiB), and
# the first 4 KiB of each free block in the pages of larger sizes (24 sizes, one page each: 2.2 MiB). See perf/2026-11-29-heap.
BACK_SHARD = 4 << 20
CHARGED_SHARD = 1 << 20  # what a shard leases of the accounts, in pieces of 256 KiB, comes and goes by; and once more for all
LEVEL_S = 5  # seconds at the end of a phase that its level is taken from
MEMORY = "firehose/memory/"
LINES_MAX = 9
RATES = ("offered", "acked", "rejected", "received", "filters", "attempts", "refused")


def mib(value):
    return "-" if value is None else f"{value / 2**20:,.0f}"


def millis(micros):
    return "-" if micros is None else f"{micros / 1000:.2f}"


def level(rows, name):
    """The mean of a column, None of nothing."""
    values = [row[name] for row in rows if name in row]
    return sum(values) / len(values) if values else None


def latencies(context, phase):
    """Microseconds (p50, p99, p99.9, deliveries) of the healthy clients for what was due in a phase."""
    span = context.recorder.span(phase)
    merged = collections.Counter()
    if span:
        for second, counts in context.healthy_result.get("seconds", {}).items():
            if span[0] <= second and second + 1 <= span[1]:
                merged.update(counts)
    return {"p50": quantile(merged, 0.5), "p99": quantile(merged, 0.99), "p999": quantile(merged, 0.999),
            "deliveries": sum(merged.values())}


FLOWS = flows.check({"failed": "-"})[0]
SAFETY = ("alive", "within the limit", "healthy clients lose nothing", FLOWS)


def common_checks(context, facts):
    """What must hold whatever the attack."""
    recorder, healthy = context.recorder, context.healthy_result
    kills = max(row["oom_kills"] for row in recorder.samples)
    alive = context.recorder.died is None and kills == 0
    told = "yes" if alive else f"{context.broker.cause}, {kills} kills by the kernel"
    out = [("alive", alive, told)]
    hits = f"; the limit was hit {facts['limit_hits']} times" if facts["limit_hits"] else ""
    out.append(("within the limit", facts["peak"] <= context.limit,
                f"{mib(facts['peak'])} MiB at most of {mib(context.limit)}{hits}"))
    lost = healthy.get("failed") or f"{healthy.get('lost')} lost, {healthy.get('repeated')} repeated, " \
        f"{healthy.get('unpublished')} not taken, {len(healthy.get('closed', []))} closed, of {healthy.get('delivered'):,}"
    good = not healthy.get("failed") and not healthy.get("lost") and not healthy.get("repeated") \
        and not healthy.get("unpublished") and not healthy.get("closed")
    out.append(("healthy clients lose nothing", good, lost))
    if context.flows_result is not None:
        out.append(flows.check(context.flows_result))
    quiet, during = facts["latency"]["quiet"]["p99"], facts["latency"]["attack"]["p99"]
    factor = getattr(context.attack, "P99_FACTOR", None)
    floor = getattr(context.attack, "P99_FLOOR_US", 1000)
    shown = f"p99 {millis(quiet)} ms quiet, {millis(during)} ms in the attack, {millis(facts['latency']['after']['p99'])} ms after" \
        f" (the broker waited {facts['cpu_wait_s']['attack']} s for a CPU in the attack)"
    if factor:
        held = quiet is not None and during is not None and during <= max(factor * quiet, floor)
        out.append((f"healthy p99 within {factor} times the quiet one's", held, shown))
    else:
        out.append(("healthy p99 (no bound asked)", None, shown))
    if facts["rungs"]:
        out.append(("rungs of the ladder taken (how often)", None, ", ".join(f"{name} {n}" for name, n in facts["rungs"].items())))
    return out + (comes_back(context, facts) if alive else [("memory comes back", False, "the broker is gone")])


def comes_back(context, facts):
    """Whether memory after the attack is that of before: what is resident, by what the allocator keeps for each shard, and what the
    broker holds by its own account, of which no allocator keeps anything."""
    out = []
    shards = context.broker.shards if context.kind == "firehose" else 0
    before, after = facts["memory"]["before"], facts["memory"]["after"]
    if before and after:
        held = after <= max(before * BACK_FACTOR, before + BACK_FLOOR + shards * BACK_SHARD)
        out.append(("memory comes back", held, f"{mib(before)} MiB before, {mib(after)} after (resident "
                    f"{mib(facts['rss']['before'])}, {mib(facts['rss']['after'])})"))
    else:
        out.append(("memory comes back", False, "it is not known"))
    before, after = facts["charged"]["before"], facts["charged"]["after"]
    if before and after:
        held = after <= before + (shards + 1) * CHARGED_SHARD
        out.append(("what is held comes back", held, f"{before / 2**20:,.1f} MiB charged before, {after / 2**20:,.1f} after"))
    return out


def gather(context):
    """Figures that all runs have."""
    recorder = context.recorder
    samples = recorder.samples
    column = lambda name: max((row.get(name, 0) for row in samples), default=0)
    before, after = recorder.within("quiet", LEVEL_S), recorder.within("after", LEVEL_S)
    return {
        "peak": max(column("usage"), column("peak")), "rss_peak": column("rss"), "kernel_peak": column("kernel"), "tcp_peak": column("tcp"),
        "limit_hits": column("limit_hits"), "tcp_limit_hits": column("tcp_limit_hits"), "oom_kills": column("oom_kills"),
        "memory": {"before": level(before, "level"), "after": level(after, "level")},
        "charged": {"before": charged(recorder, "quiet"), "after": charged(recorder, "after")},
        "rss": {"before": level(before, "rss"), "after": level(after, "rss")},
        "tcp": {"before": level(before, "tcp"), "after": level(after, "tcp")},
        "kernel": {"before": level(before, "kernel"), "after": level(after, "kernel")},
        "latency": {phase: latencies(context, phase) for phase in ("quiet", "attack", "after")},
        "rungs": {name.split("/")[-2]: value for name, value in recorder.sys.latest.items()
                  if name.startswith(MEMORY + "rung/") and name.endswith("/entered") and value},
        "cpu_wait_s": {phase: waited(recorder.within(phase)) for phase in ("quiet", "attack", "after")},
        "died_after_s": recorder.died and round(recorder.died - (recorder.span("attack") or [recorder.died])[0], 1),
    }


def charged(recorder, phase):
    """What the broker says that it holds, at the end of a phase; None of one that says nothing."""
    span = recorder.span(phase)
    return recorder.sys.at(span[1]).get(MEMORY + "used") if span else None


def waited(rows):
    """Seconds in which the broker had work and no CPU: where this is much, latency says little about the broker."""
    values = [row["cpu_wait"] for row in rows if "cpu_wait" in row]
    return round(max(0.0, values[-1] - values[0]), 2) if values else None


def rate(samples, name):
    """A counter's rate over time, a second at a time."""
    points, last = [], None
    for row in samples:
        if last is None:
            last = row
        elif row["t"] - last["t"] >= 1 and name in row:
            points.append((row["t"], max(0, row[name] - last.get(name, 0)) / (row["t"] - last["t"])))
            last = row
    return points


def picture(context, title):
    recorder = context.recorder
    samples = recorder.samples
    line = lambda name: [(row["t"], row[name] / 2**20) for row in samples if name in row]
    memory = [("cgroup with TCP", line("usage")), ("resident", line("rss")), ("kernel", line("kernel")), ("TCP buffers", line("tcp"))]
    rates = [(name, rate(samples, name)) for name in RATES]
    rates = [(name, points) for name, points in rates if any(value for _, value in points)]
    seconds = sorted(context.healthy_result.get("seconds", {}).items())
    health = [("p50", [(second + 0.5, quantile(counts, 0.5) / 1000) for second, counts in seconds]),
              ("p99", [(second + 0.5, quantile(counts, 0.99) / 1000) for second, counts in seconds])]
    cpu = [("broker", rate(samples, "cpu")), ("broker waits for a CPU", rate(samples, "cpu_wait"))]
    panels = [("memory, MiB", memory, [("limit", context.limit / 2**20)]), ("attackers, a second", rates, []),
              ("healthy clients: latency, ms", health, []), ("CPUs busy", cpu, [])]
    panels[1:1] = _of_sys(recorder)
    phases = [phase for phase in recorder.phases if phase[0] != "start"]
    return plot.chart(title, panels, phases, samples[0]["t"], samples[-1]["t"])


def _of_sys(recorder):
    """Panels of what the broker says itself below firehose/memory/: bytes of the largest accounts, and its rung."""
    series = collections.defaultdict(list)
    for when, changed in recorder.sys.changes:
        for name, value in changed.items():
            if name.startswith(MEMORY):
                series[name.removeprefix(MEMORY)].append((when, value))
    for points in series.values():  # changes only are known: a level holds until the next
        points[1:] = [point for last, this in zip(points, points[1:]) for point in ((this[0], last[1]), this)]
        points.append((recorder.samples[-1]["t"], points[-1][1]))
    panels = []
    shown = lambda name: name == "used" or name.endswith("/used")
    bytes_held = {name.removesuffix("/used").removeprefix("account/"): points for name, points in series.items()
                  if shown(name) and max(value for _, value in points) > 1 << 20}
    largest = sorted(bytes_held, key=lambda name: -max(value for _, value in bytes_held[name]))[:LINES_MAX]
    if largest:
        panels.append(("the broker's own account (firehose/memory/), MiB",
                       [(name, [(t, value / 2**20) for t, value in bytes_held[name]]) for name in largest], []))
    if "rung" in series:
        panels.append(("rung of the ladder: trim 1, shrink 2, refuse 3, slow 4, drop 5, shed 6", [("rung", series["rung"])], []))
    return panels


def write(context, failure):
    """Writes the record of a run; whether everything that must hold did."""
    folder = context.folder
    title = f"{context.attack.NAME} against {context.kind}"
    record = {"attack": context.attack.NAME, "broker": context.kind, "failure": failure, "how": context.how,
              "limit": context.limit, "seconds": context.seconds, "scale": context.scale, "seed": context.seed,
              "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "kernel": platform.release(),
              "cpus": os.cpu_count(), "about": context.attack.__doc__.splitlines()[0]}
    checks = []
    if failure is None:
        facts = gather(context)
        checks = common_checks(context, facts) + _own_checks(context)
        healthy = dict(context.healthy_result)
        healthy.pop("seconds", None)
        record |= {"facts": facts, "healthy": healthy, "flows": context.flows_result, "result": context.result,
                   "end": context.broker.cause, "log": context.broker.tail(), "sys": context.recorder.sys.latest,
                   "sys_connections": context.recorder.sys.connections,
                   "phases": context.recorder.phases, "events": context.recorder.events}
        (folder / "plot.svg").write_text(picture(context, title))
        with gzip.open(folder / "samples.json.gz", "wt") as out:
            latency = {second: dict(counts) for second, counts in context.healthy_result.get("seconds", {}).items()}
            json.dump({"samples": context.recorder.samples, "sys": context.recorder.sys.changes, "latency_us_buckets": latency}, out)
    record["checks"] = [{"what": what, "held": held, "detail": detail} for what, held, detail in checks]
    counts = [held for what, held, _ in checks if what in SAFETY or not context.options.safety]
    record["held"] = failure is None and all(held is not False for held in counts)
    (folder / "result.json").write_text(json.dumps(record, indent=1) + "\n")
    for what, held, detail in checks:
        print(f"    {({True: 'held', False: 'FAILED', None: '-'})[held]:7} {what}: {detail}", flush=True)
    return record["held"]


def _own_checks(context):
    try:
        return context.attack.checks(context, context.result)
    except (KeyError, TypeError, AttributeError) as error:
        return [("the attack has a result", False, f"{type(error).__name__}: {error}")]


def summary(out):
    """README.md of all records in the folder."""
    records = [json.loads(path.read_text()) for path in sorted(out.glob("*/result.json"))]
    if not records:
        return
    first = records[0]
    text = ["# Attacks", "",
            f"Each run: a broker of its own in a memory cgroup of {mib(first['limit'])} MiB without swap ({first['how']}), "
            f"on CPU 0 (two shards on both), healthy clients and attackers on CPU 1 of {first['cpus']}; kernel {first['kernel']}. "
            "Memory is the cgroup's with TCP buffers. `result.json` has everything, `samples.json.gz` every sample.", "",
            "| attack | broker | must hold | attack for | peak MiB | resident, kernel, TCP MiB | memory before, after | healthy p99 ms: quiet, attack, after | lost of delivered |",
            "|---|---|---|---|---|---|---|---|---|"]
    for record in records:
        if record["failure"]:
            text.append(f"| {record['attack']} | {record['broker']} | **harness failed** | | | | | | |")
            continue
        facts, healthy = record["facts"], record["healthy"]
        p99 = ", ".join(millis(facts["latency"][phase]["p99"]) for phase in ("quiet", "attack", "after"))
        died = f"dead after {facts['died_after_s']} s: {record['end']}" if facts["died_after_s"] is not None else ""
        verdict = died or ("all held" if record["held"] else "not all")
        text.append(
            f"| [{record['attack']}]({record['attack']}-{record['broker']}/plot.svg) | {record['broker']} | "
            f"{'' if record['held'] else '**'}{verdict}{'' if record['held'] else '**'} | {record['seconds']:g} s | {mib(facts['peak'])} | "
            f"{mib(facts['rss_peak'])}, {mib(facts['kernel_peak'])}, {mib(facts['tcp_peak'])} | "
            f"{mib(facts['memory']['before'])}, {mib(facts['memory']['after'])} | {p99} | "
            f"{healthy.get('lost', '-')} of {healthy.get('delivered', 0):,} |")
    for record in records:
        text += ["", f"## {record['attack']} against {record['broker']}", "", record["about"], ""]
        if record["failure"]:
            text += ["```", record["failure"].strip().splitlines()[-1], "```"]
            continue
        text += ["| | held | |", "|---|---|---|"]
        for check in record["checks"]:
            held = {True: "yes", False: "**no**", None: "-"}[check["held"]]
            text.append(f"| {check['what']} | {held} | {check['detail']} |")
        text += ["", f"![Memory, rates, latency and CPU]({record['attack']}-{record['broker']}/plot.svg)"]
    (out / "README.md").write_text("\n".join(text) + "\n")
