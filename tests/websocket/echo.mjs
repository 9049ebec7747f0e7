// An echo on npm's ws: `serve LIMIT` prints its port, `dial LIMIT PORT` dials again and again.
import WebSocket, { WebSocketServer } from 'ws';

const [how, limit, port] = process.argv.slice(2);
const options = { perMessageDeflate: false, maxPayload: Number(limit) };

function echo(socket) {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.on('error', () => {});
}

function dial() {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, options);
  echo(socket);
  socket.on('close', dial);
}

if (how === 'dial') {
  dial();
} else {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
  server.on('connection', echo);
  server.on('listening', () => console.log(server.address().port));
}
