"""When to look again: the server's own streams say so as it happens; where they cannot be had, after a moment."""

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cli.client import Api, Query
from cli.text import as_object, as_text
from engine.domain.values import Json, JsonObject
from engine.errors import InnominatusError, Unavailable

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_PAUSE = 0.15
"""Between two looks without a stream."""
_BREATH = 0.05
_LONGEST = 5.0
_OPEN_SECONDS = 5.0
_SILENT_SECONDS = 60.0
"""Streams send a sign of life every 15 s."""

Source = Callable[["Changes"], None]


class Changes:
    """`wait` returns when there may be something new. A daemon thread listens meanwhile."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._live = False
        self._over = False
        self._rung = threading.Event()
        self._end: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._listen, name="changes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        with suppress(Exception):
            self._end()

    @property
    def live(self) -> bool:
        """Whether the server says when there is something new."""
        return self._live

    @property
    def rung(self) -> bool:
        """Whether it has said so since the last wait."""
        return self._rung.is_set()

    def wait(self) -> None:
        if self._live:
            self._rung.wait(_LONGEST)
            time.sleep(_BREATH)  # what happens at once is looked at once
            self._rung.clear()
        else:
            self._rung.wait(_PAUSE)
            self._rung.clear()

    def connected(self, end: Callable[[], object]) -> None:
        """The source hears what happens from now on; `end` makes it stop."""
        self._end = end
        if self._over:
            end()
        self._live = True
        self._rung.set()

    def ring(self) -> None:
        self._rung.set()

    def _listen(self) -> None:
        with suppress(Exception):  # whatever it is: without the stream we look now and then
            self._source(self)
        self._live = False
        self._rung.set()


def of_application(api: Api, app: str, environment: str | None) -> Changes:
    def listen(changes: Changes) -> None:
        with api.stream("/api/events/stream", {"app": app, "environment": environment}) as (lines, end):
            for line in lines:
                if line.startswith("retry:"):
                    changes.connected(end)
                elif line.startswith("data:"):
                    changes.ring()

    return Changes(listen)


def of_execution(api: Api, execution_id: int) -> Changes:
    def listen(changes: Changes) -> None:
        with log_socket(api, execution_id) as connection:
            changes.connected(connection.close)
            for message in messages(connection):
                if message.get("type") in {"step", "end"}:
                    changes.ring()

    return Changes(listen)


def events(api: Api, query: Query, last: str) -> Generator[tuple[str, JsonObject]]:
    """(position, event) as they happen; (position, {}) when only the position moves. Raises Unavailable at its end."""
    with api.stream("/api/events/stream", query, last=last) as (lines, _):
        position, data = last, ""
        for line in lines:
            name, _, value = line.partition(": ")
            if name == "id":
                position = value
            elif name == "data":
                data = value
            elif not line:
                yield position, as_object(json.loads(data)) if data else {}
                data = ""
    raise Unavailable("The server has ended the stream.", code="stream_ended")


@contextmanager
def log_socket(api: Api, execution_id: int) -> "Generator[ClientConnection]":
    """The live log of an execution. Raises Unavailable where there is none."""
    from websockets.exceptions import InvalidHandshake
    from websockets.sync.client import connect

    url = f"{api.url.replace('http', 'ws', 1)}/ws/workflows/{execution_id}/logs"
    try:
        connection = connect(
            url,
            additional_headers={"Authorization": f"Bearer {api.token}"} if api.token else {},
            proxy=None if api.local else True,
            open_timeout=_OPEN_SECONDS,
        )
    except (InvalidHandshake, OSError, TimeoutError) as error:
        raise Unavailable(f"`{api.url}` has no live logs: {error}.", code="no_stream") from error
    with connection:
        yield connection


def messages(connection: "ClientConnection") -> Iterator[JsonObject]:
    """Until the server closes. Raises Unavailable when it does so before the end, or says nothing any more."""
    from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

    while True:
        try:
            found: Json = json.loads(connection.recv(timeout=_SILENT_SECONDS))
        except ConnectionClosedOK:
            return
        except (ConnectionClosed, TimeoutError, ValueError) as error:
            raise Unavailable("The server has ended the stream.", code="stream_ended") from error
        message = as_object(found)
        if message.get("type") == "error":
            raise _error(message)
        yield message


def _error(message: JsonObject) -> InnominatusError:
    from cli.client import refusal

    status = message.get("status")
    return refusal(status if isinstance(status, int) else 500, message, as_text(message.get("detail")))
