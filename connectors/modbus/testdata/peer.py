# A Modbus slave on a serial line by Debian's python3-pymodbus. Arguments: rtu or
# ascii, path. The same registers as peer.js.
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.framer.ascii_framer import ModbusAsciiFramer
from pymodbus.framer.rtu_framer import ModbusRtuFramer
from pymodbus.server import StartSerialServer


def registers(base):
    values = [base + at for at in range(500)]
    values[10:12] = 0x42F6, 0xE979
    return ModbusSequentialDataBlock(0, values)


store = ModbusSlaveContext(
    hr=registers(1000), ir=registers(60000), zero_mode=True,
    co=ModbusSequentialDataBlock(0, [at % 3 == 0 for at in range(500)]),
    di=ModbusSequentialDataBlock(0, [at % 2 == 0 for at in range(500)]),
)
StartSerialServer(
    context=ModbusServerContext(slaves={1: store, 2: store}, single=False),
    framer=ModbusRtuFramer if sys.argv[1] == "rtu" else ModbusAsciiFramer,
    port=sys.argv[2], baudrate=115200, bytesize=8, parity="N",  # a pseudo terminal has no parity
)
