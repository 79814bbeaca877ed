"""A door on a real port, and clients that follow what happens there."""

import json
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx2
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from cli.serving import Doors, address
from tests.support.platforms import PATIENCE, until

TOKEN = "inn_a-token-for-tests"


@dataclass(frozen=True)
class Place:
    """A server, and the token that opens it."""

    url: str
    token: str = TOKEN

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def socket(self, path: str, **options: Any) -> ClientConnection:
        """A WebSocket with the token in its head, unless `options` say otherwise."""
        given: dict[str, Any] = {"additional_headers": self.headers, "open_timeout": PATIENCE, **options}
        url = self.url.replace("http", "ws", 1) + path
        return cast("ClientConnection", connect(url, proxy=None, **given))


@dataclass(frozen=True)
class Server(Place):
    """A server of this process."""

    doors: Doors = field(kw_only=True)
    thread: threading.Thread = field(kw_only=True)

    def stop(self) -> None:
        """Ask for its end, as a signal does, and see it end."""
        self.doors.should_exit = True
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@contextmanager
def serving(app: FastAPI) -> Generator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()
    doors = Doors(app, ready=ready.set)
    thread = threading.Thread(target=doors.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    server = Server(address(listener, "127.0.0.1"), doors=doors, thread=thread)
    yield server
    server.stop()


@dataclass
class Stream:
    """What a client of server-sent events has heard so far."""

    answer: httpx2.Response
    lines: list[str] = field(default_factory=list[str])
    ended: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        try:
            for line in self.answer.iter_lines():
                self.lines.append(line)
        except (httpx2.HTTPError, httpx2.StreamError, OSError, ValueError):
            pass  # the test has closed it
        finally:
            self.ended.set()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line.removeprefix("data: ")) for line in self.lines if line.startswith("data: ")]

    @property
    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events]

    @property
    def last_id(self) -> str:
        return [line.removeprefix("id: ") for line in self.lines if line.startswith("id: ")][-1]

    def heard(self, count: int) -> list[str]:
        """The kinds, once there are that many."""
        until(lambda: len(self.kinds) >= count, told=lambda: self.lines[-20:])
        return self.kinds


@contextmanager
def stream(server: Place, *, last: str = "", **query: Any) -> Generator[Stream]:
    headers = {**server.headers, **({"Last-Event-ID": last} if last else {})}
    with (
        httpx2.Client(timeout=60, trust_env=False) as client,
        client.stream("GET", f"{server.url}/api/events/stream", params=query, headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        found = Stream(answer)
        reader = threading.Thread(target=found.read, daemon=True)
        reader.start()
        until(lambda: found.lines)
        yield found


def messages(connection: ClientConnection) -> Iterator[dict[str, Any]]:
    """Until the other side closes."""
    while True:
        try:
            text = connection.recv(timeout=PATIENCE)
        except ConnectionClosed:
            return
        yield json.loads(text)
