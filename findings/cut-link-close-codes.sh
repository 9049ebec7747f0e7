#!/usr/bin/env bash
# What WebSocket clients report when a link is cut without a Close frame.
#
# One would expect 1006 everywhere: RFC 6455, section 7.1.5, has it for a connection that ended without a Close, and the
# browsers' CloseEvent carries it. True is: `ws` reports 1006, Deno 0, and Qt 5.15 reports 1000, so that a program on Qt
# cannot tell a cut link from a clean end by its code.
#
# Installs pinned packages from npm and PyPI into a temporary folder. Wants node with npm, and python3 with venv and the
# libraries of Qt. Exits 0 while this is so, and 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv .venv
.venv/bin/pip install --quiet websockets==17.4 PyQt5==5.15.11 PyQt5-Qt5==5.15.18 PyQt5-sip==12.18.0
npm install --silent --no-audit --no-fund ws@8.23.0 deno@2.9.6 >/dev/null

cat >server.py <<'PY'
"""A server that grants a link, sends one text, and ends the stream without a Close."""
import asyncio
from websockets.asyncio.server import serve

async def link(socket):
    await socket.send("hello")
    await asyncio.sleep(0.5)
    socket.transport.abort()

async def main():
    async with serve(link, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.sleep(300)

asyncio.run(main())
PY
cat >ws.mjs <<'JS'
import WebSocket from "ws";
const socket = new WebSocket(process.argv[2]);
socket.on("error", () => {});
socket.on("close", (code) => console.log(code));
JS
cat >deno.mjs <<'JS'
const socket = new WebSocket(Deno.args[0]);
socket.onclose = (event) => { console.log(event.code); Deno.exit(); };
JS
cat >qt.py <<'PY'
import sys
from PyQt5.QtCore import QCoreApplication, QUrl
from PyQt5.QtWebSockets import QWebSocket

application, socket = QCoreApplication([]), QWebSocket()
socket.disconnected.connect(lambda: (print(socket.closeCode()), application.quit()))
socket.open(QUrl(sys.argv[1]))
application.exec_()
PY

.venv/bin/python server.py >port &
while [ ! -s port ]; do sleep 0.1; done
url="ws://127.0.0.1:$(cat port)/"
ws=$(timeout 60 node ws.mjs "$url")
deno=$(timeout 60 node_modules/.bin/deno run --allow-net deno.mjs "$url")
qt=$(timeout 60 .venv/bin/python qt.py "$url")

echo "$(node --version | sed 's/^/node /'), $(python3 --version)"
echo "ws 8.23.0: $ws"
echo "$(node_modules/.bin/deno --version | head -1): $deno"
echo "Qt $(.venv/bin/python -c 'from PyQt5.QtCore import qVersion; print(qVersion())'): $qt"
[ "$ws $deno $qt" = "1006 0 1000" ] || { echo "expected 1006, 0 and 1000: it has changed"; exit 1; }
