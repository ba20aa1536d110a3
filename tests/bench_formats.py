#!/usr/bin/env python3
"""Reads reports of `firehose bench` as foreign programs do, and checks that all formats say the same.

Usage: bench_formats.py FOLDER|FILE...

Files belong together by their name: a.json, a.hgrm, a.hlog, a.csv. The JSON is checked against bench/report.schema.json
(PyPI jsonschema), every histogram and the logs are read with PyPI hdrhistogram, and compared with the JSON. Exits with 0
and says `skipped` where these are not installed, but for CI, where that is an error.
"""

import bisect
import csv
import io
import json
import math
import os
import pathlib
import re
import sys

try:
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader
    from jsonschema import Draft202012Validator
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(0 if os.environ.get("CI", "false") == "false" else 1)

SCHEMA = pathlib.Path(__file__).resolve().parent.parent / "bench" / "report.schema.json"
VALUE_NS_MAX = 3_600_000_000_000
NS_PER_MS = 1e6
TICKS_PER_HALF_DISTANCE = 5
FORMATS = ("hgrm", "hlog", "csv")
QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}
LINE = re.compile(r" *(\d+\.\d{3}) ([01]\.\d{12}) +(\d+)(?: +(\d+\.\d{2}))?")
wrong = []


def check(condition, text):
    if not condition:
        wrong.append(text)


def close(a, b, share):
    return abs(a - b) <= share * max(abs(a), abs(b)) + 1


class Values:
    """What a histogram holds, in order. hdrhistogram has the same by an iterator, which is a hundred times slower."""

    def __init__(self, histogram):
        self.count = histogram.get_total_count()
        self.values = []
        seen = 0
        for index, count in enumerate(histogram.counts[:histogram.counts_len]):
            if count:
                seen += count
                value = histogram.get_value_from_index(index)
                self.values.append((histogram.get_highest_equivalent_value(value), seen))
        self.sums = [seen for _, seen in self.values]

    def mean(self):
        """As good as the width of the buckets, and fast too."""
        counts = (seen - before for seen, before in zip(self.sums, [0, *self.sums]))
        return sum(value * count for (value, _), count in zip(self.values, counts)) / max(self.count, 1)

    def at_rank(self, rank):
        return self.values[bisect.bisect_left(self.sums, min(max(rank, 1), self.count))]

    def at(self, quantile):
        """The values that may be it: q * n is not exact where it should be whole."""
        rank = quantile * self.count
        return {self.at_rank(math.ceil(rank - 1e-6))[0], self.at_rank(math.ceil(rank))[0]}


def empty(digits=3):
    return HdrHistogram(1, VALUE_NS_MAX, digits)


def distributions(value, at):
    """Every distribution in the JSON, with where it is."""
    if isinstance(value, dict):
        if "p9999" in value:
            yield at, value
        else:
            for name, inner in value.items():
                yield from distributions(inner, f"{at}/{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from distributions(inner, f"{at}/{number}")


def check_distribution(at, told):
    if not told["count"]:
        check("histogram" not in told and told["max"] == 0, f"{at}: of nothing, but not empty")
        return
    read = HdrHistogram.decode(told["histogram"])
    check(read.get_total_count() == told["count"], f"{at}: count {read.get_total_count()}")
    for name, value in [("min", read.get_min_value()), ("max", read.get_max_value())]:
        check(close(value, told[name], 1e-3), f"{at}: {name} {told[name]}, read {value}")
    check_values(at, told, Values(read))


def check_values(at, told, values):
    for name, quantile in QUANTILES.items() if told["count"] else []:
        read = values.at(quantile)
        check(told[name] in read, f"{at}: {name} {told[name]}, read {read}")
    check(close(values.mean(), told["mean"], 0.01), f"{at}: mean {told['mean']}, read {values.mean()}")


def check_json(name, report, whole):
    """Checks it all, or without the series, which the interval log repeats."""
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    for error in Draft202012Validator(schema).iter_errors(report):
        check(False, f"{name}: {error.json_path}: {error.message[:200]}")
    for at, told in distributions(report, name):
        if whole or "/series/" not in at:
            check_distribution(at, told)
    for figure, value in report["summary"].items():
        steps = [[s["verification"] for s in r["steps"]] for r in report["runs"]]
        if figure in ("lost", "duplicated", "reordered", "unexpected", "corrupt", "unacknowledged"):
            check(value in [sum(v[figure] for v in run) for run in steps], f"{name}: summary {figure} {value}")


def latency(report):
    """The name of the latency that the logs are of."""
    steps = [s["latency"] for r in report["runs"] for s in r["steps"]]
    delivered = any(s["delivery_ns"]["count"] for s in steps)
    return "delivery_ns" if delivered or not any(s["operation_ns"]["count"] for s in steps) else "operation_ns"


def check_hgrm(name, text, report):
    merged = empty()
    for step in (s for r in report["runs"] for s in r["steps"]):
        if step["latency"][latency(report)]["count"]:
            merged.add(HdrHistogram.decode(step["latency"][latency(report)]["histogram"]))
    lines = text.splitlines()
    check(lines[:2] == ["       Value     Percentile TotalCount 1/(1-Percentile)", ""], f"{name}: head {lines[:2]}")
    lines = [line for line in lines[2:] if not line.startswith("#")]
    rows = [LINE.fullmatch(line) for line in lines]
    check(all(rows), f"{name}: a line that is none")
    values = Values(merged)
    level = 0.0
    for last, row in [(row is rows[-1], row) for row in rows if row]:
        value, percentile, count, rest = row.groups()
        level = 1.0 if last else level
        at = f"{name}: {percentile}"
        check(abs(float(percentile) - level) < 1e-11, f"{at}: not {level}")
        # The first value that so many are at or below, and how many these are; the level is a sum, not exact.
        read = [values.at_rank(math.ceil(level * values.count + off)) for off in (-1e-6, 1e-6)]
        said = [(f"{v / NS_PER_MS:.3f}", str(seen)) for v, seen in read]
        check((value, count) in said, f"{at}: {value} ms, {count} values, read {said}")
        if last:
            check(rest is None, f"{at}: 1/(1-Percentile) of the last line")
        else:
            check(rest and close(float(rest), 1 / (1 - level), 1e-3), f"{at}: 1/(1-Percentile) {rest}")
            halvings = math.floor(math.log2(1 / (1 - level)) + 1e-12)
            level += 1 / (TICKS_PER_HALF_DISTANCE * 2 ** (halvings + 1))
    check(bool(rows) == bool(values.count), f"{name}: {len(rows)} lines")
    for label, value in [("Mean", merged.get_mean_value() / NS_PER_MS), ("Max", merged.get_max_value() / NS_PER_MS),
                         ("StdDeviation", merged.get_stddev() / NS_PER_MS), ("Total count", merged.get_total_count())]:
        found = re.search(rf"{label} *= *([\d.]+)[,\]]", text)
        check(found and close(float(found[1]), value, 0.01), f"{name}: {label} {found and found[1]}, read {value}")


def intervals(report):
    """Seconds since the start, length, whether it was measured, and distribution, as the log should have them."""
    begin = 0.0
    for run in report["runs"]:
        for step in run["steps"]:
            seconds = step["interval_s"] or 1.0
            end = step["series"][-1]["at_s"] + seconds if step["series"] else 0.0
            if latency(report) == "operation_ns":
                yield begin, end, True, step["latency"]["operation_ns"]
            else:
                for i in step["series"]:
                    yield begin + i["at_s"], seconds, i["measured"], i["latency_ns"]
            begin += end


def check_hlog(name, path, report):
    reader = HistogramLogReader(str(path), empty())
    started = None
    sums = {True: empty(), False: empty()}
    for number, (at, length, measured, told) in enumerate(intervals(report)):
        read = reader.get_next_interval_histogram()
        if read is None:
            check(False, f"{name}: ends after {number} intervals")
            return
        started = started or reader.get_start_time_sec()
        tag = read.get_tag() or ""
        where = f"{name}: interval {number}"
        check(measured != tag.endswith("unmeasured"), f"{where}: tag {tag!r}")
        begin = read.get_start_time_stamp() / 1000 - started
        check(abs(begin - at) < 0.002, f"{where}: starts at {begin}, not {at}")
        length_s = (read.get_end_time_stamp() - read.get_start_time_stamp()) / 1000
        check(abs(length_s - length) < 0.002, f"{where}: {length_s} s long, not {length}")
        check(read.get_total_count() == told["count"], f"{where}: {read.get_total_count()} values, not {told['count']}")
        check(close(read.get_max_value(), told["max"], 1e-3), f"{where}: max {read.get_max_value()}, not {told['max']}")
        check_values(where, told, Values(read))
        if told["count"]:
            sums[measured].add(read)
    check(reader.get_next_interval_histogram() is None, f"{name}: more intervals than in the JSON")
    # A second reader sums them all up, as a plotter does.
    whole = empty(2)
    reader = HistogramLogReader(str(path), empty())
    while reader.add_next_interval_histogram(whole) is not None:
        pass
    both = sum(s.get_total_count() for s in sums.values())
    check(whole.get_total_count() == both, f"{name}: {whole.get_total_count()} values in all, not {both}")


def check_csv(name, text, report):
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    told = [(r, s, step, i) for r, run in enumerate(report["runs"], 1) for s, step in enumerate(run["steps"], 1)
            for i in step["series"]]
    check(len(rows) == len(told), f"{name}: {len(rows)} rows for {len(told)} intervals")
    check(text.count("\n") == text.count("\r\n"), f"{name}: line ends")
    for number, (row, (r, s, step, i)) in enumerate(zip(rows, told), 2):
        at = f"{name}:{number}"
        check((row["run"], row["step_number"], row["step"]) == (str(r), str(s), step["name"]), f"{at}: {row}")
        check(row["measured"] == str(i["measured"]).lower() and float(row["at_s"]) == round(i["at_s"], 6), f"{at}: {row}")
        for label in ("published", "delivered", "published_bytes", "delivered_bytes"):
            check(int(row[label]) == i[label], f"{at}: {label} {row[label]}, not {i[label]}")
        rate = i["delivered"] / (step["interval_s"] or 1.0)
        check(abs(float(row["delivery_rate_per_s"]) - rate) < 1e-3, f"{at}: {row['delivery_rate_per_s']}, not {rate}")
        for label in ("p50", "p90", "p99", "p999", "max"):
            value = str(i["latency_ns"][label]) if i["latency_ns"]["count"] else ""
            check(row[f"latency_{label}_ns"] == value, f"{at}: {label} {row[f'latency_{label}_ns']}, not {value}")
        samples = report["runs"][r - 1]["samples"]
        known = [str(sample["rss_bytes"]) for sample in samples] or [""]
        check(row["broker_rss_bytes"] in known, f"{at}: memory {row['broker_rss_bytes']}")


def main(arguments):
    paths = []
    for argument in map(pathlib.Path, arguments):
        paths += sorted(argument.iterdir()) if argument.is_dir() else [argument]
    reports = [path for path in paths if path.suffix == ".json"]
    if not reports:
        print(__doc__, file=sys.stderr)
        return 2
    for path in reports:
        report = json.loads(path.read_text(encoding="utf-8"))
        check_json(path.name, report, path.with_suffix(".hlog") not in paths)
        found = []
        for ending in FORMATS:
            file = path.with_suffix(f".{ending}")
            if file not in paths:
                continue
            found.append(ending)
            with open(file, encoding="utf-8", newline="") as opened:
                text = opened.read()
            if ending == "hgrm":
                check_hgrm(file.name, text, report)
            elif ending == "hlog":
                check_hlog(file.name, file, report)
            else:
                check_csv(file.name, text, report)
        print(f"{path.name}: {', '.join(['json', *found])}")
    for text in wrong[:50]:
        print(f"wrong: {text}", file=sys.stderr)
    if wrong:
        print(f"{len(wrong)} wrong", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
