// An OPC UA server of another make (npm's node-opcua) for the tests, told what
// to do by lines of JSON {id, do, ...} on the standard input, each answered by
// a line {id, error, ...} on the standard output. One process holds any number
// of servers, each under its name:
//
//   start     name, port, uri, certificate, key, pki, accept, userPKI, users,
//             anonymous, mini, limits, sessions, namespaces, decoys, space, nodes -> port
//   set       name, node, type, value, array, status, at
//   requests  name -> largest Read and CreateMonitoredItems since the last call
//   trust     name, pki: the certificates of clients that it has refused
//   sessions  name -> sessions open now
//   stop      name
const { createRequire } = require('module');
const path = require('path');
const from = createRequire(process.argv[2] + '/');
console.log = console.warn = console.error = () => {}; // the library's own words
const ua = from('node-opcua');
const within = createRequire(from.resolve('node-opcua'));
const { OpaqueStructure } = within('node-opcua-extension-object');
const { EUInformation } = within('node-opcua-types');

const servers = {};

async function manager(folder, accept) {
  const m = new ua.OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: accept });
  await m.initialize();
  return m;
}

// A structure of a type that no client knows. The library copies it by its
// constructor.
class Opaque extends OpaqueStructure {
  constructor() {
    super(ua.coerceNodeId('ns=3;i=9001'), Buffer.from('0102030405060708', 'hex'));
  }
}

// One that says it is an EUInformation, and is not.
class Garbled extends OpaqueStructure {
  constructor() {
    super(ua.coerceNodeId('ns=0;i=889'), Buffer.from('0102030405060708', 'hex'));
  }
}

function variant(n) {
  if (n.type === 'Structure') {
    const make = (v) => (v === 'opaque' ? new Opaque() : v === 'garbled' ? new Garbled() : new EUInformation({ unitId: 7, displayName: 'mm', description: 'millimetre' }));
    return { dataType: ua.DataType.ExtensionObject, arrayType: n.array ? ua.VariantArrayType.Array : ua.VariantArrayType.Scalar, value: n.array ? n.value.map(make) : make(n.value) };
  }
  const one = (v) => {
    switch (n.type) {
      case 'DateTime': return new Date(v);
      case 'ByteString': return Buffer.from(v, 'hex');
      case 'LocalizedText': return ua.coerceLocalizedText(v);
      case 'QualifiedName': return ua.coerceQualifiedName(v);
      case 'StatusCode': return ua.StatusCodes[v];
      default: return v === 'NaN' ? NaN : v;
    }
  };
  const dataType = ua.DataType[n.type];
  if (!n.array) return { dataType, arrayType: ua.VariantArrayType.Scalar, value: one(n.value) };
  const dimensions = n.dimensions;
  return { dataType, arrayType: dimensions ? ua.VariantArrayType.Matrix : ua.VariantArrayType.Array, dimensions, value: n.value.map(one) };
}

function put(s, n) {
  const node = s.nodes[n.node];
  if (!node) throw new Error('no node ' + n.node);
  node.setValueFromSource(variant(n), ua.StatusCodes[n.status || 'Good'], n.at ? new Date(n.at) : new Date());
}

function build(s, c) {
  const address = s.server.engine.addressSpace;
  for (const uri of c.namespaces || []) {
    const other = address.registerNamespace(uri);
    for (const node of c.decoys || []) { // the same names where nobody shall look
      other.addVariable({ organizedBy: 'ObjectsFolder', browseName: node, nodeId: 's=' + node, dataType: 'Int32', value: { dataType: 'Int32', value: 666 } });
    }
  }
  const own = address.registerNamespace(c.space);
  const folder = own.addFolder('ObjectsFolder', { browseName: 'Plant' });
  let states;
  for (const n of c.nodes) {
    let dataType = n.type === 'Structure' ? 'Structure' : n.type;
    if (n.enumeration) {
      states = states || own.addEnumerationType({ browseName: 'States', enumeration: ['Idle', 'Execute', 'Held'] });
      dataType = states.nodeId;
    }
    s.nodes[n.node] = own.addVariable({
      componentOf: folder, browseName: n.node, nodeId: 's=' + n.node, dataType, minimumSamplingInterval: 10,
      valueRank: n.array ? (n.dimensions ? n.dimensions.length : 1) : -1,
      arrayDimensions: n.array ? n.dimensions || [n.value.length] : undefined,
    });
    if (n.value !== undefined) put(s, n);
  }
}

function watch(s) {
  s.server.on('request', (request) => {
    const kind = request.constructor.name;
    const size = (request.nodesToRead || request.itemsToCreate || []).length;
    s.largest[kind] = Math.max(s.largest[kind] || 0, size);
  });
}

const commands = {
  async start(c) {
    const s = { nodes: {}, largest: {} };
    const options = {
      port: c.port || 0, host: '127.0.0.1', hostname: '127.0.0.1',
      certificateFile: c.certificate, privateKeyFile: c.key,
      serverCertificateManager: await manager(c.pki, c.accept),
      userCertificateManager: await manager(c.userPKI, false),
      serverInfo: { applicationUri: c.uri, applicationName: { text: 'foreign' } },
      nodeset_filename: [c.mini ? path.join(process.argv[2], 'node_modules/node-opcua-address-space/nodesets/mini.Nodeset2.xml') : ua.nodesets.standard],
      allowAnonymous: c.anonymous !== false,
      userManager: { isValidUser: (name, password) => (c.users || {})[name] === password && password !== undefined },
      registerServerMethod: ua.RegisterServerMethod.HIDDEN,
      serverCapabilities: { maxSessions: c.sessions || 100, operationLimits: c.limits || {} },
      maxConnectionsPerEndpoint: 100,
    };
    if (c.policies) options.securityPolicies = c.policies;
    s.server = new ua.OPCUAServer(options);
    await s.server.initialize();
    build(s, c);
    watch(s);
    await s.server.start();
    servers[c.name] = s;
    return { port: s.server.endpoints[0].port };
  },
  async set(c) { put(servers[c.name], c); },
  async requests(c) {
    const { largest } = servers[c.name];
    servers[c.name].largest = {};
    return { read: largest.ReadRequest || 0, monitor: largest.CreateMonitoredItemsRequest || 0 };
  },
  async trust(c) { // the client's certificate that it has refused
    const certificates = path.join(c.pki, 'rejected');
    for (const f of require('fs').readdirSync(certificates)) {
      require('fs').renameSync(path.join(certificates, f), path.join(c.pki, 'trusted', 'certs', f));
    }
    await servers[c.name].server.serverCertificateManager.reloadCertificates();
  },
  async sessions(c) { return { sessions: servers[c.name].server.engine.currentSessionCount }; },
  async stop(c) {
    const s = servers[c.name];
    delete servers[c.name];
    await s.server.shutdown(1);
  },
};

let queue = Promise.resolve();
require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const c = JSON.parse(line);
  queue = queue.then(async () => {
    let answer;
    try {
      answer = (await commands[c.do](c)) || {};
    } catch (e) {
      answer = { error: String((e && e.stack) || e) };
    }
    process.stdout.write(JSON.stringify({ id: c.id, ...answer }) + '\n');
  });
}).on('close', () => process.exit(0));
