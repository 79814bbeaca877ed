"""Live events: how soon a listener in another process hears, and what those cost that only listen."""

import contextlib
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from benchmarks.engine_figures import Figure, load, percentiles
from benchmarks.ground import TOKEN, Apart, Ground, apart, memory_of, until

_STREAM = "/api/events/stream"


def event_latency(ground: Ground, *, goal: str, rounds: int = 100) -> Figure:
    """A worker ends an execution; a listener at the API process hears of it: from the event's moment to its arrival.

    Events carry the database's clock, which is this machine's; the moment lies just before the commit.
    """
    taken: list[float] = []
    with apart(ground, url=ground.database(), threads=16, processes=1) as house, _listener(house) as heard:
        for _ in range(rounds + 10):
            made = house.call("/api/workflows/execute", {"workflow": "five-steps", "inputs": {}})
            for arrived, event in heard:
                if event["kind"] == "execution.succeeded" and event["execution_id"] == made["execution_id"]:
                    taken.append(arrived - datetime.fromisoformat(event["at"]).timestamp())
                    break
    return Figure("event of a worker → listener at the API, Redis", percentiles(taken[10:]), goal, load())


@contextlib.contextmanager
def _listener(house: Apart) -> Generator[Iterator[tuple[float, Any]]]:
    request = urllib.request.Request(f"{house.url}{_STREAM}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=60) as answer:

        def events() -> Iterator[tuple[float, Any]]:
            for line in answer:
                if line.startswith(b"data:"):
                    yield time.time(), json.loads(line[5:])

        yield events()


def idle_listeners(ground: Ground, *, goal: str, listeners: int = 500) -> Figure:
    """Memory of an API process before and with so many that only listen, and how long an event takes to the last."""
    with apart(ground, url=ground.database(), threads=16, processes=1) as house, ExitStack() as stack:
        api = house.processes[0].pid
        house.call("/api/workflows/execute", {"workflow": "five-steps", "inputs": {}})
        time.sleep(2)
        before = memory_of(api)
        open_ = [stack.enter_context(contextlib.closing(_connect(house.url))) for _ in range(listeners)]
        until(lambda: memory_of(api) > before, seconds=5)
        time.sleep(3)
        with_them = memory_of(api) - before
        began = time.perf_counter()
        house.call("/api/workflows/execute", {"workflow": "five-steps", "inputs": {}})
        hearing = [threading.Thread(target=_hear, args=(one, b"execution.succeeded")) for one in open_]
        for thread in hearing:
            thread.start()
        for thread in hearing:
            thread.join(30)
        taken = time.perf_counter() - began
    value = f"{with_them:.0f} MB; all had heard of an execution's end {taken:.1f} s after its request"
    return Figure(f"{listeners} listeners of one API process", value, goal, load())


def _connect(url: str) -> socket.socket:
    """A stream of which the answer's head has arrived."""
    at = urlsplit(url)
    made = socket.create_connection((at.hostname or "", at.port or 80), timeout=30)
    made.sendall(f"GET {_STREAM} HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    _hear(made, b"200 OK")
    return made


def _hear(stream: socket.socket, word: bytes) -> None:
    heard = b""
    while word not in heard:
        piece = stream.recv(65536)
        if not piece:
            raise RuntimeError(f"the stream ended: {heard[-200:]!r}")
        heard += piece
