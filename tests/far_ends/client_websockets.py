"""An application on PyPI's websockets, over mutual TLS: client_websockets.py URL CA CERT KEY TOKEN"""

import asyncio
import json
import ssl
import sys

from websockets.asyncio.client import connect

url, ca, cert, key, token = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if cert:
    context.load_cert_chain(cert, key)
headers = {"Authorization": f"Bearer {token}"} if token else {}


async def main():
    async with connect(url, ssl=context, additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "SK", "key": "out", "value": 1, "messageId": "of-websockets"}))
        awaited = {"ACK", "SK"}
        while awaited:
            message = json.loads(await socket.recv())
            if message["type"] == "SK":
                ack = {"type": "ACK", "messageId": message["messageId"], "clusterGroupId": message["clusterGroupId"]}
                await socket.send(json.dumps(ack))
            print(message["type"], message["messageId"])
            awaited.discard(message["type"])
    print("closed with", socket.close_code)


try:
    asyncio.run(main())
except Exception as error:
    print(f"{type(error).__name__}: {error}")
