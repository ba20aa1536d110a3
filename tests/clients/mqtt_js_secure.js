// MQTT.js over ws and wss: mqtt_js_secure.js CA WS WSS
const path = require('path');
const fs = require('fs');
const mqtt = require(path.join(process.env.NODE_MODULES, 'mqtt'));

const [ca, ws, wss] = process.argv.slice(2);
const fail = (text) => { console.error(text); process.exit(1); };
setTimeout(() => fail('in time'), 20000);

async function main() {
  const options = { username: 'infra', password: 'secret', reconnectPeriod: 0, ca: fs.readFileSync(ca) };
  const clients = [
    await mqtt.connectAsync(`ws://localhost:${ws}/mqtt`, options),
    await mqtt.connectAsync(`wss://localhost:${wss}/mqtt`, { ...options, protocolVersion: 5 }),
  ];
  const arrived = [];
  for (const client of clients) {
    client.on('message', (topic, payload) => arrived.push(payload.length));
    await client.subscribeAsync('js/#', { qos: 1 });
  }
  for (const client of clients) {
    for (const size of [1, 300, 100000]) {
      await client.publishAsync('js/x', Buffer.alloc(size), { qos: 2 });
    }
  }
  while (arrived.length < 12) await new Promise((done) => setTimeout(done, 10));
  for (const client of clients) await client.endAsync();
  process.exit(0);
}

main().catch((error) => fail(error));
