# websocket_client.py URL PROTOCOL: an exec by a WebSocket client that is not ours (websocket-client of the Python
# package index): prints what came on each channel as JSON.
import json
import sys

import websocket

url, protocol = sys.argv[1:]
ws = websocket.create_connection(url.replace("http", "ws", 1), subprotocols=[protocol], timeout=20)
assert ws.getsubprotocol() == protocol, ws.getsubprotocol()
out = {}
while True:
    op, data = ws.recv_data()
    if op == websocket.ABNF.OPCODE_CLOSE:
        out["close"] = int.from_bytes(data[:2], "big")
        break
    out[str(data[0])] = out.get(str(data[0]), "") + data[1:].decode()
print(json.dumps(out))
