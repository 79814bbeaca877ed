"""The REST door from the outside: requests, and its problems as the errors the engine raised."""

import os
import shlex
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from cli import live
from cli.text import as_number, as_object, as_objects, as_text, in_our_words, where_to_look
from engine.domain.values import Json, JsonObject
from engine.errors import (
    Conflict,
    Denied,
    InnominatusError,
    Internal,
    Invalid,
    NotFound,
    Problem,
    Severity,
    Unavailable,
)

if TYPE_CHECKING:
    import httpx2

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_TOKENS = ("INNOMINATUS_API_TOKEN", "INNOMINATUS_API_KEY", "IDP_API_KEY")
_PAGE = 200

Query = Mapping[str, str | int | None]


def connect(server: str | None, token: str | None) -> "Api":
    """The platform that was named, or the one that serves this user's data directory. Raises Unavailable."""
    from cli.settings import read_settings

    data_dir = read_settings().data_dir
    found = server or os.environ.get("INNOMINATUS_API_BASE") or ""
    if not found:
        running = live.find(data_dir)
        if running is None:
            raise Unavailable(
                f"No platform is running for the data directory `{data_dir}`.",
                code="no_server",
                hint=f"Start one with `innominatus serve --data-dir {shlex.quote(str(data_dir))}`. One that runs with "
                "another data directory is found when INNOMINATUS_DATA_DIR names that, and any by its address: "
                "--server or INNOMINATUS_API_BASE.",
            )
        found = running.url
    found = _checked(found if "://" in found else f"http://{found}")
    key = token or next((value for name in _TOKENS if (value := os.environ.get(name))), "")
    return Api(found.rstrip("/"), key or _token_file(found, data_dir))


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine:
        raise Invalid(
            f"`{url}` is no address of a server.", code="invalid_server", hint="Write http://127.0.0.1:8081, say."
        )
    return url


def _token_file(url: str, data_dir: Path) -> str:
    """The data directory's own token; it is never sent to another machine."""
    if urlsplit(url).hostname not in _LOCAL:
        return ""
    try:
        return (data_dir / "token").read_text().strip()
    except OSError:
        return ""


class Api:
    """One server. Answers are JSON objects or texts; every refusal is raised as one of the engine's errors."""

    def __init__(self, url: str, token: str, *, seconds: float = 60.0) -> None:
        import httpx2

        self.url = url
        self.token = token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy of the environment must never see a local token.
        self.local = urlsplit(url).hostname in _LOCAL
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=seconds, trust_env=not self.local)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, query: Query | None = None) -> JsonObject:
        return as_object(_json(self.send("GET", path, query=query)))

    def text(self, path: str, query: Query | None = None) -> str:
        return self.send("GET", path, query=query).text

    def post(self, path: str, body: Json = None, query: Query | None = None) -> JsonObject:
        return as_object(_json(self.send("POST", path, query=query, body=body)))

    def delete(self, path: str, query: Query | None = None) -> JsonObject:
        return as_object(_json(self.send("DELETE", path, query=query)))

    def submit(self, asked: JsonObject, *, key: str | None = None) -> JsonObject:
        """Submit a Score spec; `asked` holds `source` and the options. The same `key` submits once."""
        body: JsonObject = {name: value for name, value in asked.items() if value is not None}
        return as_object(_json(self.send("POST", "/api/applications", body=body, key=key)))

    def every(self, path: str, query: Query | None = None, *, most: int = 10_000) -> Iterator[JsonObject]:
        """The items of a list, page by page."""
        cursor, seen = "", 0
        while True:
            page = self.get(path, {**(query or {}), "limit": min(_PAGE, most - seen), "cursor": cursor or None})
            items = as_objects(page.get("items"))
            yield from items
            seen += len(items)
            cursor = as_text(page.get("next_cursor"))
            if not cursor or not items or seen >= most:
                return

    @contextmanager
    def stream(
        self, path: str, query: Query | None = None, *, last: str = ""
    ) -> Generator[tuple[Iterator[str], Callable[[], None]]]:
        """The lines of an endless answer, and how to end it from another thread."""
        import httpx2

        params = {name: _word(value) for name, value in (query or {}).items() if value is not None}
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with self._http.stream("GET", path, params=params, headers=headers) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _refusal(answer)
                connection: socket.socket = answer.extensions["network_stream"].get_extra_info("socket")
                yield answer.iter_lines(), lambda: connection.shutdown(socket.SHUT_RDWR)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise Unavailable(f"`{self.url}` cannot be reached: {error}.", code="no_server") from error

    def send(
        self, method: str, path: str, *, query: Query | None = None, body: Json = None, key: str | None = None
    ) -> "httpx2.Response":
        import httpx2

        headers = {"Idempotency-Key": key} if key else {}
        params = {name: _word(value) for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._http.request(method, path, params=params, json=body, headers=headers)
        except httpx2.InvalidURL as error:
            raise Invalid(f"`{self.url}` is not an address: {error}.", code="invalid_server") from error
        except httpx2.TimeoutException as error:
            raise Unavailable(f"`{self.url}` did not answer in time.", code="timeout") from error
        except (httpx2.HTTPError, UnicodeError) as error:
            raise Unavailable(
                f"`{self.url}` cannot be reached: {error}.",
                code="no_server",
                hint="Start a platform with `innominatus serve`, or check --server.",
            ) from error
        if answer.status_code >= 400:
            raise _refusal(answer)
        return answer


def _word(value: str | int | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(answer: "httpx2.Response") -> Json:
    try:
        value: Json = answer.json()
    except ValueError as error:
        raise Unavailable(
            f"`{answer.url}` does not answer as innominatus does.", code="not_innominatus", hint="Check --server."
        ) from error
    return value


def _refusal(answer: "httpx2.Response") -> InnominatusError:
    try:
        problem = as_object(answer.json())
    except ValueError:
        problem = {}
    return refusal(answer.status_code, problem, answer.url.path)


def refusal(status: int, problem: JsonObject, place: str) -> InnominatusError:
    """A problem document as the error that it tells; `place` is what was asked for."""
    message = as_text(problem.get("detail")) or as_text(problem.get("title")) or f"The server answered {status}."
    code, hint = as_text(problem.get("code")) or None, in_our_words(as_text(problem.get("hint")))
    details = as_object(problem.get("details"))
    if status in {401, 403, 421}:
        hint = hint or "Give the server's token with --token or INNOMINATUS_API_TOKEN."
        return Denied(message, code=code, hint=hint, details=details)
    if status == 404:
        error = NotFound("page", place, hint=hint or where_to_look(code or ""))
        error.message, error.code = message, code or error.code
        return error
    if status == 409:
        return Conflict(message, code=code, hint=hint, details=details)
    if status in {400, 405, 413, 415, 422}:
        found = [problem_of(item) for item in as_objects(problem.get("problems"))]
        return Invalid(message, found, code=code or "invalid", hint=hint, details=details)
    if status in {429, 502, 503, 504}:
        return Unavailable(message, code=code, hint=hint, details=details)
    return Internal(message, code=code, hint=hint, details=details)


def problem_of(item: JsonObject) -> Problem:
    """One entry of a problem document, or a warning."""
    return Problem(
        code=as_text(item.get("code")),
        path=as_text(item.get("path")),
        message=as_text(item.get("message")),
        fix=as_text(item.get("fix")),
        line=as_number(item.get("line")),
        column=as_number(item.get("column")),
        severity=Severity.WARNING if item.get("severity") == "warning" else Severity.ERROR,
        file=as_text(item.get("file")),
    )
