#!/usr/bin/env bash
# What Deno's WebSocket says if it does not trust the server's certificate.
#
# One would expect the reason that Deno's `fetch` gives for the same server: `invalid peer certificate`. True is: the
# error says `received fatal alert: NoApplicationProtocol`, as if the server were at fault. After the first handshake
# has failed, Deno tries a second one with HTTP/2 alone, which a server of HTTP/1.1 refuses, and tells of that one. So
# anything that is wrong with TLS looks the same; `fetch` to the same address names it.
#
# Installs a pinned package from npm into a temporary folder. Wants node with npm, and openssl. Exits 0 while this is
# so, and 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund deno@2.9.6 >/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -addext basicConstraints=critical,CA:FALSE -keyout own.key -out own.pem 2>/dev/null

cat >server.mjs <<'JS'
// A server of HTTP/1.1 with a certificate that nobody has certified. It tells of handshakes that fail.
import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:https";
const server = createServer({ cert: readFileSync("own.pem"), key: readFileSync("own.key") });
server.on("tlsClientError", (error) => appendFileSync("seen", `${error.code}\n`));
server.listen(0, "localhost", () => console.log(server.address().port));
JS
cat >client.mjs <<'JS'
const address = `localhost:${Deno.args[0]}/`;
const socket = new WebSocket(`wss://${address}`);
const said = await new Promise((done) => (socket.onerror = ({ message }) => done(message)));
console.log("WebSocket:", said);
console.log("fetch:", (await fetch(`https://${address}`).catch((error) => error)).cause.message);
Deno.exit();
JS

node server.mjs >port &
while [ ! -s port ]; do sleep 0.1; done
node --version
node_modules/.bin/deno --version | head -1
timeout 60 node_modules/.bin/deno run --allow-net client.mjs "$(cat port)" 2>/dev/null | tee said
echo "the server saw: $(paste -sd ' ' seen)"
grep -q '^WebSocket: .*NoApplicationProtocol' said && grep -q '^fetch: .*invalid peer certificate' said ||
    { echo "expected NoApplicationProtocol of the WebSocket alone: it has changed"; exit 1; }
