"""What differs between two JSON objects, leaf by leaf."""

from collections.abc import Collection

from engine.domain.plan import Change
from engine.domain.values import Json, JsonObject

MASK = "***"


class _Absent:
    pass


_ABSENT = _Absent()


def changed_leaves(before: JsonObject, after: JsonObject, *, secret: Collection[str] = ()) -> tuple[Change, ...]:
    """The leaves that differ, by dotted path, sorted; under the top-level names in `secret` values are masked."""
    found: list[Change] = []
    _walk(before, after, (), found, frozenset(secret))
    return tuple(sorted(found, key=lambda change: change.path))


def _walk(
    before: Json | _Absent, after: Json | _Absent, path: tuple[str, ...], found: list[Change], secret: frozenset[str]
) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            _walk(before.get(key, _ABSENT), after.get(key, _ABSENT), (*path, key), found, secret)
        return
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            _walk(old, new, (*path, str(index)), found, secret)
        return
    if type(before) is not type(after) or before != after:
        hide = bool(path) and path[0] in secret
        found.append(Change(".".join(path), _shown(before, hide=hide), _shown(after, hide=hide)))


def _shown(value: Json | _Absent, *, hide: bool) -> Json:
    if isinstance(value, _Absent):
        return None
    return MASK if hide else value
