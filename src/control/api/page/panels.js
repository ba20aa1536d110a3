// The panels: each is drawn from one answer of the API.

import { ask, Refused } from './data.js';
import { at, byteRate, bytes, count, el, micros, permille, rate, ratio, say, span, words } from './words.js';

/** What a broker does at each step of the ladder, in its order. */
const RUNGS = {
  calm: 'nothing',
  trim: 'gives free memory back',
  shrink: 'keeps less for what waits',
  refuse: 'refuses new clients',
  slow: 'slows publishers down',
  drop: 'drops what waits',
  shed: 'lets slow clients go',
};

/** Figures that say why somebody or something was refused, or let go. */
const REFUSALS = [
  ['connects_refused_login', 'CONNECT: failed login'],
  ['connects_refused_version', 'CONNECT: protocol version'],
  ['connects_refused_client_id', 'CONNECT: client identifier'],
  ['connects_refused_malformed', 'CONNECT: malformed'],
  ['connects_refused_busy', 'CONNECT: memory short, or too many'],
  ['connects_refused_other', 'CONNECT: another reason'],
  ['refused', 'connection: a limit was reached'],
  ['refused_by_address', '… of them too many of one address'],
  ['refused_for_memory', '… of them for want of memory'],
  ['handshakes_refused', 'TLS: too many handshakes'],
  ['transports_refused', 'TLS, WebSocket: memory short'],
  ['transport_failed', 'TLS, WebSocket: rules broken'],
  ['protocol_errors', 'closed: malformed or forbidden input'],
  ['stalled', 'closed: took no byte for too long'],
  ['clients_slow', 'closed: slow, by policy'],
  ['packets_refused', 'closed: no memory for a packet'],
  ['packets_too_slow', 'closed: a packet came too slowly'],
  ['shed', 'closed or emptied: memory short'],
  ['publish_denied', 'PUBLISH: no right'],
  ['publish_oversize', 'PUBLISH: payload too large'],
  ['topics_refused', 'PUBLISH: topic too long or deep'],
  ['subscriptions_refused', 'SUBSCRIBE: too many, long, deep or wide'],
  ['subscriptions_short', 'SUBSCRIBE: memory short'],
  ['retained_refused', 'retained: memory short'],
  ['backlog_refused', 'message for a session: memory short'],
  ['unkept_refused', 'the disk takes nothing more'],
];

const VERSIONS = [['5', 'MQTT 5'], ['3.1.1', 'MQTT 3.1.1'], ['3.1', 'MQTT 3.1']];
const TRANSPORTS = [
  ['mqtt', 'plain'],
  ['mqtts', 'TLS'],
  ['ws', 'WebSocket'],
  ['wss', 'WebSocket over TLS'],
];

/** A cell with a figure: its text is for people, `data-value` is what the API has. */
function figure(cell, value, text) {
  cell.dataset.value = value ?? '';
  say(cell, text);
}

/** Rows of a table, by key: those that stay keep their elements, and with them the focus. */
function rows(body, items, key, make, fill) {
  const old = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const wanted = items.map((item) => {
    const name = String(key(item));
    const row = old.get(name) ?? make(item);
    row.dataset.key = name;
    fill(row, item);
    return row;
  });
  const isSame = wanted.length === body.children.length && wanted.every((row, index) => body.children[index] === row);
  if (isSame) return;
  const focused = document.activeElement;
  body.replaceChildren(...wanted);
  if (body.contains(focused)) focused.focus();
}

const cells = (row, ...values) => values.forEach(([value, text], index) => figure(row.cells[index], value, text));
const rowOf = (count) => () => el('tr', {}, el('th', { scope: 'row' }), ...Array.from({ length: count }, () => el('td')));

function setBar(meter, share, text) {
  meter.firstChild.style.width = `${Math.min(100, Math.max(0, 100 * share))}%`;
  meter.classList.toggle('high', share >= 0.8);
  meter.setAttribute('aria-valuenow', Math.round(100 * Math.min(1, share)));
  meter.setAttribute('aria-valuetext', text);
}

const bar = (label) => el('div', { class: 'bar', role: 'meter', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100 }, el('div'));

/** Sums of the figures of all shards. */
function total(shards, name) {
  const values = shards.map((shard) => shard.figures[name]).filter((value) => value !== undefined);
  return values.length > 0 ? values.reduce((sum, value) => sum + value, 0) : null;
}

/** What happens now, from the newest second. */
export function drawNow(point) {
  const of = (name) => point[name] / point.elapsed;
  const [received, sent] = [of('publish_received'), of('publish_sent')];
  figure(at('now-in'), received, rate(received));
  figure(at('now-out'), sent, rate(sent));
  figure(at('now-ratio'), received > 0 ? sent / received : null, received > 0 ? ratio(sent / received) : '–');
  figure(at('now-bytes-in'), of('bytes_received'), byteRate(of('bytes_received')));
  figure(at('now-bytes-out'), of('bytes_sent'), byteRate(of('bytes_sent')));
  figure(at('now-dropped'), of('publish_dropped'), rate(of('publish_dropped')));
  at('now-dropped').classList.toggle('alarm', point.publish_dropped > 0);
  figure(at('now-connected'), point.clients_connected, count(point.clients_connected));
  figure(at('now-waiting'), point.outbound_bytes, bytes(point.outbound_bytes));
  figure(at('now-p50'), point.delivery_p50_us, micros(point.delivery_p50_us));
  figure(at('now-p99'), point.delivery_p99_us, micros(point.delivery_p99_us));
}

/** Each shard; rates are those between the last two answers. */
export class Shards {
  constructor() {
    this.before = new Map();
  }

  draw(shards, newest) {
    const now = performance.now();
    rows(at('shards-rows'), shards, (shard) => shard.shard, this.make, (row, { shard, figures }) => {
      const before = this.before.get(shard);
      const since = before ? (now - before.at) / 1000 : 0;
      const perSecond = (name) => (since > 0 ? Math.max(0, figures[name] - before.figures[name]) / since : null);
      const { busy, p99 } = newest?.shards[shard] ?? { busy: null, p99: null };
      figure(row.cells[0], shard, String(shard));
      const [meter, text] = row.cells[1].children;
      figure(text, busy, permille(busy));
      row.cells[1].dataset.value = busy ?? '';
      setBar(meter, (busy ?? 0) / 1000, permille(busy));
      figure(row.cells[2], p99, micros(p99));
      figure(row.cells[3], figures.connections, count(figures.connections));
      figure(row.cells[4], figures.publish_received, rate(perSecond('publish_received')));
      figure(row.cells[5], figures.publish_sent, rate(perSecond('publish_sent')));
      figure(row.cells[6], figures.outbound_bytes, bytes(figures.outbound_bytes));
      this.before.set(shard, { at: now, figures });
    });
  }

  make({ shard }) {
    const row = rowOf(6)();
    row.cells[1].append(bar(`Shard ${shard} busy`), el('span'));
    row.cells[1].classList.add('metered');
    return row;
  }
}

/** Connections by version and transport. */
export function drawConnections({ versions, transports }) {
  for (const [body, names, values] of [['versions-rows', VERSIONS, versions], ['transports-rows', TRANSPORTS, transports]]) {
    rows(at(body), names, ([name]) => name, rowOf(1), (row, [name, text]) => cells(row, [name, text], [values[name], count(values[name])]));
  }
}

/** The topics that are published to most, with how wrong the figures may be. */
export function drawBusiest(answer) {
  rows(at('busiest-rows'), answer.items, ({ topic }) => topic, rowOf(4), (row, one) => {
    const part = answer.messages_per_second > 0 ? one.messages_per_second / answer.messages_per_second : 0;
    const isExact = one.at_least === one.at_most;
    cells(
      row,
      [one.topic, one.topic],
      [one.messages_per_second, rate(one.messages_per_second)],
      [one.at_most, isExact ? 'exact' : `${rate(one.at_least)} – ${rate(one.at_most)}`],
      [part, permille(1000 * Math.min(1, part))],
      [one.payload_bytes_per_second, byteRate(one.payload_bytes_per_second)],
    );
  });
  at('busiest-none').hidden = answer.items.length > 0;
  const missing = answer.missing_shards;
  say(at('busiest-missing'), missing.length > 0 ? `Without shard ${missing.join(', ')}, which has not answered.` : '');
}

/** What was refused, and why. */
export function drawRefusals(shards) {
  const all = REFUSALS.map(([name, text]) => ({ name, text, value: total(shards, name) }));
  const some = all.filter(({ value }) => value > 0);
  rows(at('refusals-rows'), some, ({ name }) => name, rowOf(1), (row, { name, text, value }) => cells(row, [name, text], [value, count(value)]));
  at('refusals-none').hidden = some.length > 0;
}

/** The ladder, and the accounts with their limits. */
export function drawMemory(memory) {
  const names = Object.keys(RUNGS);
  rows(at('ladder'), names, (name) => name, () => el('li', {}, el('strong'), el('span')), (item, name) => {
    say(item.children[0], name);
    const rung = memory.rungs[name];
    say(item.children[1], ` ${RUNGS[name]}${rung?.entered > 0 && name !== 'calm' ? `; ${count(rung.entered)} times, ${span(rung.seconds)}` : ''}`);
    const isHere = name === memory.rung;
    item.classList.toggle('here', isHere);
    if (isHere) item.setAttribute('aria-current', 'step');
    else item.removeAttribute('aria-current');
  });
  at('ladder').dataset.value = memory.rung;
  const { used, limit, resident, permille: level } = memory.figures;
  figure(at('memory-used'), used, `${bytes(used)} of ${bytes(limit)} leased`);
  figure(at('memory-resident'), resident, `${bytes(resident)} resident`);
  figure(at('memory-level'), level, `${permille(level)} of the nearest limit`);
  const accounts = Object.entries(memory.accounts).filter(([, { limit: most, used: taken }]) => most > 0 || taken > 0);
  const make = ([name]) => {
    const row = rowOf(3)();
    row.cells[1].append(bar(`Account ${name}`));
    return row;
  };
  rows(at('accounts-rows'), accounts, ([name]) => name, make, (row, [name, account]) => {
    // A budget without a limit is told as a number that no memory has.
    const isBounded = account.limit < 2 ** 53;
    const most = isBounded ? bytes(account.limit) : 'no limit';
    say(row.cells[0], words(name));
    setBar(row.cells[1].firstChild, isBounded ? account.used / account.limit : 0, `${bytes(account.used)} of ${most}`);
    figure(row.cells[2], account.used, bytes(account.used));
    figure(row.cells[3], account.limit, most);
  });
}

const CLIENT_HEADINGS = ['', 'User', 'Address', 'Version', 'Bytes waiting', 'Messages', 'Nothing taken for', 'Policy'];

/** Those that have taken nothing for longest, or have most waiting. */
export function drawClients(answer, onDisconnect, onTrace) {
  const make = (client) => {
    const row = rowOf(8)();
    row.setAttribute('role', 'row');
    [...row.cells].forEach((cell, index) => {
      // Where the window is narrow a row is a card, which has no headings above it.
      cell.setAttribute('role', index === 0 ? 'rowheader' : 'cell');
      cell.dataset.label = CLIENT_HEADINGS[index] ?? '';
    });
    const button = el('button', { type: 'button' }, 'Disconnect');
    button.addEventListener('click', () => onDisconnect(client.client_id, button));
    const trace = el('button', { type: 'button' }, 'Trace');
    trace.addEventListener('click', () => onTrace(client.client_id));
    row.cells[8].append(button, ' ', trace);
    return row;
  };
  rows(at('clients-rows'), answer.items, ({ client_id: id }) => id, make, (row, client) => {
    cells(
      row,
      [client.client_id, client.client_id === '' ? '(empty)' : client.client_id],
      [client.username, client.username ?? '–'],
      [client.address, client.address ?? 'away'],
      [client.protocol, client.protocol ? `MQTT ${client.protocol}${[null, 'mqtt'].includes(client.transport) ? '' : `, ${client.transport}`}` : '–'],
      [client.bytes_waiting, bytes(client.bytes_waiting)],
      [client.messages_waiting, count(client.messages_waiting)],
      [client.lag_seconds, span(client.lag_seconds)],
      [client.slow_consumer_policy, client.slow_consumer_policy ?? '–'],
    );
    row.cells[8].firstChild.setAttribute('aria-label', `Disconnect ${client.client_id}`);
    row.cells[8].lastChild.setAttribute('aria-label', `Trace ${client.client_id}`);
  });
  at('clients-none').hidden = answer.items.length > 0;
  const missing = answer.missing_shards;
  const unfinished = answer.unfinished_shards ?? [];
  say(at('clients-missing'), [
    missing.length > 0 ? `Without shard ${missing.join(', ')}, which has not answered.` : '',
    unfinished.length > 0 ? `Shard ${unfinished.join(', ')} has more sessions than are looked at for one answer.` : '',
  ].join(' ').trim());
}

/** Asks first, then disconnects, and shows what has come of it. */
export function disconnectDialog() {
  const dialog = at('disconnect');
  let opener = null;
  let client = '';
  const told = (text) => say(at('clients-told'), text);
  at('disconnect-no').addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => opener?.isConnected && opener.focus());
  at('disconnect-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const ends = at('disconnect-session').checked;
    dialog.close();
    told(`${client}: …`);
    try {
      const done = await ask(`/api/v1/clients/${encodeURIComponent(client)}${ends ? '?end_session=true' : ''}`, 'DELETE');
      told(`${client}: ${done.was_connected ? 'disconnected' : 'was not connected'}${done.session_ended ? ', its session has ended' : ''}.`);
    } catch (failure) {
      const why = failure instanceof Refused && failure.status === 401 ? 'refused: only a user who may do that. Log in, or ask whoever looks after the broker' : failure.message;
      told(`${client}: ${why}.`);
    }
  });
  return (id, button) => {
    [client, opener] = [id, button];
    say(at('disconnect-client'), id);
    at('disconnect-session').checked = false;
    dialog.showModal();
  };
}

/** Listeners, with how long their certificates hold. */
export function drawListeners(listeners, certificates) {
  const named = listeners.map((listener, index) => ({ ...listener, index }));
  rows(at('listeners-rows'), named, ({ index }) => index, rowOf(4), (row, listener) => {
    const place = listener.port ?? listener.path;
    const own = certificates.filter((certificate) => certificate.listener === listener.index);
    const soonest = own.reduce((least, one) => Math.min(least, one.expires_in_seconds), Infinity);
    const ends = soonest === Infinity ? '–' : soonest <= 0 ? `expired ${span(-soonest)} ago` : `in ${span(soonest)}`;
    cells(
      row,
      [place, String(place)],
      [listener.protocol, listener.protocol],
      [listener.tls, listener.tls ? (listener.mtls ? 'yes, with client certificates' : 'yes') : 'no'],
      [listener.allow_anonymous, listener.allow_anonymous ? 'yes' : 'no'],
      [soonest === Infinity ? null : soonest, ends],
    );
    row.cells[4].classList.toggle('alarm', soonest < 14 * 86400);
    row.cells[4].title = own.map((one) => one.subject).join('\n');
  });
}

/** The store on the disk. */
export function drawStore(store) {
  figure(at('store-state'), store.state, store.state ?? 'nothing is kept');
  at('store-state').classList.toggle('alarm', store.state === 'full' || store.state === 'failed');
  const figures = Object.entries(store.figures);
  at('store-rows').parentElement.hidden = figures.length === 0;
  const text = (name, value) => (/(^|_)us$/.test(name) ? micros(value) : /bytes|free|size/.test(name) ? bytes(value) : count(value));
  rows(at('store-rows'), figures, ([name]) => name, rowOf(1), (row, [name, value]) => cells(row, [name, words(name.replace(/_us$/, ''))], [value, text(name, value)]));
}
