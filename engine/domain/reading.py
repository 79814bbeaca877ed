"""Taking a document apart: each look at it says what is wrong there, with its place, and goes on."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import TypeVar

from engine.domain.values import Json, JsonObject
from engine.domain.yaml_source import Path, Source, dotted, shortened
from engine.errors import Problem, Severity, nearest, quoted

Choice = TypeVar("Choice", bound=StrEnum)
_MOST_PROBLEMS = 200
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "text"),
    (list, "a list"),
    (dict, "a mapping"),
)


def did_you_mean(name: str, known: Iterable[str], *, noun: str = "Known") -> str:
    """The fix for a name that is not known."""
    names = sorted(known)
    close = nearest(name, names)
    if close:
        return f"Did you mean {quoted(close)}?"
    return f"{noun}: {quoted(names, most=20)}." if names else ""


class Reading:
    """One document and what is wrong with it. An explicit null counts as absent."""

    def __init__(self, source: Source, *, noun: str) -> None:
        self.source = source
        self.noun = noun
        self._problems: list[Problem] = list(source.problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """In the order of the text."""
        return tuple(sorted(self._problems, key=lambda problem: (problem.line, problem.column)))

    @property
    def failed(self) -> bool:
        return any(problem.severity is Severity.ERROR for problem in self._problems)

    def error(self, path: Path, message: str, fix: str = "", *, code: str = "") -> None:
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(self.source.problem(code or f"{self.noun}_invalid", path, message, fix))

    def value(self, path: Path) -> Json:
        """What stands at the path; None for nothing."""
        here: Json = self.source.value
        for part in path:
            if isinstance(here, dict) and isinstance(part, str):
                here = here.get(part)
            elif isinstance(here, list) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                return None
        return here

    def mapping(self, path: Path, *, known: Collection[str] | None = None, required: Iterable[str] = ()) -> JsonObject:
        """The mapping at the path; a key outside of `known` and an absent one of `required` are errors."""
        value = self.value(path)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            self._wrong(path, value, "a mapping")
            return {}
        for key in value:
            if known is not None and key not in known:
                fix = did_you_mean(key, known, noun="Keys")
                self.error((*path, key), f"Unknown key `{shortened(key)}`", fix, code="unknown_key")
        for key in required:
            if value.get(key) is None:
                self.error(path, f"`{key}` is missing", f"Add `{key}`.", code="missing_key")
        return value

    def items(self, path: Path) -> list[Json]:
        value = self.value(path)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self._wrong(path, value, "a list")
        return []

    def text(self, path: Path, default: str = "") -> str:
        """The text at the path; a number counts as it was written (`version: 1.10`)."""
        value = self.value(path)
        if value is None:
            return default
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self.source.text(path) or str(value)
        self._wrong(path, value, "text")
        return default

    def texts(self, path: Path) -> tuple[str, ...]:
        """A list of texts; one text stands for a list of one."""
        if isinstance(self.value(path), str):
            return (self.text(path),)
        found = tuple(self.text((*path, index)) for index in range(len(self.items(path))))
        for name in sorted({name for name in found if found.count(name) > 1}):
            self.error(path, f"`{shortened(name)}` is listed twice", "Remove one of them.", code="duplicate")
        return tuple(dict.fromkeys(found))

    def boolean(self, path: Path) -> bool | None:
        value = self.value(path)
        if value is None or isinstance(value, bool):
            return value
        self._wrong(path, value, "true or false")
        return None

    def number(self, path: Path) -> float | None:
        value = self.value(path)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        self._wrong(path, value, "a number")
        return None

    def choice(self, path: Path, options: type[Choice], default: Choice) -> Choice:
        value = self.text(path)
        if not value:
            return default
        known = [str(option) for option in options]
        if value in known:
            return options(value)
        self.error(path, f"`{shortened(value)}` is none of {quoted(known)}", did_you_mean(value, known, noun="Values"))
        return default

    def _wrong(self, path: Path, value: Json, wanted: str) -> None:
        kind = next((word for types, word in _KINDS if isinstance(value, types)), "null")
        name = dotted(path[-1:]) if path else "The document"
        self.error(
            path, f"`{name}` must be {wanted}, not {kind}" if path else f"The document must be {wanted}, not {kind}"
        )
