// Dials servers with ws, as a relay dials the peers of its URL_CONFIG: dial.mjs PEERS, a JSON array of entries. It
// prints an object with the outcome of each id: "link", or the reason why there is none.
import { existsSync, readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { WebSocket } from "ws";

// The library takes no paths.
const text = (pem) => (pem && existsSync(pem) ? readFileSync(pem, "utf8") : pem);

function dial({ url, ca, cert, key, rejectUnauthorized }) {
  const options = { ca: text(ca), cert: text(cert), key: text(key), rejectUnauthorized };
  for (const name of Object.keys(options)) if (options[name] === undefined) delete options[name];
  return new Promise((done) => {
    const socket = new WebSocket(url, options);
    socket.on("open", () => done("link"));
    socket.on("error", ({ code, message }) => done(`${code} ${message}`));
    socket.on("close", (code) => done(`closed with ${code}`));
  });
}

const peers = JSON.parse(argv[2]);
const outcomes = await Promise.all(peers.map(async (peer) => [peer.id, await dial(peer)]));
console.log(JSON.stringify(Object.fromEntries(outcomes)));
exit();
