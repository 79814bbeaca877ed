"""The lines of a log around the one that tells why."""

from collections.abc import Sequence

from engine.domain.telltales import is_error

_LINES_BEFORE, _LINES_AFTER = 13, 6
_MOST_BYTES, _MOST_LETTERS = 2000, 400
_LAST = 60


def around(log: str, telling: str = "") -> str:
    """At most 20 lines and about 2,000 bytes; a first and a last line in brackets say how many were left out."""
    lines = log.splitlines()
    if not lines:
        return ""
    at = _telling(lines, telling)
    first, last = max(0, at - _LINES_BEFORE), min(len(lines), at + _LINES_AFTER + 1)
    kept = [_short(line) for line in lines[first:last]]
    while len(kept) > 1 and sum(len(line.encode()) + 1 for line in kept) > _MOST_BYTES:
        if at - first > last - 1 - at:
            first += 1
            kept.pop(0)
        else:
            last -= 1
            kept.pop()
    before = [f"[{first} lines before]"] if first else []
    after = [f"[{len(lines) - last} lines after]"] if last < len(lines) else []
    return "\n".join([*before, *kept, *after])


def _telling(lines: Sequence[str], telling: str) -> int:
    """Where the telling line stands; without one, the last line that tells of an error, else the last one."""
    if telling:
        for number in range(len(lines) - 1, -1, -1):
            if telling in lines[number]:
                return number
    recent = range(len(lines) - 1, max(-1, len(lines) - 1 - _LAST), -1)
    return next((number for number in recent if is_error(lines[number])), len(lines) - 1)


def _short(line: str) -> str:
    return line if len(line) <= _MOST_LETTERS else f"{line[: _MOST_LETTERS - 1]}…"
