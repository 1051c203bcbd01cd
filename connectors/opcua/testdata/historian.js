// A foreign OPC UA server (npm node-opcua) that keeps history, for tests.
// Started as: node historian.js FOLDER PORT OWN NAME...; FOLDER has
// node_modules, OWN is for its certificates.
// Commands come as lines of JSON, and each is answered by one.
const path = require("path");
const [folder, port, rootFolder, ...names] = process.argv.slice(2);
const opcua = require(path.join(folder, "node_modules", "node-opcua"));
const say = (o) => process.stdout.write(JSON.stringify(o) + "\n");

async function main() {
  const serverCertificateManager = new opcua.OPCUACertificateManager({ rootFolder, automaticallyAcceptUnknownCertificate: true });
  await serverCertificateManager.initialize();
  const server = new opcua.OPCUAServer({
    port: Number(port), hostname: "127.0.0.1", serverCertificateManager,
    securityModes: [opcua.MessageSecurityMode.None], securityPolicies: [opcua.SecurityPolicy.None],
    disableDiscovery: true, serverCapabilities: { operationLimits: { maxNodesPerHistoryReadData: 3 } },
  });
  await server.initialize();
  const space = server.engine.addressSpace.getOwnNamespace();
  const nodes = {};
  for (const name of names) {
    const [id, kind] = name.split(":"); // plain: without history; refuse: its history cannot be read
    nodes[id] = space.addVariable({ organizedBy: space.addressSpace.rootFolder.objects, browseName: id, nodeId: "s=" + id, dataType: "Int32", minimumSamplingInterval: 10 });
    nodes[id].setValueFromSource({ dataType: "Int32", value: 0 });
    if (kind === "plain") continue;
    space.addressSpace.installHistoricalDataNode(nodes[id], { maxOnlineValues: 100000 });
    if (kind === "refuse") {
      nodes[id]._historyReadRaw = (context, details, range, encoding, data, callback) =>
        callback(null, new opcua.HistoryReadResult({ statusCode: opcua.StatusCodes.BadHistoryOperationUnsupported }));
    }
  }
  const counts = { pages: 0, lost: 0 };
  let lose = 0;
  for (const node of Object.values(nodes)) {
    const raw = node._historyReadRaw;
    if (!raw) continue;
    node._historyReadRaw = function (context, details, range, encoding, data, callback) {
      counts.pages++;
      if (data.continuationPoint && lose > 0) {
        lose--;
        counts.lost++;
        return callback(null, new opcua.HistoryReadResult({ statusCode: opcua.StatusCodes.BadContinuationPointInvalid }));
      }
      return raw.call(this, context, details, range, encoding, data, callback);
    };
  }
  await server.start();
  require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const c = JSON.parse(line);
    if (c.set) nodes[c.set].setValueFromSource({ dataType: "Int32", value: c.value }, opcua.StatusCodes.Good, new Date(c.at));
    if (c.lose) lose = c.lose;
    say(counts);
  }).on("close", () => process.exit(0));
  say({ ready: true });
}
main().catch((e) => { console.error(e); process.exit(1); });
