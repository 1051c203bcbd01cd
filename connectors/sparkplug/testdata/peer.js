// Reads one payload in hex from the standard input, decodes it with npm's
// sparkplug-payload, and prints {payload: what it saw, own: a payload of its
// own making in hex}.
const { createRequire } = require('module');
const codec = createRequire(process.argv[2] + '/')('sparkplug-payload').get('spBv1.0');

const hex = require('fs').readFileSync(0, 'utf8').trim();
const seen = codec.decodePayload(Buffer.from(hex, 'hex'));
const own = codec.encodePayload({
  timestamp: 1000,
  seq: 7,
  uuid: 'u',
  metrics: [
    { name: 'int8', alias: 1, timestamp: 999, type: 'Int8', value: -5 },
    { name: 'int64', alias: 2, timestamp: 999, type: 'Int64', value: -9007199254740991 },
    { name: 'uint32', alias: 3, timestamp: 999, type: 'UInt32', value: 4294967295 },
    { name: 'float', alias: 4, timestamp: 999, type: 'Float', value: 0.5 },
    { name: 'double', alias: 5, timestamp: 999, type: 'Double', value: -0.1, properties: { engUnit: { type: 'String', value: 'mm' }, Quality: { type: 'Int32', value: 500 } } },
    { name: 'boolean', alias: 6, timestamp: 999, type: 'Boolean', value: true },
    { name: 'string', alias: 7, timestamp: 999, type: 'String', value: '断路器' },
    { name: 'date', alias: 8, timestamp: 999, type: 'DateTime', value: 1760000000000 },
    { name: 'null', alias: 9, timestamp: 999, type: 'Double', value: null },
    { name: 'set', alias: 10, timestamp: 999, type: 'DataSet', value: { numOfColumns: 1, types: ['Int32'], columns: ['a'], rows: [[1]] } },
  ],
});
const plain = (key, value) => (value && value.low !== undefined && value.high !== undefined ? BigInt.asIntN(64, (BigInt(value.high) << 32n) | BigInt(value.low >>> 0)).toString() : value);
console.log(JSON.stringify({ payload: seen, own: Buffer.from(own).toString('hex') }, (key, value) => {
  const v = plain(key, value);
  return typeof v === 'bigint' ? v.toString() : v;
}));
