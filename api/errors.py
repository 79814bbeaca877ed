"""One table: which status each family of errors has, and the problem+json (RFC 9457) that tells it."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import JsonValue, TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.domain.values import JsonObject
from engine.errors import (
    Conflict,
    Denied,
    InnominatusError,
    Internal,
    Invalid,
    NotFound,
    Problem,
    Unavailable,
    counted,
)
from engine.services import views
from engine.store.away import DatabaseAway, in_short
from engine.store.types import dump_json

logger = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[InnominatusError], HTTPStatus] = {
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    Denied: HTTPStatus.FORBIDDEN,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Internal: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""Every family of `engine.errors`."""

BY_CODE: Mapping[str, HTTPStatus] = {
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "malformed_body": HTTPStatus.BAD_REQUEST,
    "malformed_request": HTTPStatus.BAD_REQUEST,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unknown_host": HTTPStatus.MISDIRECTED_REQUEST,
}
"""Where a code says more than its family."""


def status_of(error: InnominatusError) -> HTTPStatus:
    if error.code in BY_CODE:
        return BY_CODE[error.code]
    return next((status for family, status in STATUS.items() if isinstance(error, family)), STATUS[Internal])


def document(error: InnominatusError) -> JsonObject:
    """The problem document: always the same members, so that clients need not ask whether one is there."""
    status = status_of(error)
    found = error.problems if isinstance(error, Invalid) else ()
    return {
        "type": f"urn:innominatus:problem:{error.code}",
        "title": status.phrase,
        "status": status.value,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
        "problems": [views.problem(item) for item in found],
        "details": _plain(error.details),
    }


_DETAILS: TypeAdapter[JsonObject] = TypeAdapter(dict[str, JsonValue])


def _plain(details: Mapping[str, object]) -> JsonObject:
    """As JSON; what JSON has no word for as text."""
    return _DETAILS.validate_json(json.dumps(dict(details), default=str))


def response(error: InnominatusError, *, headers: Mapping[str, str] | None = None) -> Response:
    status = status_of(error)
    extra = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        extra["Retry-After"] = "5"
    text = dump_json(document(error)).encode(errors="replace")
    return Response(text, status, {**extra, **(headers or {})}, media_type=MEDIA_TYPE)


def refusal(problems: list[Problem], *, code: str = "invalid_request") -> Invalid:
    return Invalid(f"The request has {counted(problems)}.", problems, code=code)


def install(app: FastAPI) -> None:
    """Let everything that can go wrong in a handler be told as problem+json."""
    app.add_exception_handler(InnominatusError, _expected)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _from_framework)


def _expected(_request: Request, error: Exception) -> Response:
    assert isinstance(error, InnominatusError)
    if isinstance(error, Internal):
        logger.error("http.internal", code=error.code, error=error.message)
    if isinstance(error, DatabaseAway):
        logger.warning("http.database_away", error=in_short(error))
    return response(error)


def _not_valid(_request: Request, error: Exception) -> Response:
    """FastAPI's own findings: where and what, never the value, which may be a secret."""
    assert isinstance(error, RequestValidationError)
    problems = [_problem(item) for item in error.errors()]
    if any(problem.code == "json_invalid" for problem in problems):
        return response(Invalid("The body is not valid JSON.", problems, code="malformed_body"))
    return response(refusal(problems))


def _problem(item: Mapping[str, Any]) -> Problem:
    kind, place = str(item["type"]), [str(part) for part in item["loc"]]
    message = str(item["msg"]).removeprefix("Value error, ")
    if kind == "json_invalid":
        message = str(item.get("ctx", {}).get("error", message))
        place = ["body"]
    return Problem(kind, ".".join(place), message)


def _from_framework(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    told: JsonObject = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": str(error.detail),
        "code": status.name.lower(),
        "hint": _HINTS.get(status, ""),
        "problems": [],
        "details": {},
    }
    return JSONResponse(told, status, dict(error.headers or {}), media_type=MEDIA_TYPE)


_HINTS = {
    HTTPStatus.NOT_FOUND: "All routes are described at /docs.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The header `Allow` names the methods of this route.",
    HTTPStatus.BAD_REQUEST: "Send a body that is valid JSON.",
}


class Unexpected:
    """The door's one `except Exception`: what nobody foresaw is logged whole and told without internals.

    `check` is asked first and raises what explains the failure: a database that is away is no defect.
    """

    def __init__(self, app: ASGIApp, check: Callable[[], None] = lambda: None) -> None:
        self._app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            told = await self._explained(scope, error)
            if begun:
                raise
            await response(told)(scope, receive, send)

    async def _explained(self, scope: Scope, unforeseen: Exception) -> InnominatusError:
        try:
            await run_in_threadpool(self._check)
        except InnominatusError as error:
            return error
        logger.error("http.defect", method=scope["method"], path=scope["path"], exc_info=unforeseen)
        return Internal("Something went wrong inside the server.", hint="The server's log has the details.")
