// What the broker is asked for, and what it has answered so far.

const PATIENCE_MS = 10000;

/** A refusal, with the broker's own words. */
export class Refused extends Error {
  constructor(status, text) {
    super(text.trim() || `HTTP ${status}`);
    this.status = status;
  }
}

/** Asks for something. Fails with `Refused`, or as fetch does. */
export async function ask(path, method = 'GET') {
  // What changes something may have to wait for a name and a password, which the browser asks for.
  const signal = method === 'GET' ? AbortSignal.timeout(PATIENCE_MS) : undefined;
  // Of the page's own address: that may have a name and a password in it, with which nothing can be fetched.
  const answer = await fetch(new URL(path, location.origin), { method, signal, headers: { Accept: 'application/json, text/plain' } });
  const text = await answer.text();
  if (!answer.ok) throw new Refused(answer.status, text);
  return (answer.headers.get('Content-Type') ?? '').startsWith('application/json') ? JSON.parse(text) : text.trim();
}

/** Asks again and again while somebody looks, never twice at once; rarer where the answer takes long. */
export class Poll {
  constructor(every, path, onAnswer, onFailure) {
    Object.assign(this, { every, path, onAnswer, onFailure, timer: null, isAsking: false, isWanted: false, isPaused: false });
    document.addEventListener('visibilitychange', () => this.now());
    this.now();
  }

  /** At once. */
  async now() {
    clearTimeout(this.timer);
    // What is under way may be about what was wanted before.
    this.isWanted = this.isAsking;
    if (this.isAsking || this.isPaused || document.hidden) return;
    this.isAsking = true;
    const began = performance.now();
    try {
      this.onAnswer(await ask(this.path()));
    } catch (failure) {
      this.onFailure(failure);
    }
    const took = performance.now() - began;
    this.isAsking = false;
    const pause = this.isWanted ? 0 : Math.max(this.every - took, 20 * took, 100);
    this.timer = setTimeout(() => this.now(), pause);
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    this.now();
  }
}

/** What `/api/v1/history` has told: points of a second, and of ten. */
export class History {
  constructor() {
    this.forget();
  }

  forget() {
    this.newest = null;
    this.started = null;
    this.bounds = [];
    this.seconds = { step: 1, points: [] };
    this.tens = { step: 10, points: [] };
    this.shards = 0;
  }

  /** What to ask for next: what has come since. */
  path() {
    return this.newest === null ? '/api/v1/history' : `/api/v1/history?after=${this.newest}`;
  }

  /** Takes an answer. Whether there is something new. */
  take(answer) {
    // It has started anew if it started later than we know, by more than a second and what answers take.
    const started = performance.now() / 1000 - answer.uptime_seconds;
    const isAnother = this.started !== null && started > this.started + 5;
    if (this.newest !== null && (answer.newest < this.newest || isAnother)) {
      this.forget();
      return false;
    }
    this.started = Math.min(this.started ?? started, started);
    const isNew = answer.newest !== this.newest;
    this.newest = answer.newest;
    this.bounds = answer.delivery_bounds_us;
    for (const [own, series, most] of [
      [this.seconds, answer.seconds, answer.seconds.capacity],
      [this.tens, answer.tens, answer.tens.capacity],
    ]) {
      const known = own.points.at(-1)?.end ?? -1;
      for (const point of pointsOf(series)) if (point.end > known) own.points.push(point);
      own.points.splice(0, Math.max(0, own.points.length - most));
    }
    this.shards = answer.seconds.shards.length;
    for (const point of [...this.seconds.points, ...this.tens.points]) point.age = this.newest - point.end;
    return isNew;
  }

  /** The newest second. */
  last() {
    return this.seconds.points.at(-1) ?? null;
  }
}

/** An answer has columns; here they are points. */
function pointsOf(series) {
  return series.columns.milliseconds.map((milliseconds, index) => {
    const point = { seconds: series.step_seconds, elapsed: milliseconds / 1000 };
    for (const [name, values] of Object.entries(series.columns)) point[name] = values[index];
    point.buckets = series.delivery[index];
    point.shards = series.shards.map((shard) => ({ busy: shard.busy_permille[index], p99: shard.turn_p99_us[index] }));
    return point;
  });
}

/** A column as things a second. */
export const perSecond = (name) => (point) => (point.elapsed > 0 ? point[name] / point.elapsed : null);
