#!/usr/bin/env bash
# How the WebSocket client of Java's HttpClient hands over small text messages.
#
# One would expect a message of some 500 bytes, which the server sends as one frame, in one call of `onText`. True is: about
# 3 of 100 come in two calls, the first with `last` false, since the client hands over whatever part of a frame stands in
# its buffer of 16 KiB. A listener that takes each call for a message breaks now and then, and never in a small test.
#
# Installs a pinned package from PyPI into a temporary folder, for the server. Wants a JDK of 17 or later, and python3 with
# venv. Exits 0 while this is so, and 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv .venv
.venv/bin/pip install --quiet websockets==17.4

cat >server.py <<'PY'
"""A server that sends 8,000 text messages of 520 bytes, each in one frame, and closes."""
import asyncio
from websockets.asyncio.server import serve

async def link(socket):
    for number in range(8_000):
        await socket.send(f"{number:>520}")

async def main():
    async with serve(link, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.sleep(300)

asyncio.run(main())
PY
cat >Parts.java <<'JAVA'
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;

public class Parts {
    static int whole, split, characters;
    static boolean inside;

    public static void main(String[] arguments) throws Exception {
        var ended = new CountDownLatch(1);
        var listener = new WebSocket.Listener() {
            public CompletionStage<?> onText(WebSocket socket, CharSequence text, boolean last) {
                characters += text.length();
                if (last && inside) split++;
                else if (last) whole++;
                inside = !last;
                socket.request(1);
                return null;
            }
            public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
                ended.countDown();
                return null;
            }
            public void onError(WebSocket socket, Throwable error) {
                System.err.println(error);
                ended.countDown();
            }
        };
        HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(URI.create(arguments[0]), listener).join();
        ended.await();
        System.out.println(whole + " " + split + " " + characters);
        System.exit(0);
    }
}
JAVA

.venv/bin/python server.py >port &
while [ ! -s port ]; do sleep 0.1; done
read -r whole split characters < <(timeout 120 java Parts.java "ws://127.0.0.1:$(cat port)/")
java -version 2>&1 | head -1
echo "of 8000 messages $whole came in one call and $split in several, $characters characters in all"
[ $((whole + split)) = 8000 ] && [ "$characters" = $((8000 * 520)) ] && [ "$split" -gt 0 ] || { echo "expected some in several calls: it has changed"; exit 1; }
