// Servers that relays dial: server.mjs KIND FOLDER NAME..., with the certificate FOLDER/NAME.pem and its key each, at
// ports of their own. NAME+ requires a certificate of FOLDER/ca.pem from its clients. It prints the ports, and then what
// comes.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { argv } from "node:process";

const [kind, folder, ...names] = argv.slice(2);
const host = "127.0.0.1";

function certificates(name) {
  const [own, ca] = [name.replace("+", ""), name.endsWith("+")];
  const read = (file) => readFileSync(`${folder}/${file}`);
  const pair = { cert: read(`${own}.pem`), key: read(`${own}.key`) };
  return ca ? { ...pair, ca: read("ca.pem"), requestCert: true, rejectUnauthorized: true } : pair;
}

/** Speaks the protocol on a link: asks for an ACK, and acknowledges what comes. */
function talk(name, send) {
  send(JSON.stringify({ type: "SK", key: "in", value: 1, messageId: "of-server" }));
  return (text) => {
    const { type, messageId, clusterGroupId } = JSON.parse(text);
    console.log(name, type, messageId);
    if (type === "SK") send(JSON.stringify({ type: "ACK", messageId, clusterGroupId }));
  };
}

const kinds = {
  async ws(name) {
    const { WebSocketServer } = await import("ws");
    const server = createServer(certificates(name));
    new WebSocketServer({ server }).on("connection", (socket, request) => {
      socket.on("error", () => {});
      if (request.url !== "/talk") return;
      const shown = request.socket.getPeerCertificate?.()?.subject?.CN;
      if (shown) console.log(name, "was shown", shown);
      socket.on("message", talk(name, (text) => socket.send(text)));
    });
    await new Promise((listening) => server.listen(0, host, listening));
    return server.address().port;
  },
  bun(name) {
    const fetch = (request, server) => {
      const data = { talks: new URL(request.url).pathname === "/talk" };
      return server.upgrade(request, { data }) ? undefined : new Response("no upgrade", { status: 400 });
    };
    const open = (socket) => {
      if (socket.data.talks) socket.data.heard = talk(name, (text) => socket.send(text));
    };
    const message = (socket, text) => socket.data.heard?.(text);
    return Bun.serve({ hostname: host, port: 0, tls: certificates(name), fetch, websocket: { open, message } }).port;
  },
};

const ports = {};
for (const name of names) ports[name] = await kinds[kind](name);
console.log(JSON.stringify(ports));
