"""How commands fail: one exit code per family of errors, and the words or the JSON on stderr."""

import sys

from engine.domain.values import Json, JsonObject
from engine.errors import Conflict, Denied, InnominatusError, Internal, Invalid, NotFound, Unavailable

EXIT_CODES: dict[type[InnominatusError], int] = {
    Internal: 1,
    Invalid: 2,
    NotFound: 3,
    Conflict: 4,
    Unavailable: 5,
    Denied: 6,
}
"""0 is success; 1 is also a deployment or run that ended as failed; 2 is also wrong usage."""

FAILED = 1
INTERRUPTED = 130
TERMINATED = 143


def exit_code(error: InnominatusError) -> int:
    return next((code for family, code in EXIT_CODES.items() if isinstance(error, family)), FAILED)


def as_document(error: InnominatusError) -> JsonObject:
    """The error for a machine: always the same members, named as REST names them, its sentence as `message`."""
    import json

    problems: list[Json] = [{**found.members()} for found in error.problems] if isinstance(error, Invalid) else []
    details: Json = json.loads(json.dumps(error.details, default=str))
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "problems": problems,
        "details": details,
    }


def tell(error: InnominatusError, *, plain: bool = True) -> None:
    """The error with every problem's place, cause and fix, on stderr: as words, or as one line of JSON."""
    from cli.text import clean

    if not plain:
        import json

        print(json.dumps(as_document(error)), file=sys.stderr)  # noqa: T201 - the command line's own voice
        return
    lines = [f"Error: {error.message}"]
    if isinstance(error, Invalid):
        lines += [f"  {problem.severity.value}: {problem}" for problem in error.problems]
    if error.hint:
        lines.append(f"Hint: {error.hint}")
    print(clean("\n".join(lines)), file=sys.stderr)  # noqa: T201 - as above
