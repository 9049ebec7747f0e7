"""An application on PyPI's websockets with the library's defaults untouched: application.py ws://HOST:PORT/"""

import asyncio
import json
import re
import sys
from collections import deque

from websockets.asyncio.client import connect

URL = sys.argv[1]


class Peer:
    """A peer: its link, and what came over it and was not looked at yet."""

    def __init__(self, socket):
        self.socket = socket
        self.id = socket.response.headers["Slipstream-Peer-Id"]
        self.answers = deque()
        self.messages = deque()

    @classmethod
    async def connect(cls, query="", headers=None):
        socket = await connect(URL + query, additional_headers=headers)
        assert socket.protocol.extensions == [], "compression is offered by the library and declined by the relay"
        return cls(socket)

    async def next(self, queue):
        while not queue:
            text = await self.socket.recv()
            assert isinstance(text, str)
            message = json.loads(text)
            answers = message["type"] in ("ACK", "NACK")
            (self.answers if answers else self.messages).append((text, message))
        return queue.popleft()

    async def answer(self):
        return (await self.next(self.answers))[1]

    async def send(self, text):
        await self.socket.send(text)
        return await self.answer()

    async def take(self):
        text, message = await self.next(self.messages)
        ack = {"type": "ACK", "messageId": message["messageId"], "clusterGroupId": message["clusterGroupId"]}
        await self.socket.send(json.dumps(ack))
        return text, message

    async def close(self):
        await self.socket.close(1000)
        assert self.socket.close_code == 1000, self.socket.close_code


async def exact(by_query, by_header):
    """A message arrives as it was sent: its value and what the relay does not know byte for byte."""
    value = r'{ "b":1.50e+3, "a" : "\u00e9 é 😀", "n":12345678901234567890 }'
    extra = r'[ 1,  {"x" :null} ]'
    ack = await by_query.send(
        f'{{"type":"SK","key":"order:1","value":{value},"messageId":"m1","extra":{extra},'
        '"targetedTags":["header","nobody"]}'
    )
    assert (ack["type"], ack["messageId"], ack["clusterGroupId"]) == ("ACK", "m1", "singleton"), ack
    text, message = await by_header.take()
    assert f'"value":{value}' in text, text
    assert f'"extra":{extra}' in text, text
    assert re.fullmatch(r"[0-9A-Z]{26}:\d+", message.pop("relayStamp")), text
    del message["value"], message["extra"]
    assert message == {
        "type": "SK",
        "key": "order:1",
        "messageId": "m1",
        "originInstanceId": "python-query",
        "sourceInstanceId": "python-query",
        "messagePath": ["python-query", ack["originInstanceId"]],
        "targetedTags": ["header", "nobody"],
        "clusterGroupId": "singleton",
    }, text


async def refused(peer):
    """What cannot be taken is refused, and the link stays."""
    assert (await peer.send("nonsense"))["code"] == "invalid_json"
    nack = await peer.send('{"type":"SA","key":"k","value":1,"messageId":"bad"}')
    assert (nack["type"], nack["code"], nack["messageId"]) == ("NACK", "invalid_message", "bad"), nack
    assert "value" in nack["reason"], nack


async def anonymous_peer(by_query, by_header, anonymous):
    """An anonymous client sends, and gets what is routed while it is there."""
    ack = await anonymous.send('{"type":"SK","key":"k","value":"from nobody","messageId":"m2"}')
    assert ack["type"] == "ACK", ack
    for peer in (by_query, by_header):
        assert (await peer.take())[1]["originInstanceId"] == anonymous.id
    assert (await by_query.send('{"type":"EVENT","messageId":"m3"}'))["type"] == "ACK"
    for peer in (by_header, anonymous):
        assert (await peer.take())[1]["messageId"] == "m3"


async def missed(by_query, by_header):
    """Whoever named itself gets what it missed, in order."""
    await by_header.close()
    ids = [f"missed-{number}" for number in range(500)]
    for message_id in ids:
        message = {"type": "SK", "key": message_id, "value": 1, "messageId": message_id}
        await by_query.socket.send(json.dumps(message))
    for _ in ids:
        assert (await by_query.answer())["type"] == "ACK"
    back = await Peer.connect("?id=python-header&tags=python,header")
    for message_id in ids:
        assert (await back.take())[1]["messageId"] == message_id
    return back


async def main():
    by_query = await Peer.connect("?id=python-query&tags=python,query")
    by_header = await Peer.connect(headers={"Slipstream-Id": "python-header", "Slipstream-Tags": "python,header"})
    anonymous = await Peer.connect()
    assert (by_query.id, by_header.id) == ("python-query", "python-header")
    assert re.fullmatch(r"anon-[0-9A-Z]{26}", anonymous.id), anonymous.id
    await exact(by_query, by_header)
    await refused(by_query)
    await anonymous_peer(by_query, by_header, anonymous)
    # The relay answers pings.
    await (await by_query.socket.ping(b"still there?"))
    # The library does not see a Close behind messages that nobody takes, so this peer leaves before they come.
    await anonymous.close()
    back = await missed(by_query, by_header)
    for peer in (by_query, back):
        await peer.close()
    print("the application on websockets is content")


asyncio.run(main())
