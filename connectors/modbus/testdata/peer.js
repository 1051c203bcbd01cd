// A Modbus server by npm's modbus-serial. Arguments: folder of npm, tcp or rtu,
// port or path. holding and input registers 0 to 499, coils and discrete
// inputs: what foreign_test.go expects.
const load = require('module').createRequire(process.argv[2] + '/');
const { ServerTCP, ServerSerial } = load('modbus-serial');

const refuse = () => { const e = new Error('illegal'); e.modbusErrorCode = 2; throw e; };
const registers = (base) => (at) => {
  if (at >= 500) refuse();
  return { 10: 0x42f6, 11: 0xe979 }[at] ?? base + at;
};
const vector = {
  getHoldingRegister: registers(1000),
  getInputRegister: registers(60000),
  getCoil: (at) => at % 3 === 0,
  getDiscreteInput: (at) => at % 2 === 0,
};
const [, , , kind, where] = process.argv;
const server = kind === 'tcp'
  ? new ServerTCP(vector, { host: '127.0.0.1', port: Number(where), unitID: 255 })
  : new ServerSerial(vector, { path: where, baudRate: 115200, parity: 'even', unitID: 255, interval: 5 });
server.on('initialized', () => console.log('ready'));
server.on('error', (e) => { console.error(e); process.exit(1); });
