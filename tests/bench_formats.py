#!/usr/bin/env python3
"""Reads reports of `firehose bench` as foreign programs do, and checks that all formats say the same.

Usage: bench_formats.py FOLDER|FILE...

Files belong together by their name: a.json, a.hgrm, a.hlog, a.csv. The JSON is checked against bench/report.schema.json
(PyPI jsonschema), every histogram and the logs are read with PyPI hdrhistogram, and compared with the JSON. Exits with 0
and says `skipped` where these are not installed, but for CI, where that is an error.
"""

import csv
import io
import json
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
# Two significant digits of an interval, three of everything else, and a neighbouring value at the border of a percentile.
CLOSE = {2: 0.025, 3: 0.0025}
FORMATS = ("hgrm", "hlog", "csv")
PERCENTILES = {"p50": 50, "p75": 75, "p90": 90, "p99": 99, "p999": 99.9, "p9999": 99.99}
LINE = re.compile(r" *(\d+\.\d{3}) ([01]\.\d{12}) +(\d+)(?: +(\d+\.\d{2}))?")
wrong = []


def check(condition, text):
    if not condition:
        wrong.append(text)


def close(a, b, share):
    return abs(a - b) <= share * max(abs(a), abs(b)) + 1


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
    share = CLOSE[read.significant_figures]
    check(read.get_total_count() == told["count"], f"{at}: count {read.get_total_count()}")
    for name, value in [("min", read.get_min_value()), ("max", read.get_max_value()), ("mean", read.get_mean_value())]:
        check(close(value, told[name], share), f"{at}: {name} {told[name]}, read {value}")
    check(close(read.get_stddev(), told["stddev"], 0.01), f"{at}: stddev {told['stddev']}, read {read.get_stddev()}")
    for name, percentile in PERCENTILES.items():
        value = read.get_value_at_percentile(percentile)
        check(close(value, told[name], share), f"{at}: {name} {told[name]}, read {value}")


def check_json(name, report):
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    for error in Draft202012Validator(schema).iter_errors(report):
        check(False, f"{name}: {error.json_path}: {error.message[:200]}")
    for at, told in distributions(report, name):
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
    theirs = io.BytesIO()
    merged.output_percentile_distribution(theirs, NS_PER_MS)
    theirs = theirs.getvalue().decode().splitlines()
    ours = text.splitlines()
    check(ours[:2] == theirs[:2], f"{name}: head {ours[:2]}")
    values = [LINE.fullmatch(line) for line in ours[2:] if not line.startswith("#")]
    check(all(values), f"{name}: a line that is none")
    values = [match.groups() for match in values if match]
    check(values == sorted(values, key=lambda v: (float(v[0]), float(v[1]), int(v[2]))), f"{name}: not in order")
    for value, percentile, count, rest in values:
        at = f"{name}: {percentile}"
        read = merged.get_value_at_percentile(float(percentile) * 100)
        check(close(float(value) * NS_PER_MS, read, CLOSE[3] + 0.0005e6 / max(read, 1)), f"{at}: {value} ms, read {read} ns")
        check(rest is None or close(float(rest), 1 / (1 - float(percentile)), 0.01), f"{at}: 1/(1-p) {rest}")
        check(int(count) <= merged.get_total_count(), f"{at}: count {count}")
    if values:
        check(values[-1][1:3] == ("1.000000000000", str(merged.get_total_count())), f"{name}: ends with {values[-1]}")
        check(values[-1][3] is None and all(v[3] for v in values[:-1]), f"{name}: 1/(1-Percentile)")
        same = sum(1 for line in ours if LINE.fullmatch(line) and line in theirs)
        check(same >= 0.9 * len(values), f"{name}: {same} of {len(values)} lines are as hdrhistogram writes them")
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
        share = CLOSE[read.significant_figures]
        for label in ("p50", "p99"):
            value = read.get_value_at_percentile(PERCENTILES[label])
            check(close(value, told[label], share), f"{where}: {label} {value}, not {told[label]}")
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
        check_json(path.name, report)
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
