#!/usr/bin/env bash
# What Python clients say if a server requires a client certificate and they show none.
#
# One would expect the alert by which the server says so (RFC 8446, section 6.2: certificate_required). True is: over
# TLS 1.3, `websockets` on asyncio says `did not receive a valid HTTP response`, and the alert is nowhere in the chain
# of causes; `aiohttp` names it. A client of TLS 1.3 is done with its handshake before the server has judged the
# certificate, so the alert comes where the HTTP response is read. Over TLS 1.2 both name the alert. (`websockets.sync`
# names it now and then, and is left out.)
#
# Installs pinned packages from PyPI into a temporary folder. Wants python3 with venv, and openssl. Exits 0 while this
# is so, and 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv .venv
.venv/bin/pip install --quiet websockets==17.4 aiohttp==3.14.5
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 \
    -keyout own.key -out own.pem 2>/dev/null
# It asks for a certificate, and answers each request with a page.
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
openssl s_server -accept "127.0.0.1:$port" -cert own.pem -key own.key -Verify 1 -www >/dev/null 2>&1 &

cat >clients.py <<'PY'
import asyncio
import ssl
import sys

import aiohttp
from websockets.asyncio.client import connect

url = f"wss://127.0.0.1:{sys.argv[1]}/"


async def on_websockets(context):
    async with connect(url, ssl=context):
        pass


async def on_aiohttp(context):
    async with aiohttp.ClientSession() as session, session.ws_connect(url, ssl=context):
        pass


def chain(error):
    while error:
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__ or error.__context__


for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
    for client in (on_websockets, on_aiohttp):
        context = ssl.create_default_context(cafile="own.pem")
        context.maximum_version = version
        try:
            asyncio.run(client(context))
            said = ["a link"]
        except Exception as error:
            said = list(chain(error))
        named = any("alert" in each for each in said)
        print(version.name, client.__name__, "names the alert:" if named else "does not name the alert:", said[0])
PY

while ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done
echo "$(python3 --version), $(openssl version), websockets 17.4, aiohttp 3.14.5"
timeout 60 .venv/bin/python clients.py "$port" | tee said
expected="TLSv1_3 on_websockets does not
TLSv1_3 on_aiohttp names the
TLSv1_2 on_websockets names the
TLSv1_2 on_aiohttp names the"
[ "$(cut -d ' ' -f 1-4 said)" = "$expected" ] || { echo "expected this otherwise: it has changed"; exit 1; }
