// MQTT 5 over WebSocket, as much of it as a reader of topics needs: CONNECT, SUBSCRIBE with QoS 0, PUBLISH as it comes, PINGREQ.
// A packet is read as its bytes come; of a long payload the first bytes are kept, and the rest is only counted.

const KEEP_ALIVE_S = 30;
const PAYLOAD_KEPT = 4096;
/** A topic has 65,535 bytes at most, properties may be as long as a packet: what is longer than this is passed over. */
const BODY_KEPT = 65536 + 65536 + PAYLOAD_KEPT;

const utf8 = new TextEncoder();
const text = new TextDecoder();

const REASONS = {
  0x80: 'unspecified error', 0x81: 'malformed packet', 0x82: 'protocol error', 0x84: 'unsupported protocol version',
  0x85: 'client identifier not valid', 0x86: 'bad user name or password', 0x87: 'not authorised', 0x88: 'server unavailable',
  0x89: 'server busy', 0x8b: 'server shutting down', 0x8d: 'keep alive timeout', 0x8e: 'session taken over', 0x8f: 'topic filter not valid',
  0x93: 'receive maximum exceeded', 0x95: 'packet too large', 0x97: 'quota exceeded', 0x98: 'administrative action', 0x9e: 'shared subscriptions not supported',
  0xa2: 'wildcard subscriptions not supported',
};

const reason = (code) => REASONS[code] ?? `reason code 0x${code.toString(16)}`;

function length(value) {
  const out = [];
  do {
    const rest = value >>> 7;
    out.push((value & 127) | (rest > 0 ? 128 : 0));
    value = rest;
  } while (value > 0);
  return out;
}

function string(value) {
  const encoded = utf8.encode(value);
  if (encoded.length > 65535) throw new Error('too long');
  return [encoded.length >> 8, encoded.length & 255, ...encoded];
}

const packet = (head, body) => new Uint8Array([head, ...length(body.length), ...body]);

function connect(id, user, password) {
  const flags = 2 | (user === '' ? 0 : 128) | (password === '' ? 0 : 64);
  const who = [...(user === '' ? [] : string(user)), ...(password === '' ? [] : string(password))];
  return packet(0x10, [...string('MQTT'), 5, flags, 0, KEEP_ALIVE_S, 0, ...string(id), ...who]);
}

/** Why no broker takes this filter (MQTT 5, 4.7), or null. */
export function filterFault(filter) {
  const [first, share, ...rest] = filter.split('/');
  const isShared = first === '$share';
  if (filter === '' || (isShared && rest.join('/') === '')) return 'a filter has at least one character';
  if (isShared && /^$|[+#]/.test(share)) return 'the name of a share has no wildcard in it, and is not empty';
  if (utf8.encode(filter).length > 65535) return 'it is longer than 65,535 bytes';
  // eslint-disable-next-line no-control-regex
  if (/\u0000|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(filter)) return 'it has a character that MQTT does not allow';
  const levels = isShared ? rest : filter.split('/');
  if (levels.some((level, index) => level.includes('#') && (level !== '#' || index < levels.length - 1))) return '# stands alone, as the last level';
  if (levels.some((level) => level.includes('+') && level !== '+')) return '+ stands alone in its level';
  return null;
}

const subscribe = (filter) => packet(0x82, [0, 1, 0, ...string(filter), 0]);

/** Where properties end that begin at `at`. */
function behindProperties(body, at) {
  let size = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = body[at];
    at += 1;
    size += (byte & 127) << shift;
    if (byte < 128) return at + size;
  }
  throw new Error('malformed');
}

/** Cuts bytes into packets. `onPacket` is told the first byte, what is kept of the body, and how long it was. */
export class Cutter {
  constructor(onPacket) {
    this.onPacket = onPacket;
    this.begin();
  }

  begin() {
    Object.assign(this, { head: -1, size: 0, shift: 0, isSized: false, body: null, have: 0 });
  }

  push(bytes) {
    let at = 0;
    while (at < bytes.length || (this.isSized && this.have === this.size)) {
      if (this.head < 0) {
        this.head = bytes[at];
        at += 1;
      } else if (!this.isSized) {
        const byte = bytes[at];
        at += 1;
        this.size += (byte & 127) << this.shift;
        this.shift += 7;
        if (byte > 127 && this.shift > 21) throw new Error('the broker sends no MQTT');
        this.isSized = byte < 128;
      } else if (this.have < this.size) {
        const piece = bytes.subarray(at, at + this.size - this.have);
        // Whole packets are not copied.
        if (piece.length === this.size) this.body = piece;
        else {
          this.body ??= new Uint8Array(Math.min(this.size, BODY_KEPT));
          if (this.have < this.body.length) this.body.set(piece.subarray(0, this.body.length - this.have), this.have);
        }
        at += piece.length;
        this.have += piece.length;
      } else {
        const { head, body, size } = this;
        this.begin();
        this.onPacket(head, body ?? new Uint8Array(0), size);
      }
    }
  }
}

/** What a PUBLISH says, or null if its topic is not among what is kept. */
export function publish(head, body, size) {
  const topicEnd = 2 + (body[0] << 8) + body[1];
  const start = behindProperties(body, topicEnd + ((head >> 1) & 3 ? 2 : 0));
  if (start > size) throw new Error('malformed');
  return {
    topic: text.decode(body.subarray(2, topicEnd)),
    // A copy: the bytes around it would be kept else.
    payload: body.slice(start, start + PAYLOAD_KEPT),
    payloadBytes: size - start,
    isRetained: (head & 1) === 1,
  };
}

/** A connection. `on` has `open`, `message` and `end`, which is told why. */
export class Connection {
  constructor(url, { user, password, filter }, on) {
    Object.assign(this, { on, isOver: false, pings: null, awaits: 0 });
    const id = `firehose-page-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;
    this.socket = new WebSocket(url, ['mqtt']);
    this.socket.binaryType = 'arraybuffer';
    this.cutter = new Cutter((head, body, size) => this.packet(head, body, size, filter));
    this.socket.onopen = () => this.socket.send(connect(id, user, password));
    this.socket.onmessage = ({ data }) => {
      try {
        if (!this.isOver) this.cutter.push(new Uint8Array(data));
      } catch (failure) {
        this.end(failure.message);
      }
    };
    this.socket.onclose = () => this.end('the connection is closed');
  }

  packet(head, body, size, filter) {
    switch (head >> 4) {
      case 2:
        if (body[1] !== 0) return this.end(`refused: ${reason(body[1])}`);
        this.socket.send(subscribe(filter));
        this.pings = setInterval(() => this.ping(), (KEEP_ALIVE_S * 1000) / 2);
        return undefined;
      case 3:
        return this.on.message(publish(head, body, size));
      case 9: {
        const code = body.at(-1);
        return code < 0x80 ? this.on.open() : this.end(`the filter is refused: ${reason(code)}`);
      }
      case 13:
        this.awaits = 0;
        return undefined;
      case 14:
        return this.end(`disconnected: ${size > 0 ? reason(body[0]) : 'by the broker'}`);
      default:
        return undefined;
    }
  }

  ping() {
    if (this.awaits >= 2) return this.end('the broker does not answer');
    this.awaits += 1;
    return this.socket.send(new Uint8Array([0xc0, 0]));
  }

  /** Ends it, once. */
  end(why) {
    if (this.isOver) return;
    this.isOver = true;
    clearInterval(this.pings);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(new Uint8Array([0xe0, 0]));
    this.socket.close();
    this.on.end(why);
  }
}
