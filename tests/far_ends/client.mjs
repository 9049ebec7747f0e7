// An application on a WebSocket of JavaScript, over mutual TLS: client.mjs LIBRARY URL CA CERT KEY TOKEN, where CERT,
// KEY and TOKEN may be empty. It takes a message, sends one, and prints what it sees.
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";

const [library, url, ...files] = argv.slice(2);
const token = files.pop();
const [ca, cert, key] = files.map((file) => (file ? readFileSync(file, "utf8") : undefined));
const headers = token ? { Authorization: `Bearer ${token}` } : {};

const libraries = {
  async ws() {
    const { WebSocket } = await import("ws");
    return new WebSocket(url, { ca, cert, key, headers });
  },
  bun: () => new WebSocket(url, { tls: { ca, cert, key }, headers }),
  deno() {
    const caCerts = [ca];
    return new WebSocket(url, { client: Deno.createHttpClient({ caCerts, cert, key }), headers });
  },
};

const socket = await libraries[library]();
const awaited = new Set(["ACK", "SK"]);
const send = (message) => socket.send(JSON.stringify(message));
socket.onopen = () => send({ type: "SK", key: "out", value: 1, messageId: `of-${library}` });
socket.onmessage = ({ data }) => {
  const { type, messageId, clusterGroupId } = JSON.parse(data);
  if (type === "SK") send({ type: "ACK", messageId, clusterGroupId });
  console.log(type, messageId);
  awaited.delete(type);
  if (awaited.size === 0) socket.close(1000);
};
socket.onerror = ({ error, message }) => console.log("error:", error?.code, error?.message, message);
socket.onclose = ({ code, reason }) => {
  console.log("closed with", code, reason);
  exit();
};
