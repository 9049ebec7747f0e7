"""An application on PyPI's aiohttp, over mutual TLS: client_aiohttp.py URL CA CERT KEY TOKEN"""

import asyncio
import json
import ssl
import sys

from aiohttp import ClientSession

url, ca, cert, key, token = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if cert:
    context.load_cert_chain(cert, key)
headers = {"Authorization": f"Bearer {token}"} if token else {}


async def main():
    async with ClientSession() as session, session.ws_connect(url, ssl=context, headers=headers) as socket:
        await socket.send_json({"type": "SK", "key": "out", "value": 1, "messageId": "of-aiohttp"})
        awaited = {"ACK", "SK"}
        while awaited:
            message = await socket.receive_json()
            if message["type"] == "SK":
                ack = {"type": "ACK", "messageId": message["messageId"], "clusterGroupId": message["clusterGroupId"]}
                await socket.send_json(ack)
            print(message["type"], message["messageId"])
            awaited.discard(message["type"])
    print("closed with", socket.close_code)


try:
    asyncio.run(main())
except Exception as error:
    print(f"{type(error).__name__}: {error}")
