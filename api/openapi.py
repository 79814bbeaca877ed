"""How the API describes itself."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.auth import PUBLIC
from api.errors import MEDIA_TYPE
from api.models import ProblemDocument

SUMMARY = "MCP-first platform orchestrator: Score specs in, real resources out."
DESCRIPTION = """Submit Score specs, see what exists and why, and run golden paths.

Every refusal is `application/problem+json`: `code` is stable, `hint` says what to do, `problems` lists everything that
is wrong with an input, each with its place. Lists are pages: send `next_cursor` back as `cursor` until it is empty.
Secrets are shown as `***` unless `reveal=true`, which leaves an event. Parameters unknown to a route are refused.
"""

TAGS = [
    {"name": "applications", "description": "Submitted Score specs and what became of them."},
    {"name": "specs", "description": "The same by the name of the document, and its text."},
    {"name": "resources", "description": "What exists."},
    {"name": "workflows", "description": "Executions: what runs and ran."},
    {"name": "golden paths", "description": "Workflows offered to people."},
    {"name": "providers", "description": "What the platform teams offer."},
    {"name": "graphs", "description": "What exists and why."},
    {"name": "events", "description": "What happened."},
    {"name": "admin", "description": "The platform as a whole, for those who run it."},
    {"name": "system", "description": "The server itself."},
]

_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}}
_MEANINGS = {
    "400": "The request cannot be read.",
    "401": "No token, or an unknown one.",
    "404": "There is no such thing; `hint` names the nearest.",
    "409": "What exists is in the way; `code` says how.",
    "422": "The input is not valid; `problems` lists everything.",
    "503": "Something the platform needs is not there now.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, **_PROBLEM} for status, meaning in _MEANINGS.items()
}


def _version() -> str:
    try:
        return version("innominatus")
    except PackageNotFoundError:
        return "0.0.0"


VERSION = _version()


def operation_id(route: APIRoute) -> str:
    return route.name


def install(app: FastAPI) -> None:
    """Add what FastAPI cannot know: the token, which paths need none, and the shape of a problem."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = described  # pyright: ignore[reportAttributeAccessIssue] # FastAPI's documented way to extend it


def _described(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    components: dict[str, Any] = schema.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemDocument"] = problem
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    schema["security"] = [{"bearer": []}, {"api_key": []}]
    paths: dict[str, dict[str, Any]] = schema["paths"]
    for path in PUBLIC & paths.keys():
        for operation in paths[path].values():
            operation["security"] = []
            for status in ("400", "401", "404", "409", "422"):
                operation["responses"].pop(status, None)
    return schema
