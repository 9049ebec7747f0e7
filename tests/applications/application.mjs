// An application on npm's ws with the library's defaults untouched: node application.mjs ws://HOST:PORT/
import assert from "node:assert/strict";
import { once } from "node:events";
import { WebSocket } from "ws";

const url = process.argv[2];

/** A peer: its link, and what came over it and was not looked at yet. */
class Peer {
  answers = [];
  messages = [];

  static async connect(query, headers = {}) {
    const peer = new Peer();
    peer.socket = new WebSocket(url + query, { headers });
    peer.socket.on("upgrade", (response) => (peer.id = response.headers["slipstream-peer-id"]));
    peer.socket.on("message", (data, isBinary) => {
      assert.equal(isBinary, false);
      const message = { text: data.toString(), ...JSON.parse(data) };
      (["ACK", "NACK"].includes(message.type) ? peer.answers : peer.messages).push(message);
      peer.socket.emit("queued");
    });
    await once(peer.socket, "open");
    assert.equal(peer.socket.extensions, "", "compression is offered by the library and declined by the relay");
    return peer;
  }

  async next(queue) {
    while (queue.length === 0) await once(this.socket, "queued");
    return queue.shift();
  }

  async send(text) {
    this.socket.send(text);
    return this.next(this.answers);
  }

  async take() {
    const message = await this.next(this.messages);
    const { messageId, clusterGroupId } = message;
    this.socket.send(JSON.stringify({ type: "ACK", messageId, clusterGroupId }));
    return message;
  }

  async close() {
    this.socket.close(1000);
    const [code] = await once(this.socket, "close");
    assert.equal(code, 1000);
  }
}

const byQuery = await Peer.connect("?id=node-query&tags=node,query");
const byHeader = await Peer.connect("", { "Slipstream-Id": "node-header", "Slipstream-Tags": "node,header" });
const anonymous = await Peer.connect("");
assert.deepEqual([byQuery.id, byHeader.id], ["node-query", "node-header"]);
assert.match(anonymous.id, /^anon-[0-9A-Z]{26}$/);

// A message arrives as it was sent: its value and what the relay does not know byte for byte.
const value = String.raw`{ "b":1.50e+3, "a" : "\u00e9 é 😀", "n":12345678901234567890 }`;
const extra = String.raw`[ 1,  {"x" :null} ]`;
const ack = await byQuery.send(
  `{"type":"SK","key":"order:1","value":${value},"messageId":"m1","extra":${extra},"targetedTags":["header","nobody"]}`,
);
assert.deepEqual([ack.type, ack.messageId, ack.clusterGroupId], ["ACK", "m1", "singleton"]);
const got = await byHeader.take();
assert.ok(got.text.includes(`"value":${value}`), got.text);
assert.ok(got.text.includes(`"extra":${extra}`), got.text);
const { text, extra: _extra, value: _value, relayStamp, ...rest } = got;
assert.match(relayStamp, /^[0-9A-Z]{26}:\d+$/);
assert.deepEqual(rest, {
  type: "SK",
  key: "order:1",
  messageId: "m1",
  originInstanceId: "node-query",
  sourceInstanceId: "node-query",
  messagePath: ["node-query", ack.originInstanceId],
  targetedTags: ["header", "nobody"],
  clusterGroupId: "singleton",
});

// What cannot be taken is refused, and the link stays.
assert.equal((await byQuery.send("nonsense")).code, "invalid_json");
const nack = await byQuery.send('{"type":"SA","key":"k","value":1,"messageId":"bad"}');
assert.deepEqual([nack.type, nack.code, nack.messageId], ["NACK", "invalid_message", "bad"]);
assert.match(nack.reason, /value/);

// An anonymous client sends, and gets what is routed while it is there.
assert.equal((await anonymous.send('{"type":"SK","key":"k","value":"from nobody","messageId":"m2"}')).type, "ACK");
for (const peer of [byQuery, byHeader]) assert.equal((await peer.take()).originInstanceId, anonymous.id);
assert.equal((await byQuery.send('{"type":"EVENT","messageId":"m3"}')).type, "ACK");
for (const peer of [byHeader, anonymous]) assert.equal((await peer.take()).messageId, "m3");

// The relay answers pings.
byQuery.socket.ping("still there?");
assert.equal(String((await once(byQuery.socket, "pong"))[0]), "still there?");
await anonymous.close();

// Whoever named itself gets what it missed, in order.
await byHeader.close();
const missed = Array.from({ length: 500 }, (_, number) => `missed-${number}`);
for (const messageId of missed) byQuery.socket.send(JSON.stringify({ type: "SK", key: messageId, value: 1, messageId }));
for (const _ of missed) assert.equal((await byQuery.next(byQuery.answers)).type, "ACK");
const back = await Peer.connect("?id=node-header&tags=node,header");
for (const messageId of missed) assert.equal((await back.take()).messageId, messageId);

for (const peer of [byQuery, back]) await peer.close();
console.log("the application on ws is content");
