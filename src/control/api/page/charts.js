// Charts on canvas: lines over time, and a heat map of a histogram over time. A chart can be read point by point, with the mouse,
// a finger or the arrow keys; what stands there is told below it.

import { ago, micros, say } from './words.js';

const LEFT = 62;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;

/** The next number above that is 1, 2 or 5 times a power of ten. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 5, 10].find((step) => step * power >= value * 0.999999) ?? 10);
}

class Chart {
  /** `note` tells what stands at the cursor. */
  constructor(canvas, note) {
    this.canvas = canvas;
    this.note = note;
    this.points = [];
    this.span = 300;
    this.cursor = null;
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'img');
    canvas.addEventListener('pointermove', (event) => this.pointAt(event.offsetX));
    canvas.addEventListener('pointerdown', (event) => this.pointAt(event.offsetX));
    canvas.addEventListener('pointerleave', () => this.pointTo(null));
    canvas.addEventListener('blur', () => this.pointTo(null));
    canvas.addEventListener('keydown', (event) => this.onKey(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Shows other points, oldest first; each has its `age` in seconds. */
  show(points, span) {
    this.points = points;
    this.span = span;
    this.draw();
  }

  onKey(event) {
    const last = this.points.length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    const now = this.cursor === null ? last : this.points.findIndex((point) => point.end === this.cursor);
    let next;
    if (event.key in steps) next = Math.max(0, Math.min(last, (now < 0 ? last : now) + steps[event.key]));
    else if (event.key === 'Home') next = 0;
    else if (event.key === 'End') next = last;
    else if (event.key === 'Escape') return this.pointTo(null);
    else return;
    event.preventDefault();
    if (last >= 0) this.pointTo(this.points[next].end);
  }

  pointAt(x) {
    let best = null;
    for (const point of this.points) {
      if (best === null || Math.abs(this.x(point) - x) < Math.abs(this.x(best) - x)) best = point;
    }
    this.pointTo(best === null ? null : best.end);
  }

  pointTo(end) {
    this.cursor = end;
    this.draw();
  }

  x(point) {
    return LEFT + (1 - point.age / this.span) * (this.width - LEFT - RIGHT);
  }

  /** The colour that a custom property of the style has. */
  colour(name) {
    return this.style.getPropertyValue(name).trim() || '#888';
  }

  draw() {
    const { canvas } = this;
    const scale = window.devicePixelRatio || 1;
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    if (this.width < 80 || this.height < 60) return;
    canvas.width = Math.round(this.width * scale);
    canvas.height = Math.round(this.height * scale);
    this.style = getComputedStyle(canvas);
    const paint = canvas.getContext('2d');
    paint.setTransform(scale, 0, 0, scale, 0, 0);
    paint.font = '11px system-ui, sans-serif';
    paint.textBaseline = 'middle';
    this.paint(paint);
    this.paintTimes(paint);
    const point = this.points.find((one) => one.end === this.cursor);
    if (point) {
      paint.strokeStyle = this.colour('--text');
      paint.lineWidth = 1;
      paint.beginPath();
      paint.moveTo(Math.round(this.x(point)) + 0.5, TOP);
      paint.lineTo(Math.round(this.x(point)) + 0.5, this.height - BOTTOM);
      paint.stroke();
    }
    const told = point ?? this.points.at(-1);
    const text = told ? `${ago(Math.round(told.age))}: ${this.tell(told)}` : 'Nothing yet.';
    say(this.note, text);
  }

  paintTimes(paint) {
    const step = (this.span > 600 ? 600 : 60) * (this.width < 420 && this.span > 600 ? 2 : 1);
    paint.fillStyle = this.colour('--quiet');
    const room = (step / this.span) * (this.width - LEFT - RIGHT);
    for (let age = 0; age <= this.span; age += step) {
      // The first one stands beside its place, where the next one may stand already.
      if (age === this.span && room < 75) break;
      const x = this.x({ age });
      paint.textAlign = age === 0 ? 'right' : age === this.span ? 'left' : 'center';
      paint.fillText(ago(age), x, this.height - BOTTOM / 2);
    }
  }

  /** A line of the grid with its label. */
  rule(paint, y, text) {
    paint.strokeStyle = this.colour('--rule');
    paint.lineWidth = 1;
    paint.beginPath();
    paint.moveTo(LEFT, Math.round(y) + 0.5);
    paint.lineTo(this.width - RIGHT, Math.round(y) + 0.5);
    paint.stroke();
    paint.fillStyle = this.colour('--quiet');
    paint.textAlign = 'right';
    paint.fillText(text, LEFT - 6, y);
  }

  /** A line through all points that have a value; a gap in the times is a gap in the line. */
  line(paint, of, y, colour, dash = []) {
    paint.strokeStyle = colour;
    paint.lineWidth = 1.75;
    paint.lineJoin = 'round';
    paint.setLineDash(dash);
    paint.beginPath();
    let before = null;
    for (const point of this.points) {
      const value = of(point);
      if (value === null || value === undefined) {
        before = null;
        continue;
      }
      const isNext = before !== null && before.age - point.age < 3 * point.seconds;
      paint[isNext ? 'lineTo' : 'moveTo'](this.x(point), y(value));
      before = point;
    }
    paint.stroke();
    paint.setLineDash([]);
  }
}

/** Lines over time. A series has a name, the name of its colour, and a function from a point to its value or null. */
export class Lines extends Chart {
  constructor(canvas, note, series, format) {
    super(canvas, note);
    this.series = series;
    this.format = format;
    this.isLogarithmic = false;
  }

  /** The axis with its grid, up to a value: what makes a value a place. */
  axis(paint, most) {
    const tall = this.height - TOP - BOTTOM;
    if (this.isLogarithmic) {
      // From 1 on; what is less is at the bottom.
      const decades = Math.max(1, Math.ceil(Math.log10(Math.max(most, 1)) - 1e-9));
      const y = (value) => TOP + (1 - Math.log10(Math.max(value, 1)) / decades) * tall;
      const every = Math.ceil(decades / 5);
      for (let decade = 0; decade <= decades; decade += every) this.rule(paint, y(10 ** decade), `${decade === 0 ? '≤ ' : ''}${this.format(10 ** decade)}`);
      return y;
    }
    const step = nice(Math.max(most, 1) / 4);
    const top = step * Math.max(1, Math.ceil(most / step - 1e-9));
    const y = (value) => TOP + (1 - value / top) * tall;
    for (let value = 0; value <= top * 1.000001; value += step) this.rule(paint, y(value), this.format(value));
    return y;
  }

  paint(paint) {
    let most = 0;
    for (const point of this.points) for (const { of } of this.series) most = Math.max(most, of(point) ?? 0);
    const y = this.axis(paint, most);
    for (const { of, colour, dash } of this.series) this.line(paint, of, y, this.colour(colour), dash);
  }

  tell(point) {
    return this.series.map(({ name, of }) => `${name} ${this.format(of(point))}`).join(', ');
  }
}

/** How a histogram was filled over time, with lines for two of its quantiles. The axis is logarithmic, as the buckets are. */
export class Heat extends Chart {
  constructor(canvas, note) {
    super(canvas, note);
    this.bounds = [];
  }

  paint(paint) {
    const { bounds, points } = this;
    const isFull = (bucket) => points.some((point) => point.buckets[bucket] > 0);
    let low = 0;
    let high = bounds.length;
    while (low < high && !isFull(low)) low += 1;
    while (high > low && !isFull(high)) high -= 1;
    if (!isFull(low)) [low, high] = [0, Math.min(10, bounds.length)];
    // At least eight rows, so that one alone is no wall.
    while (high - low < 7 && (high < bounds.length || low > 0)) {
      if (high < bounds.length) high += 1;
      if (high - low < 7 && low > 0) low -= 1;
    }
    const rows = high - low + 1;
    const tall = (this.height - TOP - BOTTOM) / rows;
    const edge = (bucket) => this.height - BOTTOM - (bucket - low) * tall;
    paint.fillStyle = this.colour('--heat');
    for (const point of points) {
      const all = point.buckets.reduce((sum, value) => sum + value, 0);
      // Whole pixels: edges that overlap would be seen as stripes.
      const left = Math.max(LEFT, Math.round(this.x({ age: point.age + point.seconds })));
      const right = Math.max(left + 1, Math.round(this.x(point)));
      for (let bucket = low; bucket <= high; bucket += 1) {
        const share = (point.buckets[bucket] ?? 0) / all;
        if (!(share > 0)) continue;
        // From a thousandth of all on each ten times more is seen.
        paint.globalAlpha = Math.min(1, Math.max(0.08, 1 + Math.log10(share) / 3.3));
        paint.fillRect(left, Math.round(edge(bucket + 1)), right - left, Math.round(edge(bucket)) - Math.round(edge(bucket + 1)));
      }
    }
    paint.globalAlpha = 1;
    const every = Math.ceil(rows / Math.max(2, Math.floor((this.height - TOP - BOTTOM) / 22)));
    for (let bucket = low; bucket <= high; bucket += every) {
      if (bucket < bounds.length) this.rule(paint, edge(bucket + 1), micros(bounds[bucket]));
    }
    const y = (value) => {
      const place = Math.log2(Math.max(value, 1) / bounds[0]) + 1;
      return Math.max(TOP, Math.min(this.height - BOTTOM, edge(place)));
    };
    if (bounds.length > 0) {
      this.line(paint, (point) => point.delivery_p50_us, y, this.colour('--text'));
      this.line(paint, (point) => point.delivery_p99_us, y, this.colour('--bad'));
    }
  }

  tell(point) {
    return `half within ${micros(point.delivery_p50_us)}, 99 of 100 within ${micros(point.delivery_p99_us)}`;
  }
}
