// The page: what is asked for how often, and what is drawn from it.

import { Heat, Lines } from './charts.js';
import { ask, History, perSecond, Poll, Refused } from './data.js';
import * as panels from './panels.js';
import { Topics } from './topics.js';
import { Trace } from './trace.js';
import { at, byteRate, bytes, count, permille, rate, say, span } from './words.js';

const history = new History();
const shards = new panels.Shards();
const topics = new Topics();
const trace = new Trace();
let span_s = 300;

const charts = [
  new Lines(at('messages-chart'), at('messages-note'), [
    { name: 'out', colour: '--out', of: perSecond('publish_sent') },
    { name: 'in', colour: '--in', of: perSecond('publish_received') },
    { name: 'dropped', colour: '--bad', of: perSecond('publish_dropped'), dash: [4, 3] },
  ], rate),
  new Lines(at('bytes-chart'), at('bytes-note'), [
    { name: 'out', colour: '--out', of: perSecond('bytes_sent') },
    { name: 'in', colour: '--in', of: perSecond('bytes_received') },
  ], byteRate),
  new Lines(at('clients-chart'), at('clients-note'), [{ name: 'connected', colour: '--in', of: (point) => point.clients_connected }], count),
  new Lines(at('waiting-chart'), at('waiting-note'), [{ name: 'waiting', colour: '--out', of: (point) => point.outbound_bytes }], bytes),
  new Lines(at('busy-chart'), at('busy-note'), [
    { name: 'busiest shard', colour: '--out', of: (point) => most(point.shards.map(({ busy }) => busy)) },
  ], permille),
];
const heat = new Heat(at('delivery-chart'), at('delivery-note'));

const most = (values) => values.reduce((found, value) => (value === null || value < found ? found : value), null);

function drawCharts() {
  const points = (span_s > 300 ? history.tens.points : history.seconds.points).filter((point) => point.age <= span_s);
  heat.bounds = history.bounds;
  for (const chart of [...charts, heat]) chart.show(points, span_s);
}

// What could not be had, by panel: it is told there, and once above.
const failures = new Map();

function failed(name) {
  return (failure) => {
    failures.set(name, failure);
    const isRefusal = failure instanceof Refused;
    for (const place of document.querySelectorAll(`[data-of~="${name}"] .failure`)) {
      say(place, isRefusal ? failure.message : 'The broker does not answer.');
    }
    if (!isRefusal && name === 'history') say(at('trouble'), 'The broker does not answer. What is shown is old.');
    document.body.dataset.failed = [...failures.keys()].join(' ');
  };
}

function done(name) {
  failures.delete(name);
  for (const place of document.querySelectorAll(`[data-of~="${name}"] .failure`)) say(place, '');
  if (name === 'history') say(at('trouble'), '');
  document.body.dataset.failed = [...failures.keys()].join(' ');
  document.body.dataset[`has${name[0].toUpperCase()}${name.slice(1)}`] = 'yes';
}

/** Asks for something again and again. */
function poll(name, every, path, draw) {
  const taken = (answer) => {
    done(name);
    draw(answer);
  };
  return new Poll(every, typeof path === 'string' ? () => path : path, taken, failed(name));
}

const polls = [
  poll('history', 1000, () => history.path(), (answer) => {
    say(at('uptime'), `up ${span(answer.uptime_seconds)}`);
    if (!history.take(answer) || history.last() === null) return;
    panels.drawNow(history.last());
    drawCharts();
  }),
  poll('shards', 2000, '/api/v1/shards', (answer) => {
    shards.draw(answer.shards, history.last());
    panels.drawRefusals(answer.shards);
  }),
  poll('memory', 2000, '/api/v1/memory', (answer) => {
    panels.drawMemory(answer);
    say(at('rung'), answer.rung === 'calm' ? 'memory calm' : `memory short: ${answer.rung}`);
    at('rung').classList.toggle('alarm', answer.rung !== 'calm');
  }),
  poll('connections', 2000, '/api/v1/connections', panels.drawConnections),
  poll('busiest', 5000, '/api/v1/topics?limit=10', panels.drawBusiest),
  poll('store', 5000, '/api/v1/store', panels.drawStore),
];

const onDisconnect = panels.disconnectDialog();
// A look at all sessions: not every second.
const clients = poll('clients', 5000, () => `/api/v1/clients?limit=10&connected=true&sort=${at('clients-sort').value}`, (answer) => {
  panels.drawClients(answer, onDisconnect, (id) => trace.client(id));
});
polls.push(clients);
at('clients-sort').addEventListener('change', () => clients.now());
at('disconnect').addEventListener('close', () => setTimeout(() => clients.now(), 300));

polls.push(poll('listeners', 30000, '/api/v1/listeners', async ({ listeners }) => {
  topics.offer(listeners);
  let certificates = [];
  try {
    ({ certificates } = await ask('/api/v1/certificates'));
  } catch (failure) {
    failed('listeners')(failure);
  }
  panels.drawListeners(listeners, certificates);
}));

ask('/api/v1/version').then((version) => say(at('version'), version), () => {});

for (const button of document.querySelectorAll('[data-span]')) {
  button.addEventListener('click', () => {
    span_s = Number(button.dataset.span);
    for (const other of document.querySelectorAll('[data-span]')) other.setAttribute('aria-pressed', String(other === button));
    drawCharts();
  });
}

// What comes in and what goes out are far apart on a bus with many subscribers: a logarithmic axis shows both.
function setScale(isLogarithmic) {
  at('scale').setAttribute('aria-pressed', String(isLogarithmic));
  for (const chart of charts.slice(0, 2)) chart.isLogarithmic = isLogarithmic;
  drawCharts();
}

at('scale').addEventListener('click', () => setScale(at('scale').getAttribute('aria-pressed') !== 'true'));

at('pause').addEventListener('click', () => {
  const isPaused = at('pause').getAttribute('aria-pressed') !== 'true';
  at('pause').setAttribute('aria-pressed', String(isPaused));
  for (const one of polls) one.pause(isPaused);
});

// Light or dark: as the system has it, until somebody chooses.
const THEMES = ['auto', 'light', 'dark'];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  say(at('theme'), `Colours: ${theme}`);
  drawCharts();
}

function remembered() {
  try {
    return localStorage.getItem('theme');
  } catch {
    return null;
  }
}

at('theme').addEventListener('click', () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  try {
    localStorage.setItem('theme', next);
  } catch {
    // It holds until the page is closed.
  }
  setTheme(next);
});
setScale(true);
setTheme(THEMES.includes(remembered()) ? remembered() : 'auto');
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawCharts);
