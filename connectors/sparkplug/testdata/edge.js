// A foreign edge node: npm's sparkplug-client. It is born with every data type,
// templates and data sets, says what the standard input asks for, one word a
// line, and prints what it is told as lines of JSON.
//
//   node edge.js FOLDER_OF_NPM BROKER GROUP NODE
const [folder, broker, groupId, edgeNode] = process.argv.slice(2);
const { newClient } = require('module').createRequire(folder + '/')('sparkplug-client');

const at = 1760000000000;
const say = (what) => console.log(JSON.stringify(what));
const client = newClient({ serverUrl: broker, username: null, password: null, groupId, edgeNode, clientId: 'npm-' + edgeNode, publishDeath: true, keepalive: 5 });

const table = { numOfColumns: 2, types: ['String', 'Double'], columns: ['step', 'force'], rows: [['a', 1.5], ['b', 2.5]] };
const motor = (isDefinition) => ({
  ...(isDefinition ? {} : { templateRef: 'Motor' }), isDefinition, version: '1',
  metrics: [{ name: 'rpm', type: 'Int32', value: 1500, timestamp: at }],
  parameters: [{ name: 'poles', type: 'Int32', value: 4 }],
});
const quality = (code) => ({ Quality: { type: 'Int32', value: code } });
const all = () => [
  { name: 'Int8', value: -128, type: 'Int8' },
  { name: 'Int16', value: -32768, type: 'Int16' },
  { name: 'Int32', value: -2147483648, type: 'Int32' },
  { name: 'Int64', value: -9007199254740991, type: 'Int64' },
  { name: 'UInt8', value: 255, type: 'UInt8' },
  { name: 'UInt16', value: 65535, type: 'UInt16' },
  { name: 'UInt32', value: 4294967295, type: 'UInt32' },
  { name: 'UInt64', value: 9007199254740991, type: 'UInt64' },
  { name: 'Float', value: 0.5, type: 'Float' },
  { name: 'Double', value: -0.1, type: 'Double', alias: 7, properties: { engUnit: { type: 'String', value: 'kN' }, ...quality(192) } },
  { name: 'Boolean', value: true, type: 'Boolean' },
  { name: 'String', value: '断路器', type: 'String' },
  { name: 'DateTime', value: at, type: 'DateTime' },
  { name: 'Text', value: 'words', type: 'Text' },
  { name: 'UUID', value: '5ab2b5a4-6f7d-4d0f-9d7c-2d3f0d2b3c11', type: 'UUID' },
  { name: 'Null', value: null, type: 'Double' },
  { name: 'Poor', value: 3, type: 'Int32', properties: quality(500) },
  { name: 'Folder/Deep/Name', value: 1, type: 'Int32' },
  { name: 'Table', value: table, type: 'DataSet' },
  { name: 'Bytes', value: Buffer.from([1, 2, 3]), type: 'Bytes', metadata: { contentType: 'raw', size: 3 } },
  { name: 'File', value: Buffer.from('x'), type: 'File', metadata: { fileName: 'x.txt' } },
  { name: 'Motor 1', value: motor(false), type: 'Template' },
].map((m) => ({ timestamp: at, ...m }));

function births() {
  client.publishNodeBirth({ timestamp: at, metrics: [
    { name: 'Node Control/Rebirth', type: 'Boolean', value: false, timestamp: at },
    { name: 'Motor', type: 'Template', value: motor(true), timestamp: at },
    { name: 'Uptime', type: 'Int64', value: 1, timestamp: at },
  ] });
  client.publishDeviceBirth('press', { timestamp: at, metrics: all() });
}

let n = 0;
function data(options, extra) {
  n++;
  client.publishDeviceData('press', { timestamp: at + 1000 * n, metrics: [
    { name: 'Int32', value: n, type: 'Int32', timestamp: at + 1000 * n },
    { alias: 7, value: n / 2, type: 'Double', timestamp: at + 1000 * n },
    ...(extra || []),
  ] }, options);
}
const words = {
  data: () => data(),
  deflate: () => data({ compress: true }),
  gzip: () => data({ compress: true, algorithm: 'GZIP' }),
  complex: () => data(undefined, all().slice(-4)),
  node: () => client.publishNodeData({ timestamp: at + 5, metrics: [{ name: 'Uptime', type: 'Int64', value: 2, timestamp: at + 5 }] }),
  ddeath: () => client.publishDeviceDeath('press', { timestamp: at + 7 }),
  lose: () => client.incrementSeqNum(),
  many: () => { for (let i = 0; i < 600; i++) data(); },
  stop: () => { client.stop(); process.stdin.unref(); },
};
client.on('birth', () => { births(); say({ event: 'born' }); });
client.on('ncmd', (p) => { say({ event: 'ncmd', metrics: p.metrics }); if (p.metrics.some((m) => m.name === 'Node Control/Rebirth' && m.value)) { births(); } });
client.on('dcmd', (device, p) => say({ event: 'dcmd', device, metrics: p.metrics }));
client.on('error', (e) => say({ event: 'error', text: String(e) }));
require('readline').createInterface({ input: process.stdin }).on('line', (word) => words[word]());
