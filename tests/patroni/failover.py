#!/usr/bin/env python3
"""Fails PostgreSQL over under three processes of a relay by Patroni with etcd, and looks that no message is lost.

    tests/patroni/failover.py PROGRAM      # a slipstream with the feature `postgres`

It needs Debian's patroni, etcd-server and postgresql, PyPI's websockets 12 or later, and root, to run the servers as postgres.
CI does not run it. docs/cluster-testing.md says what was seen.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Callable, TypeVar

import websockets

T = TypeVar("T")

# How long anything may take that must happen, in seconds.
PATIENCE = 120

# How long Patroni is left with one node, so that it has promoted it, in seconds: twice its TTL.
ALONE = 40

# Most messages that the publisher has unconfirmed.
UNCONFIRMED = 8

AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if (seen := look()) is not None:
            return seen
        time.sleep(0.2)
    raise TimeoutError(f"waited in vain for {what}")


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


class Node:
    """A PostgreSQL that Patroni keeps."""

    def __init__(self, number: int, folder: Path, etcd: int):
        self.name, self.folder = f"node{number}", folder / f"node{number}"
        self.port, self.api, self.process = free_port(), free_port(), None
        self.folder.mkdir()
        shutil.chown(self.folder, "postgres")
        self.settings = self.folder / "patroni.yml"
        # JSON is YAML.
        self.settings.write_text(json.dumps({
            "scope": "slipstream", "name": self.name, "etcd3": {"hosts": f"127.0.0.1:{etcd}"},
            "restapi": {"listen": f"127.0.0.1:{self.api}", "connect_address": f"127.0.0.1:{self.api}"},
            "bootstrap": {
                "dcs": {
                    "ttl": 20, "loop_wait": 2, "retry_timeout": 5, "synchronous_mode": True,
                    "synchronous_mode_strict": True,
                    "postgresql": {"use_pg_rewind": True, "parameters": {"wal_log_hints": "on"}},
                },
                "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}],
                "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}", "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.folder / "data"), "pgpass": str(self.folder / "pgpass"),
                "bin_dir": str(sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]),
                "authentication": {role: {"username": "postgres"} for role in ("superuser", "replication", "rewind")},
                "parameters": {"unix_socket_directories": str(self.folder)},
            },
        }))

    def begin(self) -> None:
        log = (self.folder / "log").open("a")
        command = [*AS_POSTGRES, "patroni", str(self.settings)]
        self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def has_role(self, role: str) -> bool:
        return answers(f"http://127.0.0.1:{self.api}/{role}")

    def postmaster(self) -> int:
        return int((self.folder / "data/postmaster.pid").read_text().splitlines()[0])

    def kill_postmaster(self) -> None:
        os.kill(self.postmaster(), signal.SIGKILL)

    def kill(self) -> None:
        """Kills Patroni and all of PostgreSQL, as the loss of the machine does."""
        postmaster = self.postmaster()
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        self.process.kill()
        for process in [postmaster, *map(int, children)]:
            os.kill(process, signal.SIGKILL)
        self.process.wait()


class Cluster:
    """etcd and two nodes."""

    def __init__(self, folder: Path):
        client, peer = free_port(), free_port()
        shutil.chown(folder, "postgres")
        urls = {"client": f"http://127.0.0.1:{client}", "peer": f"http://127.0.0.1:{peer}"}
        self.etcd = subprocess.Popen(
            [*AS_POSTGRES, "etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", urls["client"],
             "--advertise-client-urls", urls["client"], "--listen-peer-urls", urls["peer"],
             "--initial-advertise-peer-urls", urls["peer"], "--initial-cluster", f"default={urls['peer']}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.nodes = [Node(number, folder, client) for number in (1, 2)]
        for node in self.nodes:
            node.begin()

    def primary(self) -> Node:
        return wait_for("a primary", lambda: next((node for node in self.nodes if node.has_role("primary")), None))

    def pair(self) -> tuple[Node, Node]:
        """The primary and its synchronous standby, once there are both."""
        standby = lambda: next((node for node in self.nodes if node.has_role("synchronous")), None)
        standby = wait_for("a synchronous standby", standby)
        return self.primary(), standby

    def switch_over(self) -> None:
        primary, standby = self.pair()
        subprocess.run(
            ["patronictl", "-c", str(primary.settings), "switchover", "--leader", primary.name, "--candidate",
             standby.name, "--force", "slipstream"], check=True, stdout=subprocess.DEVNULL,
        )

    def end(self) -> None:
        for node in self.nodes:
            node.process.terminate()
            node.process.wait()
        self.etcd.terminate()
        self.etcd.wait()


class Traffic:
    """A publisher that sends again whatever was not confirmed, and a subscriber, each at any process."""

    def __init__(self, ports: list[int]):
        self.ports, self.sent, self.unconfirmed, self.confirms, self.came = ports, 0, {}, [], []
        self.is_over = False

    async def connect(self, query: str):
        return await websockets.connect(f"ws://127.0.0.1:{random.choice(self.ports)}/?{query}", open_timeout=3)

    async def again_and_again(self, once: Callable, is_done: Callable[[], bool]) -> None:
        while not is_done():
            try:
                await once()
            except (OSError, TimeoutError, websockets.WebSocketException):
                await asyncio.sleep(0.2)

    async def publish(self) -> None:
        async with await self.connect("id=publisher") as link:
            for number in sorted(self.unconfirmed):
                await link.send(self.unconfirmed[number])
            answers = asyncio.create_task(self.confirm(link))
            while not answers.done() and (self.unconfirmed or not self.is_over):
                if not self.is_over and len(self.unconfirmed) < UNCONFIRMED:
                    self.sent += 1
                    message = {"type": "EVENT", "messageId": f"m{self.sent}", "targetedTags": ["here"], "value": self.sent}
                    self.unconfirmed[self.sent] = json.dumps(message)
                    await link.send(self.unconfirmed[self.sent])
                await asyncio.sleep(0.005)
            answers.cancel()

    async def confirm(self, link) -> None:
        async for text in link:
            answer = json.loads(text)
            if answer["type"] == "NACK":
                return
            if answer["type"] == "ACK" and self.unconfirmed.pop(int(answer["messageId"][1:]), None):
                self.confirms.append(time.monotonic())

    async def subscribe(self) -> None:
        async with await self.connect("id=subscriber&tags=here") as link:
            while not self.has_all_come():
                try:
                    message = json.loads(await asyncio.wait_for(link.recv(), 1))
                except asyncio.TimeoutError:
                    continue
                self.came.append(message["value"])
                await link.send(json.dumps({"type": "ACK", "messageId": message["messageId"]}))

    def has_all_come(self) -> bool:
        return self.is_over and not self.unconfirmed and len(set(self.came)) == self.sent

    async def run(self) -> None:
        await asyncio.gather(
            self.again_and_again(self.publish, lambda: self.is_over and not self.unconfirmed),
            self.again_and_again(self.subscribe, self.has_all_come),
        )

    async def goes_on(self, what: str) -> None:
        """Waits until messages are confirmed again, and tells how long none was."""
        since, before = time.monotonic(), len(self.confirms)
        while len(self.confirms) < before + 100:
            if time.monotonic() - since > PATIENCE:
                raise TimeoutError(f"nothing is confirmed after {what}")
            await asyncio.sleep(0.05)
        times = [since, *self.confirms[before:]]
        longest = max(later - earlier for earlier, later in zip(times, times[1:]))
        print(f"{what}: {longest:.1f} s without a confirm", flush=True)

    def verify(self) -> None:
        first = list(dict.fromkeys(self.came))
        again = len(self.came) - len(first)
        assert set(first) == set(range(1, self.sent + 1)), "a message was lost"
        assert first == sorted(first), "messages came out of order"
        print(f"{self.sent} messages confirmed and delivered in order, {again} of them again", flush=True)


def begin_relays(program: str, cluster: Cluster, folder: Path) -> tuple[list[subprocess.Popen], list[int]]:
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes)
    links, pages = [free_port() for _ in range(3)], [free_port() for _ in range(3)]
    fixed = {
        "SLIPSTREAM_STORE": "postgres", "SLIPSTREAM_STORE_URL": f"postgres://postgres@{hosts}/postgres",
        "SLIPSTREAM_REQUIRE": "standby", "METRICS_HOST": "127.0.0.1", "ENABLE_MESSAGE_LOGS": "false",
    }
    relays = []
    for link, page in zip(links, pages):
        own = fixed | {"SLIPSTREAM_LISTEN": f"127.0.0.1:{link}", "METRICS_PORT": str(page)}
        log = (folder / f"relay-{link}").open("w")
        relays.append(subprocess.Popen([program, "serve"], env=own, stdout=log, stderr=subprocess.STDOUT))
    for page in pages:
        wait_for("a relay that is ready", lambda: answers(f"http://127.0.0.1:{page}/readyz") or None)
    return relays, links


async def fail_over(cluster: Cluster, traffic: Traffic) -> None:
    running = asyncio.create_task(traffic.run())
    await traffic.goes_on("at first")
    await asyncio.to_thread(cluster.switch_over)
    await traffic.goes_on("a switchover")
    (await asyncio.to_thread(cluster.pair))[0].kill_postmaster()
    await traffic.goes_on("the primary's postmaster killed")
    lost = (await asyncio.to_thread(cluster.pair))[0]
    lost.kill()
    await asyncio.sleep(ALONE)
    survivor = await asyncio.to_thread(cluster.primary)
    print(f"the primary and its Patroni killed: {survivor.name} is the primary and has no standby", flush=True)
    lost.begin()
    await traffic.goes_on("the killed one begun again")
    await asyncio.to_thread(cluster.pair)
    traffic.is_over = True
    await asyncio.wait_for(running, PATIENCE)
    traffic.verify()


def main(program: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        cluster, relays = Cluster(folder), []
        try:
            cluster.pair()
            relays, links = begin_relays(program, cluster, folder)
            asyncio.run(fail_over(cluster, Traffic(links)))
        finally:
            for relay in relays:
                relay.kill()
            cluster.end()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
