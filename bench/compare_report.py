"""What bench/compare writes about its measurements: targets, figures side by side with ratios, doubts."""

import statistics
from dataclasses import dataclass, field

FIGURES = """delivery_rate_per_s operations_per_s broker_cpu_ns_per_delivery broker_cpu_ns_per_operation latency_p50_ns
latency_p99_ns operation_p99_ns slip_p99_ns lost broker_rss_peak_bytes broker_bytes_per_connection
tester_cpu_ns_per_delivery""".split()

LIMITED = "†"


@dataclass(frozen=True)
class Target:
    """`broker`'s median of `metric` must be at most (or at least) `factor`, times that of `of` if there is one."""

    metric: str
    factor: float
    of: str
    at_least: bool
    broker: str

    def judge(self, median):
        """The measured figure that the factor is compared with, and whether it is good enough; None if not measured."""
        got, base = median(self.broker, self.metric), median(self.of, self.metric) if self.of else 1.0
        if got is None or not base:
            return None
        got /= base
        return got, (got >= self.factor if self.at_least else got <= self.factor)


class Medians:
    """Medians over the rounds of one load, of measurements that went well."""

    def __init__(self, load, results):
        self.runs = [result for result in results if result["row"] == load.name]

    def values(self, broker, metric):
        good = [run for run in self.runs if run["broker"] == broker and run.get("verified")]
        return [run[metric] for run in good if metric in run]

    def __call__(self, broker, metric):
        values = self.values(broker, metric)
        return statistics.median(values) if values else None


@dataclass
class Load:
    """A workload with its flags; `name` is what rows of results call it."""

    name: str
    text: str
    args: str
    seconds: float = 3.0
    warm_up: float = 1.0
    figures: list = field(default_factory=lambda: FIGURES)
    brokers: list = field(default_factory=list)
    targets: list = field(default_factory=list)

    def wanted(self, ours):
        return [target_of(table, ours) for table in self.targets]


def target_of(table, ours):
    """A target as it stands in the file: `figure`, `at_most` or `at_least`, and perhaps `of` and `broker`."""
    at_least = "at_least" in table
    factor = table["at_least" if at_least else "at_most"]
    return Target(table["figure"], factor, table.get("of", ""), at_least, table.get("broker", ours))


def scaled(value, units):
    size, unit = next(((size, unit) for size, unit in units if abs(value) >= size), units[-1])
    value /= size
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits}{unit}" if unit.startswith("/") else f"{digits} {unit}".strip()


def written(name, value):
    """A figure with the unit that its name has."""
    if "_ns" in name:
        return scaled(value, [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")])
    if "_bytes" in name:
        return scaled(value, [(2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")])
    if name == "tester_busy_max":
        return f"{value:.0%}"
    return scaled(value, [(1, "/s" if name.endswith("_per_s") else "")])


def label(name):
    """`latency_p99_ns` as people say it."""
    name = name.replace("_bytes_per_connection", "_memory_per_connection")
    for unit in ("_ns", "_per_s", "_bytes"):
        name = name.replace(unit, "")
    name = name.replace("_per_operation", " an operation").replace("_per_", " a ").replace("_", " ")
    return name.replace("cpu", "CPU").replace("rss", "RSS")


def cell(medians, broker, name):
    """`1.2 ms (1.1 ms to 1.4 ms)`, marked where the tester was the limit; why there is none, otherwise."""
    values = medians.values(broker, name)
    if not values:
        runs = [run for run in medians.runs if run["broker"] == broker]
        return "failed" if runs and not any(run.get("verified") for run in runs) else "-"
    text = written(name, medians(broker, name))
    if min(values) != max(values):
        text += f" ({written(name, min(values))} to {written(name, max(values))})"
    limited = any(run.get("tester_limits") for run in medians.runs if run["broker"] == broker)
    return text + (f" {LIMITED}" if limited else "")


def ratio(medians, ours, other, name):
    mine, theirs = medians(ours, name), medians(other, name)
    return f"{mine / theirs:.3g}×" if mine is not None and theirs else "-"


def targets(loads, results, ours):
    lines = []
    for load in loads:
        medians = Medians(load, results)
        for target in load.wanted(ours):
            judged = target.judge(medians)
            base = f"{target.of}'s" if target.of else ""
            bound = "at least" if target.at_least else "at most"
            amount = (lambda value: f"{value:.3g} × {base}") if base else (lambda value: written(target.metric, value))
            measured, met = ("-", "not measured") if judged is None else (amount(judged[0]), judged[1])
            met = {True: "yes", False: "**no**"}.get(met, met)
            wanted = f"{label(target.metric)} {bound} {amount(target.factor)}"
            lines.append(f"| {load.text} | {wanted} | {measured} | {met} |")
    return ["## Targets", "", "| load | to reach | measured | met |", "|---|---|---|---|", *lines, ""] if lines else []


def side_by_side(loads, results, ours):
    """A table for each group of brokers that were measured together."""
    lines, before = ["## Side by side", ""], None
    for load in loads:
        medians = Medians(load, results)
        brokers = sorted(dict.fromkeys(run["broker"] for run in medians.runs), key=lambda name: name != ours)
        others = [name for name in brokers if name != ours] if ours in brokers else []
        if brokers != before:
            before = brokers
            heads = ["load", "figure", *brokers, *(f"{ours} / {name}" for name in others)]
            lines += [""] if lines[-1] else []
            lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        text = load.text
        for name in load.figures:
            cells = [cell(medians, broker, name) for broker in brokers]
            # What no broker has is no figure of this load, unless that is because all of it failed.
            if all(one == "-" for one in cells) or (name != load.figures[0] and set(cells) <= {"-", "failed"}):
                continue
            cells += [ratio(medians, ours, other, name) for other in others]
            lines.append("| " + " | ".join([text, label(name), *cells]) + " |")
            text = ""
    return lines + [""]


def doubts(results):
    """Measurements that failed, that were not exact, and in which the tester was the limit."""
    lines = []
    for run in results:
        where = f"- {run['row']}, {run['broker']}, round {run['round']}"
        if "error" in run:
            lines.append(f"{where} failed: {' '.join(run['error'].split())}")
        elif not run["verified"]:
            lines.append(f"{where} is not in the medians: {'; '.join(run['failures'])}")
        elif run["tester_limits"]:
            lines.append(f"{where} {LIMITED} {'; '.join(run['tester_limits'])}")
    return ["## Doubts", "", *lines] if lines else ["Every measurement passed, and the tester was never the limit."]


def notes(results):
    """What the reports said beside, each text once with the loads, and the broker where not all of a load have it."""
    places, brokers = {}, {}
    for run in results:
        brokers.setdefault(run["row"], set()).add(run["broker"])
        for note in run.get("notes", []):
            places.setdefault(note, {}).setdefault(run["row"], set()).add(run["broker"])
    lines = []
    for note, rows in places.items():
        names = [row if who == brokers[row] else f"{row} with {' and '.join(sorted(who))}" for row, who in rows.items()]
        lines.append(f"- {', '.join(names)}: {note}")
    return ["", "## Notes of the reports", "", *lines] if lines else []


def readme(options, loads, results, ours):
    """The record's README.md."""
    times = sorted({f"{load.warm_up:g} s of warm-up and {load.seconds:g} s measured" for load in loads})
    lines = [
        f"# {options.name or options.set}",
        "",
        f"Medians of {options.rounds} interleaved rounds, in brackets the least and the most. Each measurement: a fresh"
        f" broker on CPU {options.broker_cpus}, the load on CPU {options.cpus}, {' or '.join(times)}. CPU is the broker"
        " process's own time, user and system.",
        "",
        f"The medians are of verified runs: what was sent arrived, once, to everyone. {LIMITED} marks figures of which at"
        " least one run says that the tester was the limit: such a rate is no broker's. [raw.jsonl](raw.jsonl) has each"
        " measurement, [machine.txt](machine.txt) the machine, [commands.txt](commands.txt) the command lines.",
        "",
    ]
    lines += targets(loads, results, ours) + side_by_side(loads, results, ours) + doubts(results) + notes(results)
    return "\n".join(lines) + "\n"
