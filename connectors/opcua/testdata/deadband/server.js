// A node-opcua server whose nodes are set by lines on its standard input:
// "NAME VALUE", or "NAME bad". It prints "ready PORT" once it can be reached.
"use strict";
const readline = require("node:readline");
const os = require("node:os");
const fs = require("node:fs");
const path = require("node:path");
const {
  OPCUAServer, OPCUACertificateManager, DataType, StatusCodes, SecurityPolicy, MessageSecurityMode,
} = require("node-opcua");

async function main() {
  const folder = fs.mkdtempSync(path.join(process.env.LINETWIN_TEST_FOLDER || os.tmpdir(), "deadband-"));
  const manager = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true, keySize: 2048 });
  const server = new OPCUAServer({
    port: Number(process.argv[2]), hostname: "127.0.0.1", serverCertificateManager: manager,
    securityPolicies: [SecurityPolicy.None], securityModes: [MessageSecurityMode.None],
    serverInfo: { applicationUri: "urn:linetwin:test:deadband" },
  });
  await server.initialize();
  const space = server.engine.addressSpace.getOwnNamespace();
  const parent = server.engine.addressSpace.rootFolder.objects;
  const nodes = {
    ranged: space.addAnalogDataItem({ organizedBy: parent, browseName: "ranged", nodeId: "s=ranged", dataType: "Double",
      engineeringUnitsRange: { low: 0, high: 200 }, value: { dataType: DataType.Double, value: 0 } }),
    plain: space.addVariable({ organizedBy: parent, browseName: "plain", nodeId: "s=plain", dataType: "Double",
      value: { dataType: DataType.Double, value: 0 } }),
    marker: space.addVariable({ organizedBy: parent, browseName: "marker", nodeId: "s=marker", dataType: "Double",
      value: { dataType: DataType.Double, value: 0 } }),
  };
  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const [name, value] = line.split(" ");
    if (value === "bad") {
      nodes[name].setValueFromSource({ dataType: DataType.Null }, StatusCodes.BadSensorFailure);
    } else {
      nodes[name].setValueFromSource({ dataType: DataType.Double, value: Number(value) });
    }
  }).on("close", () => process.exit(0));
  await server.start();
  console.log("ready " + server.endpoints[0].port);
}

main().catch((err) => { console.error(err); process.exit(1); });
