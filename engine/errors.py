"""The few ways a use case can fail, in the domain's words. Doors translate them; the engine knows no status codes."""

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import ClassVar


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where it is, what it is, what to write instead.

    `line` and `column` count from 1; 0 means the place is not in a text. `code` is stable (for tests and machines).
    """

    code: str
    path: str
    message: str
    fix: str = ""
    line: int = 0
    column: int = 0
    severity: Severity = Severity.ERROR
    file: str = ""
    about: str = ""
    """The resource type whose declaration says what is right."""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line or "", self.column or "") if part)
        lead = " ".join(part for part in (place, self.path) if part)
        return f"{lead + ': ' if lead else ''}{self.message}{' — ' + self.fix if self.fix else ''}"

    def members(self) -> dict[str, str | int]:
        """As a JSON object, the same through every door; the place is left out where there is none."""
        found: dict[str, str | int] = {"code": self.code, "severity": self.severity.value, "path": self.path}
        if self.file:
            found["file"] = self.file
        if self.line:
            found |= {"line": self.line, "column": self.column}
        return {**found, "message": self.message, "fix": self.fix}


class InnominatusError(Exception):
    """Base of every expected failure: a stable `code`, a sentence, `details` for machines, a `hint` for the reader."""

    family: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.family
        self.hint = hint
        self.details: dict[str, object] = dict(details or {})


class NotFound(InnominatusError):
    family = "not_found"

    def __init__(self, noun: str, name: object, *, known: Iterable[str] = (), hint: str = "") -> None:
        close = nearest(str(name), known)
        hint = hint or (f"Did you mean {quoted(close)}?" if close else "")
        super().__init__(f"There is no {noun} `{name}`.", code=f"{noun.replace(' ', '_')}_not_found", hint=hint)


class Conflict(InnominatusError):
    family = "conflict"


class Invalid(InnominatusError):
    """An input with one or more problems; all of them are in `problems`, warnings included."""

    family = "invalid"

    def __init__(
        self,
        message: str,
        problems: Iterable[Problem] = (),
        *,
        code: str = "invalid",
        hint: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, details=details)
        self.problems = tuple(problems)


class Denied(InnominatusError):
    family = "denied"


class Unavailable(InnominatusError):
    """Something the platform needs is not there now; the same call may work later."""

    family = "unavailable"


class Internal(InnominatusError):
    family = "internal"


FAMILIES: tuple[type[InnominatusError], ...] = (NotFound, Conflict, Invalid, Denied, Unavailable, Internal)


def nearest(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """The known names that look most like `name`, best first; possibly none."""
    names = list(dict.fromkeys(known))
    slips = [one for one in names if _slip(name.casefold(), one.casefold())]
    close = get_close_matches(name, names, n=most, cutoff=0.55)
    return [*slips, *(one for one in close if one not in slips)][:most]


def _slip(typed: str, meant: str) -> bool:
    """The same letters, at most two neighbours swapped: in short names that is half of them, and yet clear."""
    if len(typed) != len(meant):
        return False
    differ = [at for at, (one, other) in enumerate(zip(typed, meant, strict=True)) if one != other]
    if not differ:
        return True
    first, last = differ[0], differ[-1]
    return last == first + 1 and (typed[first], typed[last]) == (meant[last], meant[first])


def counted(problems: Sized) -> str:
    """`1 problem`, `3 problems`: for a sentence that does not repeat what each of them says."""
    return f"{len(problems)} problem{'s' * (len(problems) != 1)}"


def quoted(names: Iterable[str], *, most: int | None = None) -> str:
    """The names as a list in a sentence; of more than `most` the first, and how many more there are."""
    every = list(names)
    shown = ", ".join(f"`{name}`" for name in every[:most])
    left = len(every) - len(every[:most])
    return f"{shown} and {left} more" if left else shown
