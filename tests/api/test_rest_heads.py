"""Requests that never come to their point, on a real port: nobody has shown a token yet."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import httpx2
import pytest

from api.app import create_app
from tests.support.platforms import PATIENCE
from tests.support.rest import TOKEN, Door
from tests.support.streams import Server, serving

_CHUNKED = b"POST /api/validate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"


@pytest.fixture(scope="module")
def server(door: Door) -> Iterator[Server]:
    with serving(create_app(door.house.platform, token=TOKEN)) as made:
        yield made


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        pytest.param(b"GET /", b"a", id="path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nLong: ", b"a", id="header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"Other: one\r\n", id="headers"),
        pytest.param(_CHUNKED, b"Behind: it\r\n", id="behind the body"),
    ],
)
def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(
    server: Server, begin: bytes, endless: bytes
) -> None:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.sendall(begin)
        with suppress(BrokenPipeError, ConnectionResetError):  # the server has closed while it was sent more
            for _ in range(40):
                client.sendall(endless * 1000)
            client.sendall(endless * 300_000)
            while client.recv(10_000):
                pass


def test_what_a_request_says_at_length_is_heard(server: Server) -> None:
    headers = {**server.headers, "Long": "h" * 50_000}
    with httpx2.Client(base_url=server.url, headers=headers) as client:
        for _ in range(2):
            answer = client.post("/api/validate", content=b"# " + b"b" * 900_000)
            assert answer.json()["valid"] is False
