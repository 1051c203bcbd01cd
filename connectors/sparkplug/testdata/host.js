// A foreign host application of npm's mqtt and sparkplug-payload. It prints
// every message of edge nodes as a line of JSON, and asks the edge node that the
// standard input names (GROUP/NODE) for a rebirth.
//
//   node host.js FOLDER_OF_NPM BROKER HOST_ID
const [folder, broker, id] = process.argv.slice(2);
const need = require('module').createRequire(folder + '/');
const mqtt = need('mqtt');
const codec = need('sparkplug-payload').get('spBv1.0');
const { Payload } = need('sparkplug-payload/lib/sparkplugPayloadProto').org.eclipse.tahu.protobuf;

const state = 'spBv1.0/STATE/' + id;
const timestamp = Date.now();
const word = (online) => JSON.stringify({ online, timestamp });
const client = mqtt.connect(broker, { clientId: 'npm-host-' + id, clean: true, reconnectPeriod: 0, will: { topic: state, payload: word(false), qos: 1, retain: true } });
client.on('connect', () => client.subscribe(['NBIRTH', 'NDEATH', 'NDATA', 'DBIRTH', 'DDEATH', 'DDATA'].map((k) => `spBv1.0/+/${k}/#`).concat(state), { qos: 1 }, () => client.publish(state, word(true), { qos: 1, retain: true })));

// What births told: data names metrics by alias, without a type.
const known = new Map();
const aliased = (m) => Object.prototype.hasOwnProperty.call(m, 'alias');
function read(kind, who, message) {
  const raw = Payload.decode(message);
  for (const m of raw.metrics) {
    const key = (name, alias) => `${who} ${name ?? ''} ${alias ?? ''}`;
    if (kind.endsWith('BIRTH')) {
      known.set(key(m.name), { name: m.name, datatype: m.datatype });
      if (aliased(m)) known.set(key('', m.alias), { name: m.name, datatype: m.datatype });
    } else if (kind.endsWith('DATA')) {
      const k = known.get(m.name ? key(m.name) : key('', m.alias));
      if (!k) { m.name = 'UNKNOWN'; continue; }
      m.name = k.name;
      m.datatype = m.datatype || k.datatype;
    }
  }
  return codec.decodePayload(Payload.encode(raw).finish());
}
const plain = (key, v) => (v && v.low !== undefined && v.high !== undefined ? (BigInt.asUintN(64, (BigInt(v.high) << 32n) | BigInt(v.low >>> 0))).toString() : v);
client.on('message', (topic, message) => {
  const [, group, kind, node, device] = topic.split('/');
  if (group === 'STATE') return;
  console.log(JSON.stringify({ kind, group, node, device, payload: read(kind, `${group}/${node}/${device ?? ''}`, message) }, plain));
});
require('readline').createInterface({ input: process.stdin }).on('line', (who) => {
  const [group, node] = who.split('/');
  client.publish(`spBv1.0/${group}/NCMD/${node}`, Buffer.from(codec.encodePayload({ timestamp: Date.now(), metrics: [{ name: 'Node Control/Rebirth', type: 'Boolean', value: true, timestamp: Date.now() }] })));
});
