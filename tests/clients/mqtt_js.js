// What MQTT.js does with a broker: `node mqtt_js.js PORT SCENARIO VERSION [QOS]`. Ends with 0 when everything that was
// due has come; with a message and 1 when not.
'use strict';

const assert = require('node:assert');
const mqtt = require(`${process.env.NODE_MODULES}/mqtt`);

const [port, scenario, version, qosText] = process.argv.slice(2);
const qos = Number(qosText || 0);
const v5 = version === '5';
const protocolVersion = { '3.1': 3, '3.1.1': 4, 5: 5 }[version];
const PATIENCE_MS = 20000;

/** A client with a queue of what comes. */
class Client {
  static async open(name, options = {}) {
    const client = new Client();
    client.messages = [];
    client.waiting = [];
    const all = {
      clientId: `js-${name}`,
      protocolVersion,
      protocolId: protocolVersion === 3 ? 'MQIsdp' : 'MQTT',
      reconnectPeriod: 0,
      ...options,
    };
    client.mqtt = mqtt.connect(`mqtt://127.0.0.1:${port}`, all);
    client.mqtt.on('message', (topic, payload, packet) => {
      const message = { topic, payload, packet };
      const taker = client.waiting.shift();
      if (taker) taker(message);
      else client.messages.push(message);
    });
    client.connack = await new Promise((resolve, reject) => {
      client.mqtt.once('connect', resolve);
      client.mqtt.once('error', reject);
    });
    return client;
  }

  subscribe(topic, options = { qos }) {
    return this.mqtt.subscribeAsync(topic, options);
  }

  publish(topic, payload, options = { qos }) {
    return this.mqtt.publishAsync(topic, payload, options);
  }

  next() {
    if (this.messages.length > 0) return Promise.resolve(this.messages.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('nothing came')), PATIENCE_MS);
      this.waiting.push((message) => {
        clearTimeout(timer);
        resolve(message);
      });
    });
  }

  async nothing() {
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.deepStrictEqual(this.messages.map((m) => m.topic), []);
  }

  close() {
    return this.mqtt.endAsync();
  }

  vanish() {
    this.mqtt.stream.destroy();
  }
}

const scenarios = {
  async round_trip() {
    const subscriber = await Client.open('sub');
    const publisher = await Client.open('pub');
    await subscriber.subscribe(`t/${version}/#`);
    // It does not keep to the broker's receive maximum (MQTT-3.3.4-7).
    const count = 200;
    const numbers = [...Array(count).keys()];
    await Promise.all(numbers.map((i) => publisher.publish(`t/${version}/${i % 3}`, `message ${i}`)));
    for (let n = 0; n < count; n += 1) {
      const { topic, payload, packet } = await subscriber.next();
      assert.strictEqual(payload.toString(), `message ${n}`);
      assert.strictEqual(topic, `t/${version}/${n % 3}`);
      assert.strictEqual(packet.qos, qos);
      assert.strictEqual(packet.retain, false);
    }
    await subscriber.nothing();
    await publisher.close();
    await subscriber.close();
  },

  async retained() {
    const publisher = await Client.open('pub');
    await publisher.publish(`kept/${version}`, 'state', { qos, retain: true });
    await publisher.subscribe('barrier', { qos: 1 });
    const subscriber = await Client.open('sub');
    await subscriber.subscribe(`kept/${version}`);
    const { payload, packet } = await subscriber.next();
    assert.strictEqual(payload.toString(), 'state');
    assert.strictEqual(packet.retain, true);
    await publisher.publish(`kept/${version}`, '', { qos, retain: true });
    assert.strictEqual((await subscriber.next()).payload.length, 0);
    const later = await Client.open('later');
    await later.subscribe(`kept/${version}`);
    await later.nothing();
    for (const client of [publisher, subscriber, later]) await client.close();
  },

  async will() {
    const subscriber = await Client.open('sub');
    await subscriber.subscribe('will/#');
    const will = (name) => ({ will: { topic: `will/${name}`, payload: Buffer.from('gone'), qos, retain: false } });
    (await Client.open('doomed', will('doomed'))).vanish();
    const { topic, payload, packet } = await subscriber.next();
    assert.deepStrictEqual([topic, payload.toString(), packet.qos], ['will/doomed', 'gone', qos]);
    await (await Client.open('polite', will('polite'))).close();
    await subscriber.nothing();
    await subscriber.close();
  },

  async properties() {
    // MQTT.js forgets the topic behind an alias when it releases a QoS 2 message.
    const subscriber = await Client.open('sub', { properties: { topicAliasMaximum: qos < 2 ? 5 : 0 } });
    const publisher = await Client.open('pub', { autoAssignTopicAlias: true });
    await subscriber.subscribe('props', { qos, properties: { subscriptionIdentifier: 77 } });
    const properties = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: 'answers/here',
      correlationData: Buffer.from([0, 1, 255]),
      messageExpiryInterval: 100,
      userProperties: { a: '2', b: ['1', '3'] },
    };
    for (let n = 0; n < 3; n += 1) {
      await publisher.publish('props', `${n}`, { qos, properties: { ...properties } });
      const { topic, payload, packet } = await subscriber.next();
      const got = packet.properties;
      assert.strictEqual(topic, 'props');
      assert.strictEqual(payload.toString(), `${n}`);
      assert.strictEqual(got.payloadFormatIndicator, true);
      assert.strictEqual(got.contentType, 'text/plain');
      assert.strictEqual(got.responseTopic, 'answers/here');
      assert.deepStrictEqual(got.correlationData, Buffer.from([0, 1, 255]));
      assert.ok(got.messageExpiryInterval >= 98 && got.messageExpiryInterval <= 100);
      assert.deepStrictEqual({ ...got.userProperties }, { a: '2', b: ['1', '3'] });
      assert.strictEqual(got.subscriptionIdentifier, 77);
    }
    await publisher.close();
    await subscriber.close();
  },

  async large() {
    const subscriber = await Client.open('sub');
    const publisher = await Client.open('pub');
    await subscriber.subscribe('large');
    const payload = Buffer.alloc(1024 * 1024, 'firehose');
    await Promise.all([1, 2, 3].map(() => publisher.publish('large', payload)));
    for (let n = 0; n < 3; n += 1) assert.ok((await subscriber.next()).payload.equals(payload));
    await publisher.close();
    await subscriber.close();
  },

  async shared() {
    const members = [];
    for (let n = 0; n < 3; n += 1) {
      members.push(await Client.open(`member-${n}`));
      await members[n].subscribe('$share/group/shared/#');
    }
    const publisher = await Client.open('pub');
    for (let n = 0; n < 30; n += 1) await publisher.publish(`shared/${n}`, `${n}`);
    const got = [];
    for (const member of members) {
      for (let n = 0; n < 10; n += 1) got.push(Number((await member.next()).payload.toString()));
      await member.nothing();
    }
    assert.deepStrictEqual(got.sort((a, b) => a - b), [...Array(30).keys()]);
    for (const client of [...members, publisher]) await client.close();
  },

  async session() {
    const options = { clean: false, properties: v5 ? { sessionExpiryInterval: 300 } : undefined };
    const name = `session-${version}`;
    const first = await Client.open(name, options);
    assert.ok(!first.connack.sessionPresent);
    await first.subscribe('later/#', { qos: 1 });
    await first.close();
    const publisher = await Client.open('pub');
    for (let n = 0; n < 10; n += 1) await publisher.publish('later/x', `${n}`, { qos: 1 });
    const again = await Client.open(name, options);
    assert.ok(again.connack.sessionPresent || version === '3.1');
    for (let n = 0; n < 10; n += 1) assert.strictEqual((await again.next()).payload.toString(), `${n}`);
    await again.nothing();
    await again.close();
    await publisher.close();
  },

  async publish() {
    const publisher = await Client.open('pub');
    await publisher.publish(`seen/js/${version}`, `from mqtt.js ${version}`);
    await publisher.close();
  },
};

setTimeout(() => {
  console.error('too slow');
  process.exit(3);
}, 60000);
scenarios[scenario]().then(() => process.exit(0), (error) => {
  console.error(`${scenario} ${version} qos ${qos}: ${error}`);
  process.exit(1);
});
