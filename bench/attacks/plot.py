"""Line charts as SVG, without any library: panels above each other over one axis of time."""

from xml.sax.saxutils import escape

COLOURS = ("#1f6fb4", "#d9541e", "#2c9a4b", "#8e44ad", "#b8860b", "#607080", "#c2185b")
WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 960, 190, 80, 190, 46, 44
POINTS_MAX = 900


def nice(top):
    """A round number at or above `top`."""
    unit = 1.0
    while unit * 10 <= top:
        unit *= 10
    while unit > top and unit > 1e-9:
        unit /= 10
    for factor in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10):
        if unit * factor >= top:
            return unit * factor
    return top


def label(value):
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def thin(points):
    """At most so many points; of those that fall together the highest stays, so that peaks do."""
    if len(points) <= POINTS_MAX:
        return points
    step = -(-len(points) // POINTS_MAX)
    return [max(points[at : at + step], key=lambda point: point[1]) for at in range(0, len(points), step)]


def straight(points, off=0.15):
    """Points of a line on the page without those that lie on it anyway, to so many of its units."""
    kept, parts = {0, len(points) - 1}, [(0, len(points) - 1)] if points else []
    while parts:
        first, last = parts.pop()
        (x0, y0), (x1, y1) = points[first], points[last]
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
        distance = lambda at: abs((x1 - x0) * (points[at][1] - y0) - (y1 - y0) * (points[at][0] - x0)) / length
        worst = max(range(first + 1, last), key=distance, default=None)
        if worst is not None and distance(worst) > off:
            kept.add(worst)
            parts += [(first, worst), (worst, last)]
    return [point for at, point in enumerate(points) if at in kept]


def chart(title, panels, phases, begin, end):
    """SVG text. Panels are (title, [(name, [(t, value)])], [(name, level)] for dashed lines); phases (name, t)."""
    height = TOP + len(panels) * (PANEL + GAP) + 10
    inner = WIDTH - LEFT - RIGHT
    span = max(end - begin, 1e-9)
    x = lambda t: LEFT + (t - begin) / span * inner
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="11">',
           f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
           f'<text x="{LEFT}" y="18" font-size="14" font-weight="bold">{escape(title)}</text>']
    bottom = TOP + len(panels) * (PANEL + GAP) - GAP
    for at, (name, when) in enumerate(phases):
        until = phases[at + 1][1] if at + 1 < len(phases) else end
        if name == "attack":
            out.append(f'<rect x="{x(when):.1f}" y="{TOP}" width="{x(until) - x(when):.1f}" height="{bottom - TOP}" fill="#fdf0ea"/>')
        if name != "end":
            out.append(f'<line x1="{x(when):.1f}" x2="{x(when):.1f}" y1="{TOP}" y2="{bottom}" stroke="#bbb" stroke-dasharray="2 3"/>')
            out.append(f'<text x="{x(when) + 3:.1f}" y="{TOP - 6}" fill="#666">{escape(name)}</text>')
    for at, panel in enumerate(panels):
        out += _panel(panel, TOP + at * (PANEL + GAP), x, inner, begin, span)
    return "\n".join(out) + "\n</svg>\n"


def _panel(panel, top, x, inner, begin, span):
    title, series, levels = panel
    values = [value for _, points in series for _, value in points] + [level for _, level in levels]
    highest = nice(max(values, default=1) or 1)
    y = lambda value: top + PANEL - value / highest * PANEL
    out = [f'<text x="{LEFT}" y="{top + PANEL + 32}" fill="#444">{escape(title)}</text>']
    for step in range(5):
        value = highest * step / 4
        out.append(f'<line x1="{LEFT}" x2="{LEFT + inner}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#444">{label(round(value, 6))}</text>')
    for step in range(7):
        when = begin + span * step / 6
        out.append(f'<text x="{x(when):.1f}" y="{top + PANEL + 15}" text-anchor="middle" fill="#444">{span * step / 6:.0f} s</text>')
    for at, (name, points) in enumerate(series):
        colour = COLOURS[at % len(COLOURS)]
        path = " ".join(f"{at_x:.1f},{at_y:.1f}" for at_x, at_y in straight([(x(t), y(value)) for t, value in thin(points)]))
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.3" points="{path}"/>')
        out.append(f'<text x="{LEFT + inner + 10}" y="{top + 14 + 16 * at}" fill="{colour}">{escape(name)}</text>')
    for at, (name, level) in enumerate(levels):
        out.append(f'<line x1="{LEFT}" x2="{LEFT + inner}" y1="{y(level):.1f}" y2="{y(level):.1f}" stroke="#c00" stroke-dasharray="6 4"/>')
        out.append(f'<text x="{LEFT + inner - 4}" y="{y(level) - 4:.1f}" text-anchor="end" fill="#c00">{escape(name)}</text>')
    return out
