"""What requests may hold besides their parameters."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.errors import refusal
from api.inputs import Inputs, Text
from engine.errors import Invalid, Problem

_SCORE = (
    "apiVersion: score.dev/v1b1\nmetadata:\n  name: hello\ncontainers:\n  web:\n    image: nginx\n"
    "    variables:\n      DB_HOST: ${resources.db.host}\nresources:\n  db:\n    type: postgres\n"
)


class Body(BaseModel):
    """Unknown members are refused: a misspelt one must not be left out of account."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SubmitBody(Body):
    """A Score document and how to apply it; what is not given here is taken from the query."""

    source: Annotated[Text, Field(description="The Score document, YAML.", examples=[_SCORE])]
    environment: Text | None = None
    dry_run: bool | None = None
    plan_hash: Text | None = None
    prune: bool | None = None
    strict: bool | None = None
    confirm: bool | None = None


class RunBody(Body):
    """What a golden path is given."""

    inputs: Inputs = Field(default_factory=dict, description="Parameter → value.", examples=[{"name": "payments"}])
    environment: Text | None = None
    from_text: bool = Field(default=False, description="Inputs are texts, as from a command line: read them as typed.")


class ExecuteBody(RunBody):
    workflow: Annotated[Text, Field(max_length=500, description="Name of a golden path or provisioner.")]


class ResolveBody(Body):
    """What became of a failed resource."""

    as_: Annotated[Literal["active", "gone"], Field(alias="as")]


class PauseBody(Body):
    """Why nothing shall be claimed."""

    reason: Annotated[Text, Field(max_length=500)] = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The body of a submission, whichever form it had."""

    source: bytes | str
    options: dict[str, Any]


async def _raw(request: Request) -> bytes:
    return await request.body()


def _submitted(request: Request, raw: Annotated[bytes, Depends(_raw)]) -> Submitted:
    """YAML as it is, or JSON: an object with `source`, or a Score document itself (JSON is YAML)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not raw.strip():
        raise Invalid("The body is empty.", code="malformed_body", hint="Send a Score document, or JSON with `source`.")
    if kind != "application/json":
        return Submitted(raw, {})
    try:
        document: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        told = error.msg if isinstance(error, json.JSONDecodeError) else "it cannot be read"
        problem = Problem("json_invalid", "body", told, "send YAML as text/yaml, or valid JSON")
        raise Invalid("The body is not valid JSON.", [problem], code="malformed_body") from None
    if isinstance(document, dict) and "source" not in document and "apiVersion" in document:
        return Submitted(raw, {})
    try:
        body = SubmitBody.model_validate(document)
    except ValidationError as error:
        problems = [
            Problem(
                item["type"],
                ".".join(("body", *(str(part) for part in item["loc"]))),
                item["msg"].removeprefix("Value error, "),
            )
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise refusal(problems) from None
    return Submitted(body.source, body.model_dump(exclude={"source"}, exclude_none=True))


SubmittedOf = Annotated[Submitted, Depends(_submitted)]
RawOf = Annotated[bytes, Depends(_raw)]

SCORE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": {"type": "string"}, "example": _SCORE},
            "application/json": {"schema": SubmitBody.model_json_schema(), "example": {"source": _SCORE}},
        },
    }
}
TEXT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/yaml": {"schema": {"type": "string"}, "example": _SCORE}},
    }
}
