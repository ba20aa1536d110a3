"""All attacks, smaller, in random order from a seed, for hours; memory is compared between them. In a short run each once."""

import random
import time

from attacks import absent, announced, crowd, disagree, halves, hasty, mixed, names, retained, stalled, storm, strangers, subscriptions

NAME = "random"
SECONDS = 7200
SHARDS = 2
HEALTHY = (500, 20)
SCALE = 0.1  # of each attack's sizes
EACH_S = (20, 45)
REST_S = 15
CLEAN_S = 12  # for sessions that expire
LEVEL_S = 3
SHORT_REST_S = 2
LEVEL_FACTOR = 1.10
LEVEL_FLOOR = 32 << 20
DOORS = True
ATTACKS = (stalled, absent, crowd, retained, announced, storm, subscriptions, halves, hasty, disagree, mixed, names, strangers)
REFUSALS = ("refused", "dropped", "closed", "shed", "trimmed", "paused", "stalled", "errors", "expired")


class Part:
    """What an attack sees of the run when it is a part of it: its own length and size, and counters from now on."""

    def __init__(self, context, attack, seconds, seed):
        self._context, self.attack, self.seconds, self.seed = context, attack, seconds, seed
        self.scale = context.scale * SCALE
        self.counts = Since(context.counts)
        self.number = lambda full: max(1, int(full * self.scale))

    def __getattr__(self, name):
        return getattr(self._context, name)

    def phase(self, _name):
        pass

    def event(self, what):
        self._context.event(f"{self.attack.NAME}: {what}")


class Since:
    """Counters less what they were at the beginning of the part."""

    def __init__(self, counts):
        self.all, self.base = counts, counts.totals()

    def totals(self):
        return {name: value - self.base[name] for name, value in self.all.totals().items()}


def refusals(context):
    """Counters of `$SYS` that say what the broker did not do."""
    return {name: value for name, value in context.recorder.sys.latest.items() if any(word in name for word in REFUSALS)}


def pace(seconds):
    """Seconds that an attack lasts at least and at most, that follow it, and for sessions to expire."""
    if seconds >= 2 * len(ATTACKS) * EACH_S[0]:
        return EACH_S, REST_S, CLEAN_S
    each = max(5.0, seconds / len(ATTACKS) - SHORT_REST_S - LEVEL_S)
    return (0.8 * each, each), SHORT_REST_S, 0


def level(context):
    """The least memory of some seconds: what is really held."""
    rows = []
    for _ in range(10):
        rows.append({**context.group.sample(), **context.broker.sample()})
        time.sleep(LEVEL_S / 10)
    return {name: min(row.get(name, 0) for row in rows) for name in ("level", "rss", "kernel", "tcp")}


def run(context):
    chance = random.Random(context.seed)
    each, rest, clean = pace(context.seconds)
    until, levels, parts, order = time.monotonic() + context.seconds, [level(context)], [], []
    while context.broker.alive() and (until - time.monotonic() > each[0] or not parts):
        if not order:
            order = list(ATTACKS)
            chance.shuffle(order)
        attack, seconds = order.pop(), chance.uniform(*each)
        seconds = min(seconds, max(each[0], until - time.monotonic()))
        part = Part(context, attack, seconds, chance.randrange(1 << 30))
        context.event(f"{len(parts) + 1}: {attack.NAME} for {seconds:.0f} s")
        try:
            result = attack.run(part) or {}
        except OSError as error:
            result = {"interrupted": str(error)}
        for task in context.tasks:
            task.kill()
        context.tasks.clear()
        try:
            said = attack.checks(part, result)
        except (KeyError, TypeError, AttributeError) as error:
            said = [("the attack has a result", False, str(error))]
        context.sleep(rest + (clean if attack is absent else 0))
        levels.append(level(context))
        parts.append({"attack": attack.NAME, "seconds": round(seconds, 1), "checks": said, "level": levels[-1],
                      "refusals": refusals(context)})
        context.event(f"level {levels[-1]['level'] >> 20} MiB, resident {levels[-1]['rss'] >> 20} MiB")
    return {"parts": parts, "levels": levels}


def checks(_context, result):
    """No growth: the second half of the levels is not above the first half's highest (the first round warms up)."""
    levels = [one["level"] for one in result["levels"][1:]]
    half = len(levels) // 2
    told = ", ".join(f"{value >> 20}" for value in levels)
    if half < len(ATTACKS):
        grown = None
    else:
        grown = max(levels[half:]) <= max(max(levels[:half]) * LEVEL_FACTOR, max(levels[:half]) + LEVEL_FLOOR)
    names = [part["attack"] for part in result["parts"]]
    out = [("no growth between attacks", grown, f"MiB after each: {told} (at the start {result['levels'][0]['level'] >> 20})"),
           ("attacks", bool(names), ", ".join(names))]
    missed = [f"{number} {part['attack']}: {what} ({detail})" for number, part in enumerate(result["parts"], 1)
              for what, held, detail in part["checks"] if held is False]
    out.append(("what must hold of each attack held", not missed, "; ".join(missed) or f"in all {len(names)}"))
    last = result["parts"][-1]["refusals"] if result["parts"] else {}
    counted = {name: value for name, value in sorted(last.items()) if value}
    out.append(("refusals are counted", bool(counted), str(counted)))
    return out
