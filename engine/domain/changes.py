"""What differs between two JSON objects, leaf by leaf."""

from collections.abc import Collection

from engine.domain.plan import Change
from engine.domain.values import Json, JsonObject

MASK = "***"
_ABSENT = object()


def changed_leaves(before: JsonObject, after: JsonObject, *, secret: Collection[str] = ()) -> tuple[Change, ...]:
    """The leaves that differ, by dotted path, sorted; under the top-level names in `secret` values are masked."""
    found: list[Change] = []
    _walk(before, after, (), found, frozenset(secret))
    return tuple(sorted(found, key=lambda change: change.path))


def _walk(before: object, after: object, path: tuple[str, ...], found: list[Change], secret: frozenset[str]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}, key=str):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # JSON objects
            _walk(before.get(key, _ABSENT), after.get(key, _ABSENT), (*path, str(key)), found, secret)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] # JSON objects
        return
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):  # pyright: ignore[reportUnknownArgumentType] # JSON lists
        for index, (old, new) in enumerate(zip(before, after, strict=True)):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # JSON lists
            _walk(old, new, (*path, str(index)), found, secret)
        return
    if before is _ABSENT or after is _ABSENT or before != after or type(before) is not type(after):
        hide = bool(path) and path[0] in secret
        found.append(Change(".".join(path), _shown(before, hide=hide), _shown(after, hide=hide)))


def _shown(value: object, *, hide: bool) -> Json:
    if value is _ABSENT:
        return None
    return MASK if hide else value  # pyright: ignore[reportReturnType] # both sides were JSON
