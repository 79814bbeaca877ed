"""The `parameters` of a workflow document."""

import re

from engine.domain import expressions
from engine.domain.parameters import pattern_problem, problems
from engine.domain.reading import Reading, did_you_mean
from engine.domain.values import Json
from engine.domain.workflow import Parameter, ParameterType
from engine.domain.yaml_source import Path, shortened

NAME = re.compile(r"(?=.{1,100}\Z)[A-Za-z][A-Za-z0-9_]*(?:-+[A-Za-z0-9_]+)*")
"""Names of workflows, steps and parameters: what a dotted path in an expression can spell."""

MOST_PARAMETERS = 200
_KEYS = frozenset(
    {"name", "type", "required", "default", "description", "pattern", "enum", "min", "max", "secret"}
    | {"minimum", "maximum", "allowed_values", "allowedValues"}
)
_TYPES = {
    **{str(kind): kind for kind in ParameterType},
    "text": ParameterType.STRING,
    "integer": ParameterType.INT,
    "float": ParameterType.NUMBER,
    "boolean": ParameterType.BOOL,
    "array": ParameterType.LIST,
    "map": ParameterType.OBJECT,
}


def read_parameters(reading: Reading, path: Path) -> tuple[Parameter, ...]:
    """A list of parameters, or a mapping of name → parameter."""
    value = reading.value(path)
    if isinstance(value, dict):
        places: list[tuple[Path, str]] = [((*path, name), name) for name in value]
    else:
        places = [((*path, index), "") for index in range(len(reading.items(path)))]
    if len(places) > MOST_PARAMETERS:
        reading.error(path, f"{len(places)} parameters; at most {MOST_PARAMETERS} are allowed")
        return ()
    found: list[Parameter] = []
    for at, name in places:
        found.append(_parameter(reading, at, name, found))
    return tuple(found)


def _parameter(reading: Reading, at: Path, key: str, before: list[Parameter]) -> Parameter:
    reading.mapping(at, known=_KEYS, required=() if key else ("name",))
    name = reading.text((*at, "name"), key)
    if key and name != key:
        reading.error((*at, "name"), f"The parameter `{shortened(key)}` has another `name`", "Leave `name` out.")
    if name and not NAME.fullmatch(name):
        fix = "Use letters, digits, `-` and `_`; start with a letter."
        reading.error(at, f"`{shortened(name)}` cannot be the name of a parameter", fix)
    if name and any(parameter.name == name for parameter in before):
        fix = "Give each parameter a name of its own."
        reading.error(at, f"The parameter `{name}` is declared twice", fix, code="duplicate")
    options = _options(reading, at)
    parameter = Parameter(
        name=name,
        type=_type(reading, at, options),
        required=reading.boolean((*at, "required")) or False,
        default=reading.value((*at, "default")),
        description=reading.text((*at, "description")),
        pattern=_pattern(reading, at),
        enum=options,
        minimum=_bound(reading, at, "min", "minimum"),
        maximum=_bound(reading, at, "max", "maximum"),
        secret=reading.boolean((*at, "secret")) or False,
    )
    if parameter.minimum is not None and parameter.maximum is not None and parameter.minimum > parameter.maximum:
        reading.error(at, "`min` is larger than `max`", "Exchange them.")
    _check_default(reading, (*at, "default"), parameter, before)
    return parameter


def _type(reading: Reading, at: Path, options: tuple[Json, ...]) -> ParameterType:
    name = reading.text((*at, "type"))
    if not name:
        texts = all(isinstance(option, str) for option in options)
        return ParameterType.STRING if texts else ParameterType.ENUM
    if name not in _TYPES:
        known = [str(kind) for kind in ParameterType]
        fix = did_you_mean(name, known, noun="Types")
        reading.error((*at, "type"), f"There is no parameter type `{shortened(name)}`", fix, code="parameter_type")
        return ParameterType.STRING
    if _TYPES[name] is ParameterType.ENUM and not options:
        reading.error(at, "A parameter of type `enum` needs its values", "Add `enum: [a, b]`.", code="missing_key")
    return _TYPES[name]


def _options(reading: Reading, at: Path) -> tuple[Json, ...]:
    key = next((k for k in ("enum", "allowed_values", "allowedValues") if reading.value((*at, k)) is not None), "enum")
    return tuple(reading.items((*at, key)))


def _pattern(reading: Reading, at: Path) -> str | None:
    pattern = reading.text((*at, "pattern"))
    if not pattern:
        return None
    if message := pattern_problem(pattern):
        fix = "Repeat a single character class: `[a-z0-9-]{1,63}`."
        reading.error((*at, "pattern"), message[:1].upper() + message[1:], fix, code="pattern")
        return None
    return pattern


def _bound(reading: Reading, at: Path, key: str, other: str) -> float | None:
    return reading.number((*at, key if reading.value((*at, key)) is not None else other))


def _check_default(reading: Reading, path: Path, parameter: Parameter, before: list[Parameter]) -> None:
    default = parameter.default
    if default is None:
        return
    wrong = expressions.problems(default, names={"parameters"})
    for found in wrong:
        reading.error((*path, *found.path), found.message, found.fix, code="expression")
    read = expressions.references(default)
    known = {earlier.name for earlier in before}
    for name in sorted(expressions.parameter_references(default, guarded=False) - known):
        fix = "A default may use the parameters before it."
        reading.error(path, f"`parameters.{name}` is not declared before this one", fix, code="unknown_parameter")
    if not read and not wrong:
        for message in problems(parameter, default):
            reading.error(path, f"The default does not fit: {message}", code="parameter_default")
