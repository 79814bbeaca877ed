"""What an expression may do to values: filters, tests and operators, each bounded in what it can produce."""

import base64
import binascii
import json
import math
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from jinja2 import Undefined, UndefinedError

from engine.domain.expression_syntax import ExpressionError
from engine.domain.values import Json

MAX_OUTPUT: Final = 2_000_000
"""Characters (and entries) that one expression, and one rendered tree, may come to."""
_MAX_BITS: Final = 256
_MAX_EXPONENT: Final = 256

Value = Any  # what Jinja2 hands around: JSON, tuples, or an Undefined
_UNSET: Final = object()


def to_json(value: Value, budget: list[int] | None = None) -> Json:
    """A copy of `value` as JSON. Raises ExpressionError for what is not JSON or larger than `MAX_OUTPUT`."""
    left = [MAX_OUTPUT] if budget is None else budget
    require(value)
    spend(left, len(value) if isinstance(value, str) else 1)
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("The result is not a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Value]", value)
        return {_key(key, left): to_json(item, left) for key, item in entries.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, left) for item in cast("Iterable[Value]", value)]
    raise ExpressionError(f"A value of type {type(value).__name__} is no data")


def _key(key: object, budget: list[int]) -> str:
    text_key = text(key)
    spend(budget, len(text_key))
    return text_key


def require(value: Value) -> None:
    """Raise jinja2's UndefinedError for a value that is not defined."""
    if isinstance(value, Undefined):
        raise UndefinedError


def spend(budget: list[int], amount: int) -> None:
    """Take `amount` from the budget. Raises ExpressionError when nothing is left."""
    budget[0] -= amount
    if budget[0] < 0:
        raise ExpressionError(f"The result is larger than {MAX_OUTPUT:,} characters")


def text(value: Value) -> str:
    """How a value reads inside a text: `true`, `2`, nothing for null; lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return json.dumps(to_json(value), ensure_ascii=False)


def _tojson(value: Value, indent: Value = None) -> str:
    spaces = min(indent, 8) if isinstance(indent, int) else None
    return json.dumps(to_json(value), ensure_ascii=False, indent=spaces)


def _default(value: Value, fallback: Value = "", empty: Value = False) -> Value:  # noqa: FBT002 - Jinja2's own signature
    if isinstance(value, Undefined) or value is None:
        return fallback
    return fallback if empty and not value else value


def _length(value: Value) -> int:
    if isinstance(value, str | list | tuple | Mapping):
        return len(cast("list[Value]", value))
    raise ExpressionError(f"`length` needs text, a list or an object, not {kind(value)}")


def _number(convert: Callable[[Value], Value], noun: str) -> Callable[..., Value]:
    def filter_(value: Value, fallback: Value = _UNSET) -> Value:
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError):
            if fallback is not _UNSET:
                return fallback
            fix = f"Check it, or write `| {noun}(0)`."
            raise ExpressionError(f"The value ({kind(value)}) is no {noun}", fix) from None

    return filter_


_WORDS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def _bool(value: Value) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word not in _WORDS:
            raise ExpressionError("`bool` needs true, false, yes, no, on, off, 1 or 0")
        return _WORDS[word]
    return bool(value)


def _join(value: Value, separator: Value = "") -> str:
    between, budget, parts = text(separator), [MAX_OUTPUT], list[str]()
    for item in _items(value, "join"):
        part = text(item)
        spend(budget, len(part) + len(between))
        parts.append(part)
    return between.join(parts)


def _replace(value: Value, old: Value, new: Value) -> str:
    whole, before, after = text(value), text(old), text(new)
    if len(whole) + whole.count(before) * len(after) > MAX_OUTPUT:
        spend([0], 1)
    return whole.replace(before, after)


def _split(value: Value, separator: Value = None) -> list[str]:
    return text(value).split(text(separator) or None)


def _items(value: Value, name: str) -> list[Value]:
    if isinstance(value, list | tuple):
        return list(cast("Iterable[Value]", value))
    raise ExpressionError(f"`{name}` needs a list, not {kind(value)}")


def _sort(value: Value, reverse: Value = False) -> list[Value]:  # noqa: FBT002 - Jinja2's own signature
    try:
        return sorted(_items(value, "sort"), reverse=bool(reverse))
    except TypeError:
        raise ExpressionError("`sort` needs a list of values of one kind") from None


def _unique(value: Value) -> list[Value]:
    seen: dict[str, Value] = {}
    for item in _items(value, "unique"):
        seen.setdefault(json.dumps(to_json(item), sort_keys=True), item)
    return list(seen.values())


def _end(position: int) -> Callable[[Value], Value]:
    def filter_(value: Value) -> Value:
        items = value if isinstance(value, str) else _items(value, "first" if position == 0 else "last")
        if not items:
            raise ExpressionError(f"`{'first' if position == 0 else 'last'}` found nothing: the list is empty")
        return items[position]

    return filter_


def _b64decode(value: Value) -> str:
    try:
        return base64.b64decode(text(value), validate=True).decode()
    except (binascii.Error, ValueError):
        raise ExpressionError("`b64decode` needs base64 of UTF-8 text") from None


def shell(value: Value) -> str:
    """One word of a POSIX shell; a list becomes its words."""
    if isinstance(value, list | tuple):
        return " ".join(shlex.quote(text(item)) for item in cast("Iterable[Value]", value))
    if "\0" in text(value):
        raise ExpressionError("A shell word cannot hold a NUL character")
    return shlex.quote(text(value))


_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (bool, "a boolean"),
    ((int, float), "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (dict, "an object"),
)


def kind(value: Value) -> str:
    """The kind of a value in words; never the value itself, which may be a secret."""
    if value is None:
        return "null"
    return next((word for types, word in _KINDS if isinstance(value, types)), "no data")


def _bounded(name: str, function: Callable[..., Value]) -> Callable[..., Value]:
    def filter_(*args: Value, **kwargs: Value) -> Value:
        for argument in args:
            require(argument)
        try:
            result = function(*args, **kwargs)
        except TypeError as error:
            message = f"`{name}` cannot be used like this: {kind(args[0])} with {len(args) - 1} arguments"
            raise ExpressionError(message) from error
        if isinstance(result, str | list):
            spend([MAX_OUTPUT], len(cast("list[Value]", result)))
        return cast("Value", result)

    return filter_


def _b64encode(value: Value) -> str:
    return base64.b64encode(text(value).encode()).decode()


def _lower(value: Value) -> str:
    return text(value).lower()


def _upper(value: Value) -> str:
    return text(value).upper()


def _trim(value: Value) -> str:
    return text(value).strip()


_PLAIN: Final[dict[str, Callable[..., Value]]] = {
    "b64decode": _b64decode,
    "b64encode": _b64encode,
    "bool": _bool,
    "first": _end(0),
    "float": _number(float, "float"),
    "int": _number(int, "int"),
    "join": _join,
    "last": _end(-1),
    "length": _length,
    "lower": _lower,
    "replace": _replace,
    "sh": shell,
    "sort": _sort,
    "split": _split,
    "string": text,
    "tojson": _tojson,
    "trim": _trim,
    "unique": _unique,
    "upper": _upper,
}
FILTERS: Final[dict[str, Callable[..., Value]]] = {
    "default": _default,
    **{name: _bounded(name, function) for name, function in _PLAIN.items()},
}
TESTS: Final = frozenset(
    {"defined", "undefined", "none", "string", "number", "boolean", "mapping", "sequence", "true", "false"}
)


def multiply(left: Value, right: Value) -> Value:
    if not (_numeric(left) and _numeric(right)):
        raise ExpressionError(f"`*` needs two numbers, not {kind(left)} and {kind(right)}")
    return _small(left * right)


def power(base: Value, exponent: Value) -> Value:
    if not (_numeric(base) and _numeric(exponent)) or abs(exponent) > _MAX_EXPONENT:
        raise ExpressionError(f"`**` needs two numbers, the second at most {_MAX_EXPONENT}")
    result = base**exponent
    if isinstance(result, complex):
        raise ExpressionError("`**` of a negative number needs a whole exponent")
    return _small(result)


def modulo(left: Value, right: Value) -> Value:
    if not (_numeric(left) and _numeric(right)):
        raise ExpressionError("`%` needs two numbers", "To build text, write `'a-' ~ b`.")
    return left % right


def add(left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        spend([MAX_OUTPUT], len(left) + len(right))
        return left + right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        items = [*cast("list[Value]", left), *cast("list[Value]", right)]
        spend([MAX_OUTPUT], len(items))
        return items
    if _numeric(left) and _numeric(right):
        return left + right
    raise ExpressionError(f"`+` cannot join {kind(left)} and {kind(right)}", "To build text, write `a ~ b`.")


def _numeric(value: Value) -> bool:
    require(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _small(value: Value) -> Value:
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ExpressionError("The number is too large")
    return value
