"""Routers whose handlers answer with what `engine.services.views` made, as it is."""

import inspect
import json
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from api import openapi
from api.arguments import reader
from api.inputs import only_known_parameters

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""What is no JSON is a defect of a view, not to be written all the same."""


class Written(JSONResponse):
    """JSON that stands as text already."""

    def render(self, content: str) -> bytes:
        return content.encode()


class PlainRoute(APIRoute):
    """Describes answers by `responses` alone: they are not validated and copied once more on their way out.

    The thread of the handler writes them as JSON too: the event loop is everybody's, and FastAPI passes texts on as
    they are, where it would copy an object value by value.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        options["response_model"] = None
        super().__init__(path, _writing(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Where a handler only reads, requests that are in order come to it straight."""
        by_fastapi = super().get_route_handler()
        read = reader(self.dependant) if self.methods == {"GET"} else None
        if read is None:
            return by_fastapi
        endpoint, status = self.endpoint, self.status_code or HTTPStatus.OK
        call = endpoint if inspect.iscoroutinefunction(endpoint) else partial(run_in_threadpool, endpoint)

        async def straight(request: Request) -> Response:
            given = await read(request)
            if given is None:
                return await by_fastapi(request)
            answer = await call(**given)
            return answer if isinstance(answer, Response) else Written(answer, status)

        return straight


def _writing(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The same handler, whose answer is JSON text unless it is a response."""

    @wraps(endpoint)
    async def when_ready(*args: Any, **given: Any) -> str | Response:
        return _written(await endpoint(*args, **given))

    @wraps(endpoint)
    def at_once(*args: Any, **given: Any) -> str | Response:
        return _written(endpoint(*args, **given))

    return when_ready if inspect.iscoroutinefunction(endpoint) else at_once


def _written(answer: object) -> str | Response:
    if isinstance(answer, Response):
        return answer
    try:
        return orjson.dumps(answer, option=_STRICT).decode()
    except orjson.JSONEncodeError:  # JSON's numbers have no largest one, orjson's have
        return _ENCODER.encode(answer)


def router(tag: str) -> APIRouter:
    return APIRouter(
        tags=[tag],
        route_class=PlainRoute,
        default_response_class=Written,
        dependencies=[Depends(only_known_parameters)],
        responses=openapi.PROBLEMS,
        generate_unique_id_function=openapi.operation_id,
    )
