// The topic browser: a tree of what comes for a filter, by the viewer's own rights. Drawn a few times a second, and only where it
// is open, however much comes.

import { Connection, filterFault } from './mqtt.js';
import { at, bytes, count, el, rate, say } from './words.js';

const DRAW_MS = 250;
const TOPICS_MAX = 20000;
const CHILDREN_SHOWN = 500;
const LINE_LETTERS = 120;
/** Messages a second from which on the browser would do nothing else, for so many seconds in a row. */
const FLOOD = 50000;
const FLOOD_SECONDS = 3;

const strict = new TextDecoder('utf-8', { fatal: true });
// eslint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** A payload as text where it is text, else its bytes. */
export function shown(payload, isCut) {
  // What was cut may end within a letter.
  for (let cut = 0; cut < (isCut ? 4 : 1) && cut < payload.length; cut += 1) {
    try {
      const text = strict.decode(payload.subarray(0, payload.length - cut));
      if (!unprintable.test(text)) return text;
      break;
    } catch {
      // Not here.
    }
  }
  return Array.from(payload, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

class Node {
  constructor(name, path) {
    Object.assign(this, { name, path, children: new Map(), messages: 0, last: null, place: null, isDirty: true });
  }
}

export class Topics {
  constructor() {
    this.connection = null;
    this.chosen = null;
    this.forget();
    at('topics-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.begin();
    });
    at('topics-filter').addEventListener('input', () => this.judge());
    at('topics-stop').addEventListener('click', () => this.connection?.end('stopped'));
    at('topics-clear').addEventListener('click', () => {
      this.forget();
      this.draw();
    });
    addEventListener('pagehide', () => this.connection?.end('the page is closed'));
  }

  /** The websockets listeners that there are. */
  offer(listeners) {
    const own = listeners.filter((listener) => listener.protocol === 'websockets' && listener.port);
    const select = at('topics-listener');
    const wanted = own.map(({ port, tls }) => `${tls ? 'wss' : 'ws'}://${location.hostname}:${port}/mqtt`);
    if (wanted.join() !== [...select.options].map((option) => option.value).join()) {
      select.replaceChildren(...wanted.map((url) => el('option', { value: url }, url)));
    }
    at('topics-form').hidden = own.length === 0;
    at('topics-none').hidden = own.length > 0;
  }

  forget() {
    this.root = new Node('', '');
    this.all = 0;
    this.messages = 0;
    this.before = 0;
    this.passed = 0;
    this.chosen = null;
    at('topics-tree').replaceChildren();
    at('topics-detail').hidden = true;
  }

  /** Whether the filter is one; says so where it is not. */
  judge() {
    const field = at('topics-filter');
    const fault = filterFault(field.value || '#');
    field.setAttribute('aria-invalid', String(fault !== null));
    say(at('topics-fault'), fault === null ? '' : `This is no filter: ${fault}.`);
    return fault === null;
  }

  begin() {
    if (!this.judge()) {
      at('topics-filter').focus();
      return;
    }
    this.connection?.end('stopped');
    this.forget();
    const asked = { user: at('topics-user').value, password: at('topics-password').value, filter: at('topics-filter').value || '#' };
    say(at('topics-status'), 'Connecting …');
    at('topics-stop').disabled = false;
    let floods = 0;
    const drawing = setInterval(() => this.draw(), DRAW_MS);
    const counting = setInterval(() => {
      const now = this.messages - this.before;
      this.before = this.messages;
      say(at('topics-rate'), `${count(this.messages)} messages, ${rate(now)}, ${count(this.all)} topics${this.passed > 0 ? `; ${count(this.passed)} messages of more topics than ${count(TOPICS_MAX)}` : ''}`);
      floods = now > FLOOD ? floods + 1 : 0;
      if (floods >= FLOOD_SECONDS) this.connection.end(`stopped: more than ${count(FLOOD)} messages a second. Choose a narrower filter`);
    }, 1000);
    const on = {
      open: () => say(at('topics-status'), `Subscribed to ${asked.filter}.`),
      message: (message) => this.take(message),
      end: (why) => {
        clearInterval(drawing);
        clearInterval(counting);
        this.draw();
        at('topics-stop').disabled = true;
        say(at('topics-status'), `Ended: ${why}.`);
      },
    };
    try {
      this.connection = new Connection(at('topics-listener').value, asked, on);
    } catch (failure) {
      on.end(failure.message);
    }
  }

  take(message) {
    this.messages += 1;
    const levels = message.topic.split('/');
    let node = this.root;
    let path = '';
    for (const [depth, level] of levels.entries()) {
      path = depth === 0 ? level : `${path}/${level}`;
      let child = node.children.get(level);
      if (!child) {
        if (this.all >= TOPICS_MAX) {
          this.passed += 1;
          return;
        }
        child = new Node(level, path);
        node.children.set(level, child);
        node.isDirty = true;
        this.all += 1;
      }
      node = child;
      node.messages += 1;
      node.isDirty = true;
    }
    node.last = message;
  }

  draw() {
    this.drawChildren(this.root, at('topics-tree'));
    const { chosen } = this;
    if (!chosen?.last) return;
    const { payload, payloadBytes, isRetained } = chosen.last;
    const isCut = payload.length < payloadBytes;
    say(at('topics-detail-name'), chosen.path);
    say(at('topics-detail-facts'), `${count(chosen.messages)} messages, last ${bytes(payloadBytes)}${isRetained ? ', retained' : ''}${isCut ? `, the first ${bytes(payload.length)} of it:` : ':'}`);
    say(at('topics-detail-payload'), shown(payload, isCut));
  }

  /** Draws what is open below a node and has changed. */
  drawChildren(node, list) {
    if (!node.isDirty) return;
    node.isDirty = false;
    const names = [...node.children.keys()].sort().slice(0, CHILDREN_SHOWN);
    let next = list.firstChild;
    for (const name of names) {
      const child = node.children.get(name);
      child.place ??= this.place(child);
      if (child.place.item !== next) list.insertBefore(child.place.item, next);
      else next = next.nextSibling;
      this.drawNode(child);
    }
    const left = node.children.size - names.length;
    let more = list.lastElementChild?.classList.contains('more') ? list.lastElementChild : null;
    if (left > 0) {
      more ??= el('li', { class: 'more' });
      say(more, `and ${count(left)} more`);
      list.append(more);
    }
  }

  /** The elements of a node: made when it is first seen. */
  place(node) {
    const text = el('span', { class: 'payload' });
    const tally = el('span', { class: 'tally' });
    const name = el('span', { class: 'level' }, node.name === '' ? '(empty)' : node.name);
    const list = el('ul');
    const branch = el('details', {}, el('summary', { 'aria-label': `below ${node.path}` }));
    branch.append(list);
    branch.addEventListener('toggle', () => {
      node.isDirty = true;
      this.drawNode(node);
    });
    const button = el('button', { type: 'button', class: 'topic' }, name, tally, text);
    button.addEventListener('click', () => {
      this.chosen?.place.button.removeAttribute('aria-current');
      button.setAttribute('aria-current', 'true');
      this.chosen = node;
      at('topics-detail').hidden = !node.last;
      this.draw();
    });
    return { item: el('li', {}, button, branch), text, tally, list, branch, button };
  }

  drawNode(node) {
    const { text, tally, list, branch } = node.place;
    say(tally, count(node.messages));
    if (node.last) {
      const line = shown(node.last.payload.subarray(0, 2 * LINE_LETTERS), node.last.payloadBytes > 2 * LINE_LETTERS);
      say(text, line.length > LINE_LETTERS ? `${line.slice(0, LINE_LETTERS)}…` : line);
    }
    branch.hidden = node.children.size === 0;
    if (branch.open) this.drawChildren(node, list);
  }
}
