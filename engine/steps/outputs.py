"""What a step may give out: names and values that can be stored, and the file in which scripts write them."""

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from pydantic_core import to_json

from engine.domain.values import Json, JsonObject
from engine.steps.base import StepFailed

MAX_BYTES: Final = 1_000_000
_MAX_DEPTH: Final = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_LINE = re.compile(rf"(?P<name>{_NAME.pattern})(?P<sign><<|:=|=)(?P<value>.*)", re.DOTALL)
_HOW = "Write `name=value`, `name:=<json>`, or `name<<EOF`, the lines and `EOF`."


def accepted(outputs: JsonObject, *, max_bytes: int = MAX_BYTES) -> JsonObject:
    """The outputs as they are, once it is sure that they can be stored. StepFailed names the output that cannot."""
    for name, value in outputs.items():
        check_name(name)
        _check_value(name, value, 0)
    size = len(to_json(outputs))
    if size > max_bytes:
        largest = max(outputs, key=lambda name: len(to_json(outputs[name])))
        raise StepFailed(
            f"The step's outputs are too large: {size} bytes, at most {max_bytes}; the largest is `{largest}`.",
            hint="Declare large files as `artifacts` and give out their path.",
        )
    return outputs


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StepFailed(
            f"{name[:100]!a} cannot be the name of an output.",
            hint="Names begin with a letter or `_` and go on with letters, digits, `_`, `-`, `.`; at most 128.",
        )
    return name


def _check_value(name: str, value: Json, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise StepFailed(f"The output `{name}` is nested deeper than {_MAX_DEPTH} levels.")
    match value:
        case str():
            _check_text(name, value)
        case float():
            if not math.isfinite(value):
                raise StepFailed(f"The output `{name}` holds {value}, which is not a JSON number.")
        case list():
            for item in value:
                _check_value(name, item, depth + 1)
        case dict():
            for key, item in value.items():
                _check_text(name, key)
                _check_value(name, item, depth + 1)
        case _:
            pass


def _check_text(name: str, text: str) -> None:
    if "\0" in text:
        raise StepFailed(f"The output `{name}` holds a NUL byte.", hint="Encode binary values, e.g. with base64.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise StepFailed(
            f"The output `{name}` is not valid text.", hint="Encode binary values, e.g. with base64."
        ) from None


def from_json(text: str, what: str) -> Json:
    """`text` as JSON. StepFailed, naming `what`, where it is not (NaN and Infinity are not)."""
    try:
        return cast("Json", json.loads(text, parse_constant=_no_constant))
    except (ValueError, RecursionError) as error:
        raise StepFailed(f"{what} is not JSON: {str(error) or 'nested too deep'}.") from None


def _no_constant(word: str) -> Json:
    raise ValueError(f"{word} is not a JSON number")


def read_file(path: Path, *, max_bytes: int = MAX_BYTES) -> JsonObject:
    """The outputs that a script wrote into its `$INNOMINATUS_OUTPUT` file; none when it removed the file.

    `name=value` is text to the end of the line, `name<<MARK` text of the lines up to `MARK`, `name:=<json>` a typed
    value. A name written twice has its last value. StepFailed with the line's number for anything else.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StepFailed(f"The step's output file cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StepFailed("The step replaced its output file by something that is no file.")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise StepFailed(
            f"The step's outputs are too large: more than {max_bytes} bytes.",
            hint="Declare large files as `artifacts` and give out their path.",
        )
    return parse(content)


def parse(content: bytes) -> JsonObject:
    """Read the lines of an output file; see `read_file`."""
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise StepFailed(f"Line {line} of the outputs holds a NUL byte.", hint="Encode binary values, e.g. in base64.")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise StepFailed(
            f"Line {line} of the outputs is not valid UTF-8.", hint="Encode binary values, e.g. in base64."
        ) from None
    outputs: JsonObject = {}
    lines = iter(enumerate(text.replace("\r\n", "\n").split("\n"), 1))
    for number, line in lines:
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            # the line itself is not shown: it may be the second line of a key
            raise StepFailed(f"Line {number} of the outputs has no `name=` in front.", hint=_HOW)
        name, sign, value = found["name"], found["sign"], found["value"]
        if sign == "<<":
            outputs[name] = _heredoc(name, value.strip(), (line for _, line in lines))
        else:
            outputs[name] = from_json(value, f"The output `{name}`") if sign == ":=" else value
    return outputs


def _heredoc(name: str, mark: str, lines: Iterator[str]) -> str:
    if not mark:
        raise StepFailed(f"The output `{name}<<` has no end mark.", hint=_HOW)
    taken: list[str] = []
    for line in lines:
        if line == mark:
            return "\n".join(taken)
        taken.append(line)
    raise StepFailed(f"The output `{name}<<{mark}` does not end: there is no line `{mark}`.", hint=_HOW)
