"""Kinds of config values that several step types share."""

from typing import Annotated, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, JsonValue
from pydantic_core import PydanticCustomError

from engine.domain.parameters import parse_duration
from engine.domain.values import Json, JsonObject
from engine.steps.base import StepContext, StepFailed

Model = TypeVar("Model", bound=BaseModel)

FIX = "fix"
"""The key under which a refusal carries what to write instead."""


def refused(message: str, fix: str = "") -> PydanticCustomError:
    """The error a config's own check raises: a sentence for people and what to write instead."""
    return PydanticCustomError("refused", "{message}", {"message": message, FIX: fix})


def as_config(context: StepContext, kind: type[Model]) -> Model:
    """The step's config as the executor's own type. StepFailed when the runner passed another type's config."""
    if not isinstance(context.config, kind):
        raise StepFailed(f"The step was given a {type(context.config).__name__} for a {kind.__name__}.")
    return context.config


def typed_json(value: dict[str, JsonValue]) -> JsonObject:
    """What pydantic calls JSON as ours: the same shape under another name."""
    return cast("JsonObject", value)


def _seconds(value: object) -> object:
    try:
        return parse_duration(cast("Json", value))
    except ValueError:
        raise refused("not a duration", "write seconds (`30`) or a duration (`30s`, `10m`, `1h30m`)") from None


def _text(value: object) -> object:
    """Numbers and booleans where text goes, as YAML writers leave out quotes: `8080` is "8080", `true` is "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise refused("holds a NUL byte, which no program or protocol accepts here", "remove it")
    return value


def _below(value: str) -> str:
    parts = value.replace("\\", "/").split("/")
    if value.startswith(("/", "~")) or ".." in parts:
        raise refused(f"`{value}` leaves the folder it belongs to", "write a path below it, without `..`")
    return _no_nul(value)


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=7 * 86400)]
"""A duration in seconds: `30`, `"30s"`, `"10m"`; at most a week."""
Text = Annotated[str, BeforeValidator(_text), AfterValidator(_no_nul)]
RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_below)]
"""A path that stays below the folder it is read from."""
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
