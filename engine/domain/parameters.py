"""Inputs of a workflow: defaults, types and checks."""

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress

from engine.domain import expressions
from engine.domain.values import Json, JsonObject
from engine.domain.workflow import Parameter, ParameterType
from engine.errors import Invalid, Problem, counted, nearest, quoted

LONGEST_MATCHED = 1_000
"""Characters of a value that a pattern is tried on."""
_LONGEST_DURATION = 10 * 365 * 86_400.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,6})?(?:ms|[smhdw]))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdw])")
_SLOW_PATTERN = re.compile(r"[*+}]\)+[*+{]|\([^()]*[*+}][^()]*\)[*+{]|\([^()]*\|[^()]*\)[*+{]")
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_WORDS = {
    ParameterType.STRING: "text",
    ParameterType.INT: "a whole number",
    ParameterType.NUMBER: "a number",
    ParameterType.BOOL: "true or false",
    ParameterType.DURATION: "a duration such as `90s`, `10m` or `1h30m`",
    ParameterType.ENUM: "one of its values",
    ParameterType.LIST: "a list",
    ParameterType.OBJECT: "an object",
}


def parse_duration(value: Json) -> float:
    """Seconds of `90s`, `10m`, `1h30m`, `2d`, `500ms`, or of a number. Raises ValueError, also beyond ten years."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", value.strip()):
        value = float(value)
    if isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        value = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_DURATION:
        raise ValueError("Write a duration such as `90s`, `10m` or `1h30m`, at most ten years.")
    return float(value)


def pattern_problem(pattern: str) -> str:
    """Why a pattern is not accepted; empty when it is. A repeat inside a repeat can take forever on a hostile value."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"the pattern is no regular expression ({error})"
    if len(pattern) > LONGEST_MATCHED or _SLOW_PATTERN.search(re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "x", pattern)):
        return "the pattern repeats a group that repeats or chooses inside, which can take forever"
    return ""


def bind(
    parameters: tuple[Parameter, ...], inputs: JsonObject, *, allow_unknown: bool = False, from_text: bool = False
) -> JsonObject:
    """The values a workflow runs with: inputs checked, defaults filled in, absent optional ones null.

    A default may be an expression over the parameters before it. With `from_text` (command line) text is read as the
    parameter's type; without it `"3"` is no number. With `allow_unknown` other inputs are handed through. Raises
    Invalid with every problem; no message holds a value.
    """
    known = {parameter.name for parameter in parameters}
    problems: list[Problem] = []
    bound: JsonObject = {}
    for parameter in parameters:
        try:
            bound[parameter.name] = _bound(parameter, inputs.get(parameter.name), bound, from_text=from_text)
        except _Unfit as unfit:
            problems.append(Problem(unfit.code, parameter.name, unfit.message, unfit.fix))
        except Invalid as failed:
            problems.extend(Problem(p.code, parameter.name, p.message, p.fix) for p in failed.problems)
    for name in inputs.keys() - known:
        if allow_unknown:
            bound[name] = inputs[name]
        else:
            problems.append(_unknown(name, known))
    if problems:
        raise Invalid(f"The inputs have {counted(problems)}.", problems, code="invalid_inputs")
    return bound


def problems(parameter: Parameter, value: Json) -> list[str]:
    """What is wrong with a value for a parameter."""
    try:
        _checked(parameter, value)
    except _Unfit as unfit:
        return [unfit.message]
    return []


class _Unfit(Exception):
    def __init__(self, message: str, fix: str = "", code: str = "invalid_input") -> None:
        super().__init__(message)
        self.message, self.fix, self.code = message, fix, code


def _unknown(name: str, known: set[str]) -> Problem:
    close = nearest(name, known)
    fix = f"Did you mean {quoted(close)}?" if close else f"Parameters: {quoted(sorted(known))}." if known else ""
    return Problem("unknown_input", name, f"There is no parameter `{name}`", fix)


def _bound(parameter: Parameter, value: Json, before: JsonObject, *, from_text: bool) -> Json:
    if value is None:
        if parameter.required and parameter.default is None:
            told = f": {parameter.description}" if parameter.description else ""
            raise _Unfit(f"`{parameter.name}` is missing", f"Give it {_WORDS[parameter.type]}{told}.", "missing_input")
        if parameter.default is None:
            return None
        return _checked(parameter, expressions.render(parameter.default, {"parameters": before}, at=parameter.name))
    return _checked(parameter, _read(parameter, value) if from_text and isinstance(value, str) else value)


def _read(parameter: Parameter, text: str) -> Json:
    """Text from a command line as the parameter's type; what cannot be read stays text and fails the check."""
    word = text.strip()
    result: Json = text
    match parameter.type:
        case ParameterType.BOOL if word.lower() in _TRUE | _FALSE:
            result = word.lower() in _TRUE
        case ParameterType.INT | ParameterType.NUMBER if re.fullmatch(r"[-+]?[0-9]{1,18}", word):
            result = int(word)
        case ParameterType.NUMBER if re.fullmatch(r"[-+]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][-+]?[0-9]{1,3})?", word):
            result = float(word)
        case ParameterType.LIST | ParameterType.OBJECT if word[:1] in {"[", "{"}:
            with suppress(ValueError, RecursionError):
                result = json.loads(word, parse_constant=_no_number)
        case ParameterType.LIST:
            result = [part.strip() for part in word.split(",")] if word else []
        case ParameterType.ENUM if text not in parameter.enum:
            result = next((option for option in parameter.enum if str(option) == text), text)
        case _:
            pass
    return result


def _no_number(name: str) -> Json:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _checked(parameter: Parameter, value: Json) -> Json:
    if parameter.type is ParameterType.INT and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not _FITS[parameter.type](value):
        hint = f'Put it in quotes: `{parameter.name}: "..."`.' if parameter.type is ParameterType.STRING else ""
        raise _Unfit(f"`{parameter.name}` must be {_WORDS[parameter.type]}", hint)
    for message in _limits(parameter, value):
        raise _Unfit(message)
    return value


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_duration(value: Json) -> bool:
    try:
        return parse_duration(value) >= 0
    except ValueError:
        return False


_FITS: dict[ParameterType, Callable[[Json], bool]] = {
    ParameterType.STRING: lambda value: isinstance(value, str),
    ParameterType.INT: lambda value: isinstance(value, int) and not isinstance(value, bool),
    ParameterType.NUMBER: _is_number,
    ParameterType.BOOL: lambda value: isinstance(value, bool),
    ParameterType.DURATION: _is_duration,
    ParameterType.ENUM: lambda value: not isinstance(value, list | dict),
    ParameterType.LIST: lambda value: isinstance(value, list),
    ParameterType.OBJECT: lambda value: isinstance(value, dict),
}


def _limits(parameter: Parameter, value: Json) -> Iterator[str]:
    name = parameter.name
    if parameter.enum and not any(type(value) is type(option) and value == option for option in parameter.enum):
        yield f"`{name}` must be one of {quoted(str(option) for option in parameter.enum)}"
    if isinstance(value, str):
        if "\0" in value:
            yield f"`{name}` holds a NUL character"
        if parameter.pattern is not None and len(value) > LONGEST_MATCHED:
            yield f"`{name}` is longer than {LONGEST_MATCHED:,} characters"
        elif parameter.pattern is not None and not re.fullmatch(parameter.pattern, value):
            yield f"`{name}` does not match the pattern `{parameter.pattern}`"
    measured = _measured(parameter, value)
    if measured is None:
        return
    number, what = measured
    if parameter.minimum is not None and number < parameter.minimum:
        yield f"`{name}` must {what} at least {parameter.minimum:g}"
    if parameter.maximum is not None and number > parameter.maximum:
        yield f"`{name}` must {what} at most {parameter.maximum:g}"


def _measured(parameter: Parameter, value: Json) -> tuple[float, str] | None:
    if parameter.type is ParameterType.DURATION:
        return parse_duration(value), "be (in seconds)"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value, "be"
    if isinstance(value, str | list):
        return len(value), "have a length of"
    return None
