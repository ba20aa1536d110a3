// Traces: what a client sends and is sent, or what is published to topics, line by line, as long as somebody looks.

import { Refused } from './data.js';
import { at, bytes, count, el, say } from './words.js';

const LINES_MAX = 300;
/** Events that wait while nothing is drawn: the newest ones. */
const HELD_MAX = 300;
const AGAIN_MS = 1000;

const time = (event) => {
  const when = new Date(event.time_ms);
  return `${when.toTimeString().slice(0, 8)}.${String(when.getMilliseconds()).padStart(3, '0')}`;
};

const reason = (event) => (event.reason_code === undefined ? '' : `0x${event.reason_code.toString(16).padStart(2, '0')} ${event.reason}${event.session_present ? ', session present' : ''}`);

function message(event) {
  const flags = ['retain', 'dup'].filter((flag) => event[flag]).map((flag) => `, ${flag}`).join('');
  const head = `${event.topic ?? 'a topic that was not seen'}, QoS ${event.qos}${flags}, ${bytes(event.payload_bytes)}`;
  if (event.hidden) return `${head}, hidden by access rules`;
  const cut = event.payload_cut ? '…' : '';
  if (event.payload !== undefined) return `${head}: ${event.payload}${cut}`;
  return event.payload_base64 === undefined ? head : `${head}: base64 ${event.payload_base64}${cut}`;
}

function connect(event) {
  return [
    `MQTT ${event.protocol}`,
    event.clean_start ? 'clean start' : '',
    `keep alive ${event.keep_alive_seconds} s`,
    event.username === null ? '' : `user ${event.username}`,
    event.has_password ? 'a password' : '',
    event.will ? `will ${event.will.topic}, ${bytes(event.will.payload_bytes)}` : '',
  ].filter((part) => part !== '').join(', ');
}

function filters(event) {
  const all = event.filters.map((one) => (one.qos === undefined ? one.filter : `${one.filter} QoS ${one.qos}`));
  return [...all, ...(event.filters_left_out > 0 ? [`and ${event.filters_left_out} more`] : [])].join(', ');
}

function content(event) {
  switch (event.packet) {
    case 'CONNECT': return event.protocol ? connect(event) : '';
    case 'PUBLISH': return event.qos === undefined ? '' : message(event);
    case 'SUBSCRIBE': case 'UNSUBSCRIBE': return event.filters ? filters(event) : '';
    case 'SUBACK': case 'UNSUBACK': return (event.reason_codes ?? []).join(', ');
    default: return reason(event);
  }
}

function published(event) {
  const from = event.client ?? (event.from_shard === null ? 'the broker' : `shard ${event.from_shard}`);
  const outcome = event.refused ? `refused: ${reason(event)}` : `${count(event.matched)} match on shard ${event.shard}, ${count(event.sent)} sent${event.dropped > 0 ? `, ${count(event.dropped)} dropped` : ''}`;
  return ['from', from, `${message(event)} (${outcome})`];
}

/** Where an event goes, what it is, and what is in it. */
function parts(event) {
  const properties = event.properties === undefined ? '' : ` ${JSON.stringify(event.properties)}${event.properties_cut ? '…' : ''}`;
  switch (event.event) {
    case 'packet': return [event.direction, `${event.packet}${event.packet_identifier === undefined ? '' : ` ${event.packet_identifier}`}`, content(event) + properties];
    case 'publish': {
      const [direction, who, text] = published(event);
      return [direction, who, text + properties];
    }
    case 'malformed': return ['in', event.packet ?? 'bytes', `wrong, ${bytes(event.bytes)}: ${event.error}`];
    case 'end': return ['end', '', event.reason];
    case 'left_out': return ['', '', `${count(event.events)} more on shard ${event.shard} are not shown`];
    case 'gap': return ['', '', `what happened on shard ${event.shard} meanwhile is not known`];
    case 'missing_shards': return ['', '', event.shards.length > 0 ? `without shard ${event.shards.join(', ')}, which does not answer` : 'all shards answer'];
    default: return ['', '', event.event];
  }
}

/** Reads events until the answer ends. */
async function read(path, signal, onEvent) {
  const answer = await fetch(new URL(path, location.origin), { signal, headers: { Accept: 'text/event-stream' } });
  if (!answer.ok) throw new Refused(answer.status, await answer.text());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split('\n\n');
    text = blocks.pop();
    for (const block of blocks) if (block.startsWith('data: ')) onEvent(JSON.parse(block.slice(6)));
  }
}

export class Trace {
  constructor() {
    this.running = null;
    this.held = [];
    this.passed = 0;
    at('trace-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.begin();
    });
    at('trace-stop').addEventListener('click', () => this.stop('Stopped.'));
    at('trace-pause').addEventListener('click', () => this.pause(at('trace-pause').getAttribute('aria-pressed') !== 'true'));
    at('trace-clear').addEventListener('click', () => this.clear());
    addEventListener('pagehide', () => this.stop('The page is closed.'));
  }

  /** Of a client, from its row. */
  client(id) {
    at('trace-kind').value = 'client';
    at('trace-name').value = id;
    this.begin();
    at('trace-title').scrollIntoView({ block: 'start' });
    at('trace-stop').focus();
  }

  async begin() {
    this.stop('');
    this.clear();
    const running = { aborter: new AbortController(), number: null };
    this.running = running;
    at('trace-stop').disabled = false;
    this.pause(false);
    say(at('trace-status'), 'Asking …');
    const kind = at('trace-kind').value;
    const wanted = `/api/v1/trace?${kind}=${encodeURIComponent(at('trace-name').value)}&payload=${encodeURIComponent(at('trace-payload').value)}`;
    try {
      while (this.running === running) {
        const began = performance.now();
        const path = running.number === null ? wanted : `${wanted}&trace=${running.number}`;
        await read(path, running.aborter.signal, (event) => this.running === running && this.take(event));
        // The broker ends an answer after a while, and the trace goes on in the next one.
        if (performance.now() - began < AGAIN_MS) await new Promise((again) => setTimeout(again, AGAIN_MS));
      }
    } catch (failure) {
      if (this.running !== running) return;
      this.stop(failure instanceof Refused ? failure.message : 'The broker does not answer.');
    }
  }

  /** The broker forgets it some seconds after the last question. */
  stop(why) {
    // What is to be drawn has come before.
    if (this.drawing) this.draw();
    this.running?.aborter.abort();
    this.running = null;
    at('trace-stop').disabled = true;
    say(at('trace-status'), why);
  }

  pause(isPaused) {
    at('trace-pause').setAttribute('aria-pressed', String(isPaused));
    if (!isPaused) this.draw();
  }

  clear() {
    this.held = [];
    this.passed = 0;
    at('trace-lines').replaceChildren();
    say(at('trace-passed'), '');
  }

  take(event) {
    if (event.event === 'begin') {
      this.running.number = event.trace;
      const what = event.filter === undefined ? `client ${event.client}${event.connected ? '' : ', which is not connected'}` : `messages to ${event.filter}`;
      say(at('trace-status'), `Looking at ${what}.`);
      return;
    }
    this.held.push(event);
    if (this.held.length > HELD_MAX) {
      this.held.shift();
      this.passed += 1;
    }
    if (at('trace-pause').getAttribute('aria-pressed') === 'true') {
      say(at('trace-passed'), `${count(this.held.length)} wait${this.passed > 0 ? `, ${count(this.passed)} older ones are lost` : ''}.`);
    } else if (!this.drawing) {
      this.drawing = requestAnimationFrame(() => this.draw());
    }
  }

  draw() {
    if (this.drawing) cancelAnimationFrame(this.drawing);
    this.drawing = null;
    const list = at('trace-lines');
    // Who has scrolled up to read something is left there.
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(...this.held.map((event) => {
      const [direction, what, text] = parts(event);
      return el('li', { 'data-event': event.event, 'data-direction': direction }, el('time', {}, time(event)), el('b', {}, direction), el('strong', {}, what), el('span', {}, text));
    }));
    this.held = [];
    while (list.children.length > LINES_MAX) list.firstChild.remove();
    say(at('trace-passed'), this.passed > 0 ? `${count(this.passed)} were not drawn.` : '');
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }
}
