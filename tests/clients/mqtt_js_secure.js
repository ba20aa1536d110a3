// MQTT.js over ws and wss: mqtt_js_secure.js CA WS WSS TCP
const net = require('net');
const path = require('path');
const fs = require('fs');
const mqtt = require(path.join(process.env.NODE_MODULES, 'mqtt'));

const [ca, ws, wss, tcp] = process.argv.slice(2);
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
  await burst(clients);
  for (const client of clients) await client.endAsync();
  process.exit(0);
}

// Hundreds of messages in one write: the broker packs them into few frames, which a client has to take apart.
async function burst(clients) {
  const text = (value) => Buffer.concat([Buffer.from([0, value.length]), Buffer.from(value)]);
  const packet = (first, ...parts) => {
    const body = Buffer.concat(parts);
    return Buffer.concat([Buffer.from([first, body.length]), body]);
  };
  const connect = packet(0x10, text('MQTT'), Buffer.from([4, 0xc2, 0, 60]), text('burst'), text('infra'), text('secret'));
  const one = packet(0x30, text('burst/x'), Buffer.alloc(40));
  let seen = 0;
  for (const client of clients) {
    client.on('message', (topic) => { seen += topic === 'burst/x'; });
    await client.subscribeAsync('burst/#');
  }
  const socket = net.connect(tcp, 'localhost');
  socket.write(connect);
  await new Promise((done) => socket.once('data', done));
  socket.write(Buffer.concat(Array(300).fill(one)));
  while (seen < 600) await new Promise((done) => setTimeout(done, 10));
  socket.end();
}

main().catch((error) => fail(error));
