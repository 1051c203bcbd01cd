// A server of another maker with machines by the companion specifications
// PackML and Machinery. Arguments: the folder with npm's node-opcua@2.165.1,
// a folder for its certificates. It prints "port N", and ends with its input.
const [folder, pki] = process.argv.slice(2);
const load = (name) => require(require.resolve(name, { paths: [folder] }));
const { OPCUAServer, OPCUACertificateManager, MessageSecurityMode, SecurityPolicy, Variant, DataType, StatusCodes, coerceLocalizedText } = load("node-opcua");
const { nodesets } = load("node-opcua-nodesets");

async function main() {
  const server = new OPCUAServer({
    port: 0, host: "127.0.0.1", hostname: "127.0.0.1",
    nodeset_filename: [nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.packML],
    securityModes: [MessageSecurityMode.None], securityPolicies: [SecurityPolicy.None],
    serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki, automaticallyAcceptUnknownCertificate: true }),
    registerServerMethod: 1, // hidden
    serverCapabilities: { operationLimits: { maxNodesPerBrowse: 3, maxNodesPerRead: 50 } },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.registerNamespace("urn:plc:plant");
  const packML = space.getNamespaceIndex("http://opcfoundation.org/UA/PackML/");
  const machinery = space.getNamespaceIndex("http://opcfoundation.org/UA/Machinery/");
  const objects = space.rootFolder.objects;

  const labeller = space.findObjectType("PackMLBaseObjectType", packML).instantiate({
    browseName: "Labeller", organizedBy: objects, namespace: own,
    optionals: ["Status", "Admin", "Status.CurMachSpeed", "Status.MachSpeed", "BaseStateMachine.MachineState.ExecuteState", "TagID", "Admin.ProdProcessedCount", "Admin.ProdDefectiveCount", "Admin.StopReason", "Admin.AccTimeSinceReset"],
  });
  const set = (node, dataType, value) => node && node.setValueFromSource(new Variant({ dataType, value }));
  set(labeller.status?.curMachSpeed, DataType.Float, 120.5);
  set(labeller.tagId ?? labeller.tagID, DataType.String, "L-1");
  for (const node of walk(labeller)) {
    if (node.browseName.toString().endsWith("CurrentState")) set(node, DataType.LocalizedText, coerceLocalizedText("Execute"));
  }

  const machines = space.findNode(`ns=${machinery};i=1001`);
  const press = own.addObject({ browseName: "Press", componentOf: machines });
  const state = space.findObjectType("MachineryItemState_StateMachineType", machinery).instantiate({ browseName: "MachineryItemState", componentOf: press, namespace: own });
  set(state.currentState, DataType.LocalizedText, coerceLocalizedText("Executing"));
  const mode = space.findObjectType("MachineryOperationModeStateMachineType", machinery).instantiate({ browseName: "MachineryOperationMode", componentOf: press, namespace: own });
  set(mode.currentState, DataType.LocalizedText, coerceLocalizedText("Processing"));
  const { standardUnits } = load("node-opcua");
  own.addAnalogDataItem({
    componentOf: press, browseName: "Force", nodeId: "s=Press.Force", dataType: "Double", engineeringUnitsRange: { low: 0, high: 50 }, engineeringUnits: standardUnits.newton ?? standardUnits.degree_celsius,
    description: "ram force", value: { dataType: DataType.Double, value: 12.5 },
  });

  await server.start();
  process.stdout.write("port " + server.endpoints[0].port + "\n");
  process.stdin.resume();
  process.stdin.on("end", () => process.exit(0));
}

function* walk(node) {
  for (const child of node.getAggregates()) {
    yield child;
    yield* walk(child);
  }
}

main().catch((e) => { console.error(e); process.exit(1); });
