"""What a handler that only reads is called with, taken straight from a request that is in order.

FastAPI's way to it costs as much as the database does. It still describes the parameters and checks each value; a
request that is not in order goes its way, and is told what is wrong.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant

from api.inputs import only_known_parameters

Reader = Callable[[Request], Awaitable[dict[str, Any] | None]]


def reader(dependant: Dependant) -> Reader | None:
    """What finds the arguments in a request: None in one that is not in order. No reader where more is asked for."""
    if _takes_more(dependant):
        return None
    asked = {field.alias: field for field in dependant.query_params}
    places = [(field.alias, field) for field in dependant.path_params]
    others = [(other.name, other) for other in dependant.dependencies if other.name is not None]

    async def read(request: Request) -> dict[str, Any] | None:
        given: dict[str, Any] = {}
        query = request.query_params.multi_items()
        found = [(asked.get(name), text) for name, text in query]
        found += [(field, request.path_params[name]) for name, field in places]
        for field, text in found:
            if field is None or field.name in given:  # unknown, or given twice
                return None
            given[field.name], wrong = field.validate(text, given, loc=())
            if wrong:
                return None
        for name, other in others:
            given[name] = await other.call(request) if other.call else None
        if dependant.request_param_name:
            given[dependant.request_param_name] = request
        return given

    return read


def _takes_more(dependant: Dependant) -> bool:
    """Whether it takes more than a path, a query whose parameters may all be left out, and what a request carries."""
    inner = dependant.dependencies
    return bool(
        dependant.header_params
        or dependant.cookie_params
        or dependant.body_params
        or dependant.response_param_name
        or dependant.background_tasks_param_name
        or any(field.field_info.is_required() for field in dependant.query_params)
        or any(other.name is None and other.call is not only_known_parameters for other in inner)
        or any(other.dependencies or other.query_params or _takes_more(other) for other in inner)
    )
