// Reads payloads in hex, one a line, decodes each with npm's sparkplug-payload,
// encodes what it saw again, and prints {metrics: as "name=value", again: hex}.
const codec = require('module').createRequire(process.argv[2] + '/')('sparkplug-payload').get('spBv1.0');
const plain = (v, type) => {
  if (v === null || v === undefined) return 'null';
  if (v.low === undefined) return String(v);
  const bits = (BigInt(v.high >>> 0) << 32n) | BigInt(v.low >>> 0);
  return (type === 'Int64' ? BigInt.asIntN(64, bits) : bits).toString();
};
require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const seen = codec.decodePayload(Buffer.from(line, 'hex'));
  const metrics = seen.metrics.map((m) => `${m.name}=${plain(m.value, m.type)} ${m.type}`);
  console.log(JSON.stringify({ metrics, again: Buffer.from(codec.encodePayload(seen)).toString('hex') }));
});
