"""An echo on PyPI's websockets: `serve LIMIT` prints its port, `dial LIMIT PORT` dials again and again."""
import asyncio
import logging
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

how, limit, *port = sys.argv[1:]
options = {"compression": None, "max_size": int(limit), "ping_interval": None}


async def echo(socket):
    try:
        async for message in socket:
            await socket.send(message)
    except ConnectionClosed:
        pass


async def dial():
    while True:
        async with connect(f"ws://127.0.0.1:{port[0]}/", proxy=None, **options) as socket:
            await echo(socket)


async def main():
    async with serve(echo, "127.0.0.1", 0, **options) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


logging.disable()
asyncio.run(dial() if how == "dial" else main())
