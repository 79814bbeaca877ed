"""What handlers are given: the platform, who asks, and checked parts of the request."""

import math
from collections import Counter
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import AfterValidator, JsonValue

from api.errors import refusal
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import Actor
from engine.errors import Problem, nearest, quoted
from engine.services.platform import Platform

_LARGEST_ID = 2**63 - 1


async def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


async def _actor(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


def storable(value: str) -> str:
    """The text itself. Raises ValueError for what no database keeps: NUL and half of a surrogate pair."""
    if "\0" in value:
        raise ValueError("a text must not hold the character NUL")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("a text must be valid Unicode: it holds half of a surrogate pair") from None
    return value


def _storable_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    pending: list[JsonValue] = [value]
    while pending:
        match pending.pop():
            case str() as text:
                storable(text)
            case float() as number if not math.isfinite(number):
                raise ValueError("a number must be finite")
            case list() as items:
                pending.extend(items)
            case dict() as members:
                pending.extend(members.values())
                pending.extend(members)
            case _:
                pass
    return value


Text = Annotated[str, AfterValidator(storable)]
Inputs = Annotated[dict[str, JsonValue], AfterValidator(_storable_json)]

PlatformOf = Annotated[Platform, Depends(_platform)]
ActorOf = Annotated[Actor, Depends(_actor)]

Name = Annotated[Text, Path(max_length=253)]
Number = Annotated[int, Path(ge=1, le=_LARGEST_ID)]
Filter = Annotated[Text | None, Query(max_length=253)]
EnvironmentFilter = Annotated[Text | None, Query(max_length=63, description="Only this environment.")]
Environment = Annotated[Text, Query(max_length=63, description="Where the application lives.")]
ANYWHERE = DEFAULT_ENVIRONMENT
Cursor = Annotated[str, Query(pattern=r"^[0-9]{0,18}$", description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many items at most.")]
Reveal = Annotated[bool, Query(description="Show secrets in clear; leaves an event in the timeline.")]
IdempotencyKey = Annotated[
    Text | None,
    Header(
        alias="Idempotency-Key",
        description="The same request with the same key is carried out once within 24 hours.",
    ),
]


async def only_known_parameters(request: Request) -> None:
    """Refuse misspelt, repeated and unstorable query parameters: none may be left out of account in silence.

    `?enviroment=staging` on a deletion would otherwise delete from the default environment.
    """
    route = request.scope.get("route")
    known = _query_names(route.dependant) if isinstance(route, APIRoute) else frozenset[str]()
    counted = Counter(name for name, _ in request.query_params.multi_items())
    problems = [_unknown(name, known) for name in counted if name not in known]
    problems += [
        Problem("repeated_parameter", f"query.{name}", "this parameter is given more than once", "give it once")
        for name, count in counted.items()
        if count > 1 and name in known
    ]
    if problems:
        raise refusal(problems)


def _query_names(dependant: Dependant) -> frozenset[str]:
    inner = (_query_names(other) for other in dependant.dependencies)
    return frozenset(field.alias for field in dependant.query_params).union(*inner)


def _unknown(name: str, known: frozenset[str]) -> Problem:
    close = nearest(name[:100], known)
    told = f"known: {quoted(sorted(known))}" if known else "this route takes none"
    fix = f"did you mean {quoted(close)}?" if close else told
    return Problem("unknown_parameter", f"query.{name[:80]}", "this route has no such parameter", fix)
